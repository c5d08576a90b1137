"""AFFNet (2307.14008)."""

from collections.abc import Callable
from functools import partial

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.affnet import AffBlock
from searchspaces.blocks.inverted_residual import InvertedResidual
from searchspaces.heads import ExpandedHead
from searchspaces.stems.conv import ConvStem

FILTERS = (2, 4, 3)
"""Filters of the last three stages."""


def affnet(dims: tuple[int, int, int, int], expansion: float) -> Architecture:
    """AFFNet for colour images of 256 x 256 pixels, 1000 classes.

    Args:
        dims: channels of the last four stages.
        expansion: of the inverted residuals outside the AFF blocks.
    """

    def down(dim: int, stride: int = 2) -> Stage:
        return Stage(InvertedResidual(dim, stride, expansion))

    stages = [down(32, 1), down(dims[0]), Stage(InvertedResidual(dims[0], 1, expansion), 2)]
    for dim, filters in zip(dims[1:], FILTERS, strict=True):
        stages += [down(dim), Stage(AffBlock(filters, groups=8))]
    head = ExpandedHead(min(4 * dims[-1], 960))
    return Architecture((3, 256, 256), 1000, ConvStem(16, 2, "silu"), tuple(stages), head)


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "affnet_et": partial(affnet, (48, 64, 104, 144), 2.0),
    "affnet_t": partial(affnet, (48, 96, 160, 192), 4.0),
    "affnet": partial(affnet, (64, 128, 256, 320), 4.0),
}

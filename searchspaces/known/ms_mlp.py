"""MS-MLP (2202.06510)."""

from collections.abc import Callable
from functools import partial

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.roll_mix import RollMix
from searchspaces.stems.embedding import EmbeddingStem

KERNELS = ("1,1,3,5,7", "1,3,3,5,7", "1,5,5,5,7", "1,7,7,7,7")
"""Sides of the filters of each stage's groups, in the order of their rolls, -2 to 2."""


def ms_mlp(dim: int, depths: tuple[int, ...]) -> Architecture:
    """MS-MLP for colour images of 224 x 224 pixels, 1000 classes; ``dim`` channels in the first stage."""
    stages = []
    for number, (depth, kernels) in enumerate(zip(depths, KERNELS, strict=True)):
        mixer = RollMix(5, step_w=2, step_h=2, combine="sum", kernels=kernels, sizes="chunks")
        block = MetaFormerBlock(mixer, ChannelMLP(4.0), norm="layer", layer_scale=1e-6, fused=True)
        before = ConvDownsample(dim * 2**number, kernel=2, norm="layer", padding=0) if number else None
        stages.append(Stage(block, depth, before))
    stem = EmbeddingStem(dim, kernel=4, stride=4, norm="layer")
    head = AverageHead("layer", norm_last=True)
    return Architecture((3, 224, 224), 1000, stem, tuple(stages), head)


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "ms_mlp_t": partial(ms_mlp, 96, (3, 3, 9, 3)),
    "ms_mlp_s": partial(ms_mlp, 96, (3, 3, 27, 3)),
    "ms_mlp_b": partial(ms_mlp, 128, (3, 3, 27, 3)),
}

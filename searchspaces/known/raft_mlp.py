"""RaftMLP (2108.04384)."""

from collections.abc import Callable
from functools import partial

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.downsamples import CrossScaleDownsample
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.raft import Raft
from searchspaces.stems.cross_scale import CrossScaleStem

KERNELS = ((4, 8), (2, 4), (2, 4), (2,))
"""Sides of the patches that lead to each stage."""


def raft_mlp(dims: tuple[int, ...]) -> Architecture:
    """RaftMLP for colour images of 224 x 224 pixels, 1000 classes.

    The residual step along the height and that along the width are one mixer (`Raft`): as many parameters and
    multiply-accumulates, but its second norm does not see the residual stream.
    """
    block = MetaFormerBlock(Raft(2, 2.0), ChannelMLP(4.0), norm="layer")
    stages = [
        Stage(block, depth, CrossScaleDownsample(dim, kernels) if number else None)
        for number, (dim, depth, kernels) in enumerate(zip(dims, (2, 2, 6, 2), KERNELS, strict=True))
    ]
    return Architecture((3, 224, 224), 1000, CrossScaleStem(dims[0], KERNELS[0]), tuple(stages), AverageHead("layer"))


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "raft_mlp_s": partial(raft_mlp, (64, 128, 256, 512)),
    "raft_mlp_m": partial(raft_mlp, (96, 192, 384, 768)),
    "raft_mlp_l": partial(raft_mlp, (128, 192, 512, 1024)),
}

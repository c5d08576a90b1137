"""Small networks for any images, as surrogates of transfer attacks."""

from collections.abc import Callable
from dataclasses import replace

from searchspaces.architecture import Architecture, Shape, Stage
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.raft import Raft
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.spaces.resnet import resnet
from searchspaces.stems.embedding import EmbeddingStem


def _tokens(dim: int, input: Shape) -> EmbeddingStem:
    """Patches without overlap, eight along the shorter side or a few more; fewer in images of less than 16 pixels."""
    patch = max(min(2, *input[1:]), min(input[1:]) // 8)
    return EmbeddingStem(dim, kernel=patch, stride=patch)


def small_convmixer(input: Shape, classes: int) -> Architecture:
    """ConvMixer-32/3."""
    return Architecture(input, classes, _tokens(32, input), (Stage(ConvMixerBlock(Depthwise(5)), 3),), AverageHead())


def small_resnet(input: Shape, classes: int) -> Architecture:
    """ResNet of three separable blocks with 16, 32 and 64 channels."""
    found = resnet(input, classes, [BasicBlock(dim) for dim in (16, 32, 64)], (1, 1, 1))
    stride = max(1, min(input[1:]) // 32)
    return found if stride == 1 else replace(found, stem=EmbeddingStem(16, kernel=stride, stride=stride))


def small_mixer(input: Shape, classes: int) -> Architecture:
    """MLP-Mixer with 32 channels and three blocks."""
    block = MetaFormerBlock(TokenMLP(hidden=64), ChannelMLP(2.0), norm="layer")
    return Architecture(input, classes, _tokens(32, input), (Stage(block, 3),), AverageHead("layer"))


def small_raft(input: Shape, classes: int) -> Architecture:
    """RaftMLP with 32 channels and three blocks."""
    block = MetaFormerBlock(Raft(2), ChannelMLP(2.0), norm="layer")
    return Architecture(input, classes, _tokens(32, input), (Stage(block, 3),), AverageHead("layer"))


SURROGATES: dict[str, Callable[[Shape, int], Architecture]] = {
    "convmixer": small_convmixer,
    "resnet": small_resnet,
    "mixer": small_mixer,
    "raft": small_raft,
}
"""Small networks for any images that are unlike each other, for transfer attacks."""

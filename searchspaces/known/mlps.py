"""MLPs on patches or on the whole image."""

from collections.abc import Callable

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.identity import NoTokenMixing
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem


def _mlp_mixer(dim: int, depth: int) -> Architecture:
    """MLP-Mixer of 2105.01601 for ImageNet, patch 16; hidden sizes dim/2 and 4 dim."""
    block = MetaFormerBlock(TokenMLP(hidden=dim // 2), ChannelMLP(hidden=4 * dim), norm="layer")
    stem = EmbeddingStem(dim, kernel=16, stride=16)
    return Architecture((3, 224, 224), 1000, stem, (Stage(block, depth),), AverageHead(norm="layer"))


def mixer_s16() -> Architecture:
    """Mixer-S/16: 18,528,264 parameters, 3,776,958,464 MACs."""
    return _mlp_mixer(512, 8)


def mixer_b16() -> Architecture:
    """Mixer-B/16: 59,880,472 parameters, 12,601,767,936 MACs."""
    return _mlp_mixer(768, 12)


def scaling_mlp(dim: int = 1024, depth: int = 12, *, side: int = 64, classes: int = 11_230) -> Architecture:
    """Scaling MLP (2306.13575): an MLP on the flattened image, by default B_12-Wi_1024 on ImageNet-21k.

    The image is one patch, so that the channels are the units. No norm before the classifier.
    """
    block = MetaFormerBlock(NoTokenMixing(), ChannelMLP(4.0), norm="layer")
    stem = EmbeddingStem(dim, kernel=side, stride=side)
    return Architecture((3, side, side), classes, stem, (Stage(block, depth),), AverageHead())


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "mixer_s16": mixer_s16,
    "mixer_b16": mixer_b16,
    "scaling_mlp_b12_wi1024": scaling_mlp,
}

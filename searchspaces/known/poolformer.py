"""PoolFormer and the hybrids of its paper (Yu et al., 2111.11418)."""

from collections.abc import Callable, Sequence
from functools import partial

from searchspaces.architecture import Architecture, Stage, TokenMixer
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.heads import AverageHead
from searchspaces.layers.norms import Norm
from searchspaces.operators.attention import Attention
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.pooling import Pooling
from searchspaces.operators.spatial_fc import SpatialFC
from searchspaces.stems.embedding import EmbeddingStem

SMALL, MEDIUM = (64, 128, 320, 512), (96, 192, 384, 768)
"""Channels of the stages."""


def poolformer(dims: tuple[int, ...], depths: tuple[int, ...]) -> Architecture:
    """PoolFormer for colour images of 224 x 224 pixels, 1000 classes."""
    mixers = [Pooling(3) for _ in dims]
    return metaformer(mixers, dims, depths, layer_scale=1e-5 if sum(depths) < 36 else 1e-6)


HEAD = 32
"""Channels of a head of attention."""


def hybrid(letters: str) -> Architecture:
    """S12 with a token mixer for each stage: p pooling, a attention, f a matrix over the positions.

    With attention the norms are over the channels alone, and the first stage that has it starts with an embedding of
    positions, as released.

    Example: ``hybrid("ppaa")``.
    """
    mixers: dict[str, Callable[[int], TokenMixer]] = {
        "p": lambda dim: Pooling(3),
        "a": lambda dim: Attention(heads=dim // HEAD, bias=True),
        "f": lambda dim: SpatialFC(),
    }
    chosen = [mixers[letter](dim) for letter, dim in zip(letters, SMALL, strict=True)]
    norm: Norm = "layer" if "a" in letters else "group"
    return metaformer(chosen, SMALL, (2, 2, 6, 2), norm=norm, positions=letters.find("a"))


def metaformer(
    mixers: Sequence[TokenMixer],
    dims: tuple[int, ...],
    depths: tuple[int, ...],
    *,
    norm: Norm = "group",
    layer_scale: float = 1e-5,
    positions: int = -1,
) -> Architecture:
    """The network around the token mixers of the stages.

    Args:
        positions: number of the stage, but the first, that starts with an embedding of positions; -1 for none.
    """
    stages = []
    for number, (mixer, dim, depth) in enumerate(zip(mixers, dims, depths, strict=True)):
        block = MetaFormerBlock(mixer, ChannelMLP(4.0), norm=norm, layer_scale=layer_scale)
        before = ConvDownsample(dim, position=number == positions) if number else None
        stages.append(Stage(block, depth, before))
    stem = EmbeddingStem(dims[0], kernel=7, stride=4, padding=2)
    return Architecture((3, 224, 224), 1000, stem, tuple(stages), AverageHead(norm))


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "poolformer_s12": partial(poolformer, SMALL, (2, 2, 6, 2)),
    "poolformer_s24": partial(poolformer, SMALL, (4, 4, 12, 4)),
    "poolformer_s36": partial(poolformer, SMALL, (6, 6, 18, 6)),
    "poolformer_m36": partial(poolformer, MEDIUM, (6, 6, 18, 6)),
    "poolformer_m48": partial(poolformer, MEDIUM, (8, 8, 24, 8)),
    **{f"metaformer_{letters}_s12": partial(hybrid, letters) for letters in ("pppa", "ppaa", "pppf", "ppff")},
}

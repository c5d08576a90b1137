"""Published networks by name; tests hold them to their published counts."""

from collections.abc import Callable
from functools import partial

from searchspaces.architecture import Architecture, Stage
from searchspaces.asm_rh import asm_rh
from searchspaces.blocks import ConvMixerBlock, MetaFormerBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pooling import Pooling
from searchspaces.resnet import resnet18
from searchspaces.spartan import spartan_t
from searchspaces.stems import EmbeddingStem, PatchStem
from searchspaces.wide_sparse import mixer_b16, mixer_s16


def convmixer(dim: int, depth: int, *, kernel: int, patch: int, side: int, classes: int) -> Architecture:
    """ConvMixer-dim/depth (Trockman & Kolter, 2201.09792) for colour images of side x side pixels."""
    block = ConvMixerBlock(Depthwise(kernel))
    return Architecture((3, side, side), classes, PatchStem(dim, patch), (Stage(block, depth),), AverageHead())


def poolformer(dims: tuple[int, ...], depths: tuple[int, ...]) -> Architecture:
    """PoolFormer (Yu et al., 2111.11418) for colour images of 224 x 224 pixels, 1000 classes."""
    block = MetaFormerBlock(Pooling(3), ChannelMLP(4.0), norm="group", layer_scale=1e-5)
    stages = [Stage(block, depths[0])]
    stages += [Stage(block, d, ConvDownsample(c)) for c, d in zip(dims[1:], depths[1:], strict=True)]
    stem = EmbeddingStem(dims[0], kernel=7, stride=4, padding=2)
    return Architecture((3, 224, 224), 1000, stem, tuple(stages), AverageHead("group"))


KNOWN: dict[str, Callable[[], Architecture]] = {
    "convmixer_256_8": partial(convmixer, 256, 8, kernel=5, patch=2, side=32, classes=10),
    "convmixer_512_16": partial(convmixer, 512, 16, kernel=8, patch=7, side=224, classes=1000),
    "convmixer_768_32": partial(convmixer, 768, 32, kernel=7, patch=7, side=224, classes=1000),
    "convmixer_1536_20": partial(convmixer, 1536, 20, kernel=9, patch=7, side=224, classes=1000),
    "poolformer_s12": partial(poolformer, (64, 128, 320, 512), (2, 2, 6, 2)),
    "spartan_t": spartan_t,
    "mixer_s16": mixer_s16,
    "mixer_b16": mixer_b16,
    "asm_rh_600": partial(asm_rh, 600, classes=8),
    "asm_rh_144": partial(asm_rh, 144, classes=35),
    "resnet18_d9": partial(resnet18, 9),
    "resnet18_d1": partial(resnet18, 1),
}

"""ConvMixers (Trockman & Kolter, 2201.09792)."""

from collections.abc import Callable
from functools import partial

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem


def convmixer(dim: int, depth: int, *, kernel: int, patch: int, side: int, classes: int) -> Architecture:
    """ConvMixer-dim/depth for colour images of side x side pixels."""
    block = ConvMixerBlock(Depthwise(kernel))
    return Architecture((3, side, side), classes, PatchStem(dim, patch), (Stage(block, depth),), AverageHead())


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "convmixer_128_8": partial(convmixer, 128, 8, kernel=8, patch=1, side=32, classes=10),
    "convmixer_256_8": partial(convmixer, 256, 8, kernel=5, patch=2, side=32, classes=10),
    "convmixer_512_16": partial(convmixer, 512, 16, kernel=8, patch=7, side=224, classes=1000),
    "convmixer_768_32": partial(convmixer, 768, 32, kernel=7, patch=7, side=224, classes=1000),
    "convmixer_1536_20": partial(convmixer, 1536, 20, kernel=9, patch=7, side=224, classes=1000),
}

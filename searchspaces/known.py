"""Published networks by name; tests compare them with their published counts."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from searchspaces.architecture import Architecture, Shape, Stage
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.downsamples import ConvDownsample, SpartanDownsample
from searchspaces.freezing import Freeze
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.hermit import Axis, Hermit, Position, Reading
from searchspaces.operators.pooling import Pooling
from searchspaces.operators.raft import Raft
from searchspaces.operators.roll_mix import RollMix
from searchspaces.operators.roll_token_mlp import RollTokenMLP
from searchspaces.operators.spartan_mixer import SpartanMixer
from searchspaces.operators.spartan_wave import SpartanWave, WaveConv
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.spaces.resnet import LAYOUTS, resnet
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import PatchStem
from searchspaces.stems.spartan import SpartanStem


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


RELEASED_CONVS: tuple[WaveConv, ...] = ("depthwise", "depthwise", "grouped", "grouped")
"""Groups of the channel mixer's convolution in the stages of the released code."""


def spartan(
    input: Shape,
    classes: int,
    *,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    depths: tuple[int, ...] = (3, 3, 12, 2),
    expansions: tuple[int, ...] = (4, 4, 2, 2),
    hybrid: int = 2,
    channel_convs: tuple[WaveConv, ...] = RELEASED_CONVS,
    layer_scale: float = 1e-5,
    stem_stride: int = 4,
) -> Architecture:
    """SpaRTAN (2507.10999) with the published SpaRTAN-T as its defaults.

    Left out: drop-path (0 to 0.095 over the blocks), which short trainings do not need. The released code decays layer
    scales and W_c like weights.

    Args:
        widths, depths, expansions, channel_convs: one value for each stage.
        hybrid: leading stages whose spatial mixers have full convolutions; the later ones are depthwise.
        layer_scale: start of the residual factors; short trainings need 1 or 1e-2.
    """
    stages = [
        Stage(
            MetaFormerBlock(
                SpartanMixer(conv="full" if number < hybrid else "depthwise"),
                SpartanWave(expansions[number], conv=channel_convs[number]),
                norm="group",
                layer_scale=layer_scale,
            ),
            depths[number],
            SpartanDownsample(width) if number else None,
        )
        for number, width in enumerate(widths)
    ]
    return Architecture(input, classes, SpartanStem(widths[0], stem_stride), tuple(stages), AverageHead())


def spartan_t(input: Shape = (3, 256, 256), classes: int = 1000) -> Architecture:
    """SpaRTAN-T as released: 3,820,296 parameters, 1.044 G multiply-accumulates at 256 x 256, as published."""
    return spartan(input, classes)


def spartan_small(input: Shape = (3, 64, 64), classes: int = 10) -> Architecture:
    """Half the widths and five blocks: 312,426 parameters, 5.4 M multiply-accumulates at 64 x 64."""
    return spartan(input, classes, widths=(16, 32, 64, 128), depths=(1, 1, 2, 1))


def spartan_tiny(input: Shape = (3, 32, 32), classes: int = 10) -> Architecture:
    """Narrower still: 143,114 parameters, 1.1 M multiply-accumulates at 32 x 32."""
    return spartan(input, classes, widths=(16, 32, 48, 64), depths=(1, 1, 2, 1))


INPUTS: dict[int, Shape] = {600: (1, 128, 512), 144: (1, 128, 128)}
"""Number of tokens of 16 pixels at stride 10 -> spectrogram: ESC-50, UrbanSound8K and RAVDESS; Speech Commands."""


def asm_rh(
    tokens: Literal[600, 144] = 600,
    *,
    classes: int = 8,
    input: Shape | None = None,
    patch: int = 16,
    stride: int = 10,
    dim: int = 768,
    depth: int = 12,
    token_hidden: int = 384,
    reading: Reading = "literal",
    axis: Axis = "token",
    position: Position = "around",
) -> Architecture:
    """ASM-RH (2402.18007), an MLP-Mixer for spectrograms, with rolled tokens and Hermitian-frequency mixing.

    There is no official code: this is one buildable reading, and its counts of parameters are not published ones.
    Hidden sizes are those of Mixer-B/16.

    Args:
        tokens: 600 or 144, the published spectrograms (INPUTS), unless ``input`` is set.
        input: (1, mel, frames).
        patch, stride: of the patches, in pixels.
        token_hidden: units of the token MLPs; the channel MLPs have 4 dim.
        reading, axis, position: of the frequency mixing (`Hermit`).
    """
    token = RollTokenMLP(token_hidden, RollMix(16))
    block = MetaFormerBlock(token, Hermit(reading, axis, position), norm="layer")
    stem = EmbeddingStem(dim, patch, stride)
    return Architecture(input or INPUTS[tokens], classes, stem, (Stage(block, depth),), AverageHead("layer"))


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


def resnet18(multiplier: int, freeze: Freeze = "full") -> Architecture:
    """Separable ResNet-18 for CIFAR-10, one freeze pattern for all blocks."""
    return _resnet("resnet18", multiplier, freeze)


def resnet20(multiplier: int, freeze: Freeze = "full") -> Architecture:
    """Separable ResNet-20 for CIFAR-10, one freeze pattern for all blocks."""
    return _resnet("resnet20", multiplier, freeze)


def _resnet(layout: str, multiplier: int, freeze: Freeze) -> Architecture:
    dims, depths = LAYOUTS[layout]
    blocks = [BasicBlock(dim, multiplier=multiplier, freeze=freeze) for dim in dims]
    return resnet((3, 32, 32), 10, blocks, depths)


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

"""SpaRTAN: a pyramid of MetaFormer blocks with a two-branch spatial mixer and a wave channel mixer (2507.10999).

The stem, the downsampling between stages and the published network as an `Architecture`. Its figures, 3.8 M parameters
and 1.0 G multiply-accumulates, are those of 256 x 256 images; test both. Left out: drop-path (0 to 0.095 over the
blocks), which short trainings do not need. The released code decays layer scales and W_c like weights.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from searchspaces.architecture import Architecture, Downsample, Shape, Stage, Stem, spec
from searchspaces.blocks import MetaFormerBlock
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.heads import AverageHead
from searchspaces.operators.smixer import SMixer, fan_out_normal
from searchspaces.operators.wave import Conv, Wave

STEM_STRIDES = {1: (1, 1), 2: (2, 1), 4: (2, 2)}
"""Stride of the whole stem -> strides of its two convolutions; the paper's is 4."""


@spec("spartan")
@dataclass(frozen=True)
class SpartanStem(Stem):
    """Two 3x3 convolutions without bias, each with BatchNorm and GELU: to dim / 2 channels, then to dim.

    Args:
        dim: channels that come out, even.
        stride: of both convolutions together, 1, 2 or 4; small images need 1 or 2.
    """

    dim: int
    stride: int = 4

    def __post_init__(self) -> None:
        if self.dim < 2 or self.dim % 2 or self.stride not in STEM_STRIDES:
            raise ValueError(
                f"dim must be even and at least 2 and stride one of {', '.join(map(str, STEM_STRIDES))}, "
                f"got dim={self.dim}, stride={self.stride}."
            )

    def label(self) -> str:
        return f"dim {self.dim} /{self.stride}"

    def shapes(self, shape: Shape) -> tuple[Shape, Shape]:
        """What comes out of the two convolutions; ceil(side / stride) positions a side."""
        first, second = STEM_STRIDES[self.stride]
        _, height, width = shape
        middle = (self.dim // 2, -(-height // first), -(-width // first))
        return middle, (self.dim, -(-middle[1] // second), -(-middle[2] // second))

    def output(self, shape: Shape) -> Shape:
        return self.shapes(shape)[1]

    def cost(self, shape: Shape) -> Cost:
        total = Cost()
        for channels, height, width in self.shapes(shape):
            positions, weights = height * width, 9 * shape[0] * channels
            total += convolution(positions * weights, weights, shape[0] * shape[1] * shape[2])
            total += batch_norm(channels, positions) + elementwise(channels * positions, kept=channels * positions)
            shape = channels, height, width
        return total

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16, 24), "stride": tuple(s for s in STEM_STRIDES if min(shape[1:]) >= 2 * s)}

    def build(self, shape: Shape) -> nn.Module:
        layers: list[nn.Module] = []
        before = shape[0]
        for channels, stride in zip((self.dim // 2, self.dim), STEM_STRIDES[self.stride], strict=True):
            layers += [
                nn.Conv2d(before, channels, 3, stride, 1, bias=False),
                nn.BatchNorm2d(channels, eps=1e-6),
                nn.GELU(),
            ]
            before = channels
        stem = nn.Sequential(*layers)
        fan_out_normal(stem)
        return stem


@spec("spartan")
@dataclass(frozen=True)
class SpartanDownsample(Downsample):
    """2x2 convolution of stride 2 without bias, BatchNorm, SiLU (not GELU); an odd last row or column is left out.

    Args:
        dim: channels that come out.
    """

    dim: int

    def label(self) -> str:
        return f"dim {self.dim} /2"

    def output(self, shape: Shape) -> Shape:
        _, height, width = shape
        if min(height, width) < 2:
            raise ValueError(f"downsampling needs at least 2 positions a side, got {shape}. Take fewer stages.")
        return self.dim, height // 2, width // 2

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = self.output(shape)
        weights, positions = 4 * shape[0] * dim, height * width
        conv = convolution(positions * weights, weights, shape[0] * shape[1] * shape[2])
        return conv + batch_norm(dim, positions) + elementwise(dim * positions, kept=dim * positions)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16, 24)}

    def build(self, shape: Shape) -> nn.Module:
        self.output(shape)
        conv = nn.Conv2d(shape[0], self.dim, 2, 2, bias=False)
        fan_out_normal(conv)
        return nn.Sequential(conv, nn.BatchNorm2d(self.dim, eps=1e-6), nn.SiLU())


RELEASED: tuple[Conv, ...] = ("depthwise", "depthwise", "grouped", "grouped")
"""Groups of the channel mixer's convolution in the stages of the released code."""


def spartan(
    input: Shape,
    classes: int,
    *,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    depths: tuple[int, ...] = (3, 3, 12, 2),
    expansions: tuple[int, ...] = (4, 4, 2, 2),
    hybrid: int = 2,
    channel_convs: tuple[Conv, ...] = RELEASED,
    layer_scale: float = 1e-5,
    stem_stride: int = 4,
) -> Architecture:
    """SpaRTAN with the published SpaRTAN-T as its defaults.

    Args:
        widths, depths, expansions, channel_convs: one value for each stage.
        hybrid: leading stages whose spatial mixers have full convolutions; the later ones are depthwise.
        layer_scale: start of the residual factors; short trainings need 1 or 1e-2.
    """
    stages = [
        Stage(
            MetaFormerBlock(
                SMixer(conv="full" if number < hybrid else "depthwise"),
                Wave(expansions[number], conv=channel_convs[number]),
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
    """SpaRTAN-T as released: 3,820,296 parameters, 1.044 G multiply-accumulates at 256 x 256."""
    return spartan(input, classes)


def spartan_small(input: Shape = (3, 64, 64), classes: int = 10) -> Architecture:
    """Half the widths and five blocks: 312,426 parameters, 5.4 M multiply-accumulates at 64 x 64."""
    return spartan(input, classes, widths=(16, 32, 64, 128), depths=(1, 1, 2, 1))


def spartan_tiny(input: Shape = (3, 32, 32), classes: int = 10) -> Architecture:
    """Narrower still: 143,114 parameters, 1.1 M multiply-accumulates at 32 x 32."""
    return spartan(input, classes, widths=(16, 32, 48, 64), depths=(1, 1, 2, 1))

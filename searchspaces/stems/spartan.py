"""SpaRTAN's stem (2507.10999): two convolutions, ``(B, C, H, W) -> (B, dim, H', W')``."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.layers.initialization import fan_out_normal

STEM_STRIDES = {1: (1, 1), 2: (2, 1), 4: (2, 2)}
"""Stride of the whole stem -> strides of its two convolutions; the paper's is 4."""


@spec("spartan")
@dataclass(frozen=True)
class SpartanStem(Stem):
    """Two 3x3 convolutions without bias, each with BatchNorm and GELU: to dim / 2 channels, then to dim.

    Args:
        dim: output channels, even.
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
        """Outputs of the two convolutions; ceil(side / stride) positions a side."""
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

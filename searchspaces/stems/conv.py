"""Stem of residual networks for small images (1512.03385), ``(B, C, H, W) -> (B, dim, H', W')``."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise


@spec("conv")
@dataclass(frozen=True)
class ConvStem(Stem):
    """Conv 3x3 without bias, BatchNorm, and an activation.

    Args:
        dim: output channels.
        stride: in pixels; one zero on every side.
        activation: ``relu``, or ``silu`` as in later networks.
    """

    dim: int
    stride: int = 1
    activation: Literal["relu", "silu"] = "relu"

    def __post_init__(self) -> None:
        if min(self.dim, self.stride) < 1:
            raise ValueError(f"dim and stride must be at least 1, got dim={self.dim}, stride={self.stride}.")

    def label(self) -> str:
        return f"dim {self.dim} conv3" + (f" /{self.stride}" if self.stride > 1 else "")

    def output(self, shape: Shape) -> Shape:
        return self.dim, (shape[1] - 1) // self.stride + 1, (shape[2] - 1) // self.stride + 1

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = self.output(shape)
        taps, positions = 9 * shape[0], height * width
        conv = convolution(positions * taps * dim, taps * dim, shape[0] * shape[1] * shape[2])
        return conv + batch_norm(dim, positions) + elementwise(dim * positions, kept=dim * positions)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16, 24), "stride": (1, 2), "activation": ("relu", "silu")}

    def build(self, shape: Shape) -> nn.Module:
        conv = nn.Conv2d(shape[0], self.dim, 3, self.stride, 1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(self.dim), nn.SiLU() if self.activation == "silu" else nn.ReLU())

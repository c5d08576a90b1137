"""Downsamplings between two stages, ``(B, C, H, W) -> (B, dim, H', W')``: fewer positions and more channels."""

from dataclasses import dataclass, replace
from typing import Any, get_args

from torch import nn

from searchspaces.architecture import Downsample, Shape, spec
from searchspaces.costs import NORM_COSTS, Cost, batch_norm, convolution, elementwise
from searchspaces.layers.cross_scale import CrossScale
from searchspaces.layers.initialization import fan_out_normal
from searchspaces.layers.norms import Norm, make_norm
from searchspaces.layers.pointwise import full_convolution
from searchspaces.layers.positions import PositionTable, position_cost
from searchspaces.registry import check_least


@spec("conv_downsample")
@dataclass(frozen=True)
class ConvDownsample(Downsample):
    """One strided convolution with bias, then a norm unless it is ``none`` (PoolFormer: kernel 3, stride 2, no norm).

    Args:
        dim: output channels.
        kernel, stride: in positions.
        padding: zeros on every side; None for ``kernel // 2``.
        position: add a learned embedding of each position.
    """

    dim: int
    kernel: int = 3
    stride: int = 2
    norm: Norm = "none"
    padding: int | None = None
    position: bool = False

    def __post_init__(self) -> None:
        check_least(self, dim=1, kernel=1, stride=1)
        if self.padding is not None:
            check_least(self, padding=0)

    def canonical(self) -> "ConvDownsample":
        return replace(self, padding=None if self.padding == self.kernel // 2 else self.padding)

    @property
    def border(self) -> int:
        """Zeros on every side."""
        return self.kernel // 2 if self.padding is None else self.padding

    def label(self) -> str:
        return f"dim {self.dim} /{self.stride}"

    def output(self, shape: Shape) -> Shape:
        sides = [(side + 2 * self.border - self.kernel) // self.stride + 1 for side in shape[1:]]
        return self.dim, sides[0], sides[1]

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = self.output(shape)
        taps, positions = shape[0] * self.kernel**2, height * width
        held = shape[0] * (positions if self.kernel == 1 else shape[1] * shape[2])
        conv = convolution(positions * taps * dim, dim * taps + dim, held)
        table = position_cost(dim * positions) if self.position else Cost()
        return conv + NORM_COSTS[self.norm](dim, positions) + table

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "dim": (16,),
            "kernel": (1, 2, 3),
            "norm": get_args(Norm),
            "padding": (None, 0, 1),
            "position": (False, True),
        }

    def build(self, shape: Shape) -> nn.Module:
        conv = full_convolution(shape[0], self.dim, self.kernel, self.stride, self.border)
        layers = [conv, make_norm(self.norm, self.dim)]
        return nn.Sequential(*layers, *([PositionTable(self.output(shape))] if self.position else []))


@spec("cross_scale")
@dataclass(frozen=True)
class CrossScaleDownsample(Downsample, CrossScale):
    """RaftMLP's: patches of several sizes, embedded together; published with kernels (2, 4) and (2,)."""


@spec("spartan")
@dataclass(frozen=True)
class SpartanDownsample(Downsample):
    """SpaRTAN's: 2x2 convolution of stride 2 without bias, BatchNorm, SiLU (not GELU); an odd last row is left out.

    Args:
        dim: output channels.
    """

    dim: int

    def __post_init__(self) -> None:
        check_least(self, dim=1)

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

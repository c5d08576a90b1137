"""Chebyshev polynomials of the channels, ``(B, C, H, W) -> (B, C, H, W)``: a KAN layer with one basis (2408.08338).

tanh brings the inputs into [-1, 1] and the three-term recurrence replaces ``cos(k acos t)``, whose gradient is infinite
at the ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.registry import check_least


@spec("cheb_kan")
@dataclass(frozen=True)
class ChebyshevKan(ChannelMixer):
    """``y_o = sum_i sum_k c[o, i, k] T_k(tanh x_i)``, k = 0 to the degree.

    Args:
        degree: of the polynomials; 1 is a linear map of tanh x with a bias.
    """

    degree: int = 3

    def __post_init__(self) -> None:
        check_least(self, degree=1)

    def label(self) -> str:
        return f"cheb_kan d{self.degree}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"degree": (1, 2, 3, 4)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        size, square, trained, degree = shape[0] * shape[1] * shape[2], shape[0] ** 2, freeze != "space", self.degree
        # Kept are tanh x and its double and each polynomial that makes another; and all of them in a row for the map.
        made, row = (0, 1) if degree == 1 else (degree, degree)
        return Cost(
            macs=(degree + 1) * square * shape[1] * shape[2],
            macs_executed=degree * square * shape[1] * shape[2],  # T_0 is 1: a bias
            elementwise_flops=(1 if degree == 1 else 2 * degree) * size + square,
            parameters=(degree + 1) * square,
            trainable_parameters=(degree + 1) * square if trained else 0,
            activations=made * size + (row * size if trained or degree == 1 else 0),
        )

    def build(self, shape: Shape) -> "Polynomials":
        return Polynomials(shape[0], self.degree)


def chebyshev(t: Tensor, degree: int) -> list[Tensor]:
    """T_1 to T_degree of ``t``."""
    found = [t]
    if degree > 1:
        twice = 2 * t
        found.append(twice * t - 1)
        for _ in range(2, degree):
            found.append(twice * found[-1] - found[-2])
    return found


class Polynomials(Mixer):
    """Module of `ChebyshevKan`; coefficients start with variance 1 / (C (degree + 1))."""

    def __init__(self, channels: int, degree: int) -> None:
        super().__init__()
        std = (channels * (degree + 1)) ** -0.5
        self.constant = nn.Parameter(std * torch.randn(channels, channels))
        self.coefficients = nn.Parameter(std * torch.randn(channels, degree * channels))
        """(C, degree C): those of T_1 for all inputs, then of T_2."""
        self.degree = degree

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.tanh(x.permute(0, 2, 3, 1).contiguous())  # (B, H, W, C); no copy if x is channels last
        maps = chebyshev(rows, self.degree)
        row = torch.cat(maps, 3) if self.degree > 1 else rows
        return F.linear(row, self.coefficients, self.constant.sum(1)).permute(0, 3, 1, 2)

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters()

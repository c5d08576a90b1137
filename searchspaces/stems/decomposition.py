"""Trend and remainder of series, ``(B, 1, variates, time) -> (B, 2, variates, time)``, without a parameter.

With a head that forecasts, and nothing between them, this is DLinear (2205.13504).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost, elementwise
from searchspaces.registry import check_odd


@spec("decomposition")
@dataclass(frozen=True)
class DecompositionStem(Stem):
    """What remains of each row without its moving average, and the average, whose ends repeat the first and last value.

    Args:
        kernel: steps of the average, odd.
    """

    kernel: int = 25

    def __post_init__(self) -> None:
        check_odd(self, "kernel")

    def label(self) -> str:
        return f"trend {self.kernel}"

    def output(self, shape: Shape) -> Shape:
        return 2 * shape[0], shape[1], shape[2]

    def cost(self, shape: Shape) -> Cost:
        return elementwise((self.kernel + 1) * shape[0] * shape[1] * shape[2])

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"kernel": (3, 5)}

    def build(self, shape: Shape) -> nn.Module:
        return Decomposition(self.kernel)


class Decomposition(nn.Module):
    """Module of `DecompositionStem`."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        half = self.kernel // 2
        ends = [x[..., :1].expand(-1, -1, -1, half), x, x[..., -1:].expand(-1, -1, -1, half)]
        trend = torch.cat(ends, 3).unfold(3, self.kernel, 1).mean(4)  # pooling would keep its input
        return torch.cat([x - trend, trend], 1)

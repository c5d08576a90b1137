"""Heads: tokens ``(B, C, H, W)`` to the features ``(B, F)`` of the classifier."""

from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from searchspaces.architecture import Head, Shape, spec
from searchspaces.costs import NORM_COSTS, Cost, elementwise
from searchspaces.layers.norms import Norm, make_norm


@spec("average")
@dataclass(frozen=True)
class AverageHead(Head):
    """Mean over all positions, after a norm unless it is ``none``."""

    norm: Norm = "none"

    def output(self, shape: Shape) -> Shape:
        return shape[0], 1, 1

    def cost(self, shape: Shape) -> Cost:
        positions = shape[1] * shape[2]
        return NORM_COSTS[self.norm](shape[0], positions) + elementwise(shape[0] * positions)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"norm": get_args(Norm)}

    def build(self, shape: Shape) -> nn.Module:
        return nn.Sequential(make_norm(self.norm, shape[0]), nn.AdaptiveAvgPool2d(1), nn.Flatten())

"""Heads: tokens ``(B, C, H, W)`` to the features ``(B, F)`` on which the classifier sits."""

from dataclasses import dataclass

from torch import nn

from searchspaces.architecture import Head, Shape, spec


@spec("average")
@dataclass(frozen=True)
class AverageHead(Head):
    """Mean over all positions."""

    def output(self, shape: Shape) -> Shape:
        return shape[0], 1, 1

    def build(self, shape: Shape) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

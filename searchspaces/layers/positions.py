"""A learned embedding of every position, added: ``(B, C, H, W) -> (B, C, H, W)``."""

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape
from searchspaces.costs import Cost


class PositionTable(nn.Module):
    """Adds a value for each channel and position; starts normal with deviation 0.02."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.values = nn.Parameter(0.02 * torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.values


def position_cost(size: int) -> Cost:
    """Cost of a table of ``size`` values."""
    return Cost(elementwise_flops=size, parameters=size, trainable_parameters=size)

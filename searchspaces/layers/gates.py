"""Channel gates, ``(B, C, H, W) -> (B, C, H, W)``."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.costs import Cost, elementwise, linear


class SqueezeExcitation(nn.Module):
    """Channel gate ``x * sigmoid(W2 relu(W1 mean(x)))`` on ``(B, C, H, W)`` (Hu et al. 2018); both maps with bias."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))  # (B, C)
        return x * gate[:, :, None, None]


def squeeze_excitation_cost(channels: int, hidden: int, positions: int, *, trained: bool) -> Cost:
    """Cost of `SqueezeExcitation`: mean, two linear maps with bias, gate; keeps its input, hidden layer and gate."""
    maps = linear(channels * hidden, channels * hidden + hidden, channels, trained=trained)
    maps += linear(hidden * channels, hidden * channels + channels, 0, trained=trained)
    size = channels * positions
    return maps + elementwise(2 * size + hidden + channels, kept=size + hidden + channels)

"""One trained matrix over all positions as a token mixer: ``y[b, c, :] = W x[b, c, :]``.

Source: 2111.11418 (PoolFormer). Bound to the resolution it was built for.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost, linear
from searchspaces.freezing import Freeze, Mixer


@spec("spatial_fc")
@dataclass(frozen=True)
class SpatialFC(TokenMixer):
    """A trained matrix over the positions, the same for every channel, without bias."""

    def label(self) -> str:
        return "fc"

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        weights = positions * positions
        return linear(channels * weights, weights, channels * positions, trained=freeze != "chans")

    def build(self, shape: Shape) -> "PositionMatrix":
        return PositionMatrix(shape[1] * shape[2])


class PositionMatrix(Mixer):
    """Module of `SpatialFC`."""

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(positions, positions))
        nn.init.uniform_(self.weight, -1 / math.sqrt(positions), 1 / math.sqrt(positions))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows = x.reshape(batch * channels, height * width)  # (B C, N)
        return (rows @ self.weight.T).view(batch, channels, height, width)

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return (self.weight,)

"""An operator of one's own: each pixel is gated by its left neighbour."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer


@spec("left_gate")
@dataclass(frozen=True)
class LeftGate(TokenMixer):
    """``y = x * sigmoid(g * left(x))`` with one factor g for each channel."""

    def build(self, shape: Shape) -> "Gate":
        return Gate(shape[0])

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, size = shape[0], shape[0] * shape[1] * shape[2]
        trained = channels if freeze != "chans" else 0
        return Cost(0, 0, 0, 3 * size, channels, trained, activations=3 * size if trained else 2 * size)


class Gate(Mixer):
    """Module of `LeftGate`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.factor * x.roll(1, 3))

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return (self.factor,)

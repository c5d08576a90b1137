"""An operator of one's own: each pixel is gated by its left neighbour."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.freezing import Mixer


@spec("left_gate")
@dataclass(frozen=True)
class LeftGate(TokenMixer):
    """``y = x * sigmoid(g * left(x))`` with one factor g for each channel; its cost is counted."""

    def build(self, shape: Shape) -> "Gate":
        return Gate(shape[0])


class Gate(Mixer):
    """Module of `LeftGate`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.factor * x.roll(1, 3))

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return (self.factor,)

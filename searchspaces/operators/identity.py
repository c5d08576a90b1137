"""No mixing, ``y = 0``: the control of every study; the block's residual carries the input (2210.13452)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from searchspaces.architecture import ChannelMixer, Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer


class Nothing(Mixer):
    """Zeros of the shape of the input."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@spec("identity")
@dataclass(frozen=True)
class NoTokenMixing(TokenMixer):
    """Positions are not mixed; a MetaFormer block leaves out its norm too."""

    def weights(self) -> frozenset[Weights]:
        return frozenset()

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        return Cost()

    def build(self, shape: Shape) -> Nothing:
        return Nothing()


@spec("identity")
@dataclass(frozen=True)
class NoChannelMixing(ChannelMixer):
    """Channels are not mixed; a MetaFormer block leaves out its norm too."""

    def weights(self) -> frozenset[Weights]:
        return frozenset()

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        return Cost()

    def build(self, shape: Shape) -> Nothing:
        return Nothing()

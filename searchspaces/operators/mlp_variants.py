"""Channel MLPs with a little more, ``(B, C, H, W) -> (B, C, H, W)``: the controls of SpaRTAN's channel mixer.

Source: SpaRTAN, 2507.10999, compares its wave mixer with an MLP and an MLP with a channel gate. Both lack the wave
mixer's 3x3 convolution, to which a small experiment owed most of the gain (0.926 with it in the MLP, 0.931 wave, 0.884
plain, on 8x8 digits): compare with ``mlp_depthwise`` too. Weights start as in the other mixers of the family.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, Weights, spec
from searchspaces.costs import Cost, convolution, elementwise
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers import SqueezeExcitation
from searchspaces.operators.smixer import fan_out_normal, squeeze_excitation


@spec("mlp_se")
@dataclass(frozen=True)
class MlpSE(ChannelMixer):
    """``Conv1x1(SE(GELU(Conv1x1(x))))``; the hidden width of the gate is C // 4.

    Args:
        expansion: hidden channels over channels.
    """

    expansion: int = 4

    def __post_init__(self) -> None:
        _check(self.expansion)

    def label(self) -> str:
        return f"mlp+se r{self.expansion}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (1, 2, 3, 4)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions, trained = shape[0], shape[1] * shape[2], freeze != "space"
        gate = squeeze_excitation(self.expansion * channels, channels // 4, positions, trained=trained)
        return _mlp(shape, self.expansion, trained=trained) + gate

    def build(self, shape: Shape) -> "GatedMlp":
        if shape[0] < 4:
            raise ValueError(f"mlp_se needs at least 4 channels, for a gate of a quarter of them, got input {shape}.")
        return GatedMlp(shape[0], self)


class GatedMlp(Mixer):
    """Module of `MlpSE`: all its parameters mix channels."""

    def __init__(self, channels: int, spec: MlpSE) -> None:
        super().__init__()
        hidden = spec.expansion * channels
        self.expand, self.reduce = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
        self.gate = SqueezeExcitation(hidden, channels // 4)
        fan_out_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.reduce(self.gate(F.gelu(self.expand(x))))
        return y

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters()


@spec("mlp_depthwise")
@dataclass(frozen=True)
class MlpDepthwise(ChannelMixer):
    """``Conv1x1(GELU(DepthwiseConv3x3(Conv1x1(x))))``, all with bias; the depthwise filters are spatial parameters.

    Args:
        expansion: hidden channels over channels.
    """

    expansion: int = 2

    def __post_init__(self) -> None:
        _check(self.expansion)

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        return f"mlp+dw3 r{self.expansion}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (1, 2, 3, 4)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        hidden, positions = self.expansion * shape[0], shape[1] * shape[2]
        filters = convolution(9 * hidden * positions, 10 * hidden, hidden * positions, trained=freeze != "chans")
        return _mlp(shape, self.expansion, trained=freeze != "space") + filters

    def build(self, shape: Shape) -> "DepthwiseMlp":
        return DepthwiseMlp(shape[0], self)


class DepthwiseMlp(Mixer):
    """Module of `MlpDepthwise`."""

    def __init__(self, channels: int, spec: MlpDepthwise) -> None:
        super().__init__()
        hidden = spec.expansion * channels
        self.expand, self.reduce = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        fan_out_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.reduce(F.gelu(self.depthwise(self.expand(x))))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.depthwise.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return [*self.expand.parameters(), *self.reduce.parameters()]


def _check(expansion: int) -> None:
    if expansion < 1:
        raise ValueError(f"expansion must be at least 1, got {expansion}.")


def _mlp(shape: Shape, expansion: int, *, trained: bool) -> Cost:
    """Two 1x1 convolutions with bias and the GELU before the second."""
    channels, positions = shape[0], shape[1] * shape[2]
    hidden, weights = expansion * channels, expansion * channels**2
    first = convolution(weights * positions, weights + hidden, channels * positions, trained=trained)
    second = convolution(weights * positions, weights + channels, hidden * positions, trained=trained)
    return first + elementwise(hidden * positions, kept=hidden * positions) + second

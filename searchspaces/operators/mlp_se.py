"""Channel MLP with a channel gate, ``(B, C, H, W) -> (B, C, H, W)``: a control of SpaRTAN's channel mixer.

Source: SpaRTAN, 2507.10999, compares its wave mixer with an MLP and with this one. Weights start as in the other mixers
of SpaRTAN.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.gates import SqueezeExcitation, squeeze_excitation_cost
from searchspaces.layers.initialization import fan_out_normal
from searchspaces.layers.mlps import pointwise_mlp_cost
from searchspaces.layers.permutations import hidden_units
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_positive


@spec("mlp_se")
@dataclass(frozen=True)
class MlpSE(ChannelMixer):
    """``Conv1x1(SE(GELU(Conv1x1(x))))``; the hidden width of the gate is C // 4.

    Args:
        expansion: hidden channels over channels.
    """

    expansion: float = 4.0

    def __post_init__(self) -> None:
        check_positive(self, "expansion")

    def label(self) -> str:
        return f"mlp+se r{self.expansion:g}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (0.5, 1.0, 2.0, 4.0)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        self._check(shape)
        channels, positions, trained = shape[0], shape[1] * shape[2], freeze != "space"
        hidden = hidden_units(channels, self.expansion)
        gate = squeeze_excitation_cost(hidden, channels // 4, positions, trained=trained)
        return pointwise_mlp_cost(shape, hidden, trained=trained) + gate

    def build(self, shape: Shape) -> "GatedMlp":
        self._check(shape)
        return GatedMlp(shape[0], self)

    @staticmethod
    def _check(shape: Shape) -> None:
        if shape[0] < 4:
            raise ValueError(f"mlp_se needs at least 4 channels, for a gate of a quarter of them, got input {shape}.")


class GatedMlp(Mixer):
    """Module of `MlpSE`: all its parameters mix channels."""

    def __init__(self, channels: int, config: MlpSE) -> None:
        super().__init__()
        hidden = hidden_units(channels, config.expansion)
        self.expand, self.reduce = Conv1x1(channels, hidden), Conv1x1(hidden, channels)
        self.gate = SqueezeExcitation(hidden, channels // 4)
        fan_out_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.reduce(self.gate(F.gelu(self.expand(x))))
        return y

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters()

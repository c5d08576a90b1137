"""Channel MLP with a gate, ``(B, C, H, W) -> (B, C, H, W)``: the feature mixing of PatchTSMixer (2306.09364)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.gated_mlp import (
    AXIS_GATES,
    AxisGate,
    GatedMLP,
    check_gated_mlp,
    gated_label,
    gated_mlp_cost,
)
from searchspaces.layers.permutations import hidden_units


@spec("gated_mlp")
@dataclass(frozen=True)
class GatedChannelMLP(ChannelMixer):
    """``gate(W2 gelu(W1 x))`` over the channels of every position: 2 e C^2 + e C + C parameters, and C^2 + C of a gate.

    Args:
        expansion: e, hidden units for each channel.
        gate: ``softmax`` as published, which divides by about C; ``scaled``, C times that; ``sigmoid``; ``none``.
    """

    expansion: float = 2.0
    gate: AxisGate = "softmax"

    def __post_init__(self) -> None:
        check_gated_mlp(self.expansion, self.gate)

    def label(self) -> str:
        return gated_label("gated_mlp", self.expansion, self.gate)

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        size = shape[0] * shape[1] * shape[2]
        return gated_mlp_cost(size, shape[0], self.expansion, self.gate, trained=freeze != "space")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (0.5, 2.0), "gate": AXIS_GATES}

    def build(self, shape: Shape) -> "GatedChannels":
        return GatedChannels(shape[0], self)


class GatedChannels(Mixer):
    """Module of `GatedChannelMLP`: linear layers on the channels-last view."""

    def __init__(self, channels: int, config: GatedChannelMLP) -> None:
        super().__init__()
        self.mlp = GatedMLP(channels, hidden_units(channels, config.expansion), config.gate)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mlp(x.permute(0, 2, 3, 1).contiguous())  # (B, H, W, C)
        return y.permute(0, 3, 1, 2)

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.mlp.parameters()

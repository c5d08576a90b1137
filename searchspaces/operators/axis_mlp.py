"""One MLP along the rows or the columns, ``(B, C, H, W) -> (B, C, H, W)``, with a gate: the mixing of PatchTSMixer.

Source: TSMixer (2306.09364). Of series ``(B, C, variates, time)`` the rows are the time of a variate, the columns the
variates of a time. The gate is behind the MLP along the time and before it along the variates, as published.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
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
from searchspaces.registry import check_one_of

Axis = Literal["rows", "columns"]
"""``rows``: along the width, the time of series; ``columns``: along the height, their variates."""


@spec("axis_mlp")
@dataclass(frozen=True)
class AxisMLP(TokenMixer):
    """``gate(W2 gelu(W1 x))`` along one axis of length q, the same for all channels and all positions of the other.

    2 e q^2 + e q + q parameters for expansion e, and q^2 + q of a gate.

    Args:
        axis: ``rows`` along the width, ``columns`` along the height, there with the gate before the MLP.
        expansion: e, hidden units for each position of the axis.
        gate: ``softmax`` as published, which divides by about q; ``scaled``, q times that; ``sigmoid``; ``none``.
    """

    axis: Axis = "rows"
    expansion: float = 2.0
    gate: AxisGate = "softmax"

    def __post_init__(self) -> None:
        check_one_of("axis", self.axis, get_args(Axis))
        check_gated_mlp(self.expansion, self.gate)

    def label(self) -> str:
        return gated_label("row_mlp" if self.axis == "rows" else "column_mlp", self.expansion, self.gate)

    def length(self, shape: Shape) -> int:
        """q for inputs (C, H, W)."""
        return shape[2] if self.axis == "rows" else shape[1]

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        size = shape[0] * shape[1] * shape[2]
        return gated_mlp_cost(size, self.length(shape), self.expansion, self.gate, trained=freeze != "chans")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"axis": get_args(Axis), "expansion": (0.5, 2.0), "gate": AXIS_GATES}

    def build(self, shape: Shape) -> "AxisMixing":
        return AxisMixing(self.length(shape), self)


class AxisMixing(Mixer):
    """Module of `AxisMLP`."""

    def __init__(self, length: int, config: AxisMLP) -> None:
        super().__init__()
        self.across = config.axis == "columns"
        self.mlp = GatedMLP(length, hidden_units(length, config.expansion), config.gate, first=self.across)

    def forward(self, x: Tensor) -> Tensor:
        if self.across:
            y: Tensor = self.mlp(x.transpose(2, 3).contiguous())  # (B, C, W, H)
            return y.transpose(2, 3)
        z: Tensor = self.mlp(x.contiguous())
        return z

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.mlp.parameters()

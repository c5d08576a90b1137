"""An MLP with a gate over the last axis, ``(..., q) -> (..., q)``: the mixing of PatchTSMixer (2306.09364)."""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.costs import Cost, elementwise, linear
from searchspaces.layers.permutations import hidden_units, mlp_cost
from searchspaces.registry import check_one_of

AxisGate = Literal["softmax", "scaled", "sigmoid", "none"]
"""What z is multiplied by: softmax(W z + b), as published, which shrinks it q times; q softmax(W z + b); their sigmoid;
nothing."""
AXIS_GATES: tuple[AxisGate, ...] = get_args(AxisGate)


class GatedMLP(nn.Module):
    """``gate(W2 gelu(W1 x))`` along the last axis, with biases.

    Args:
        length: q.
        first: the gate is before the MLP, ``W2 gelu(W1 gate(x))``.
    """

    def __init__(self, length: int, hidden: int, gate: AxisGate, *, first: bool = False) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(length, hidden), nn.Linear(hidden, length)
        self.gate, self.first, self.length = gate, first, length
        self.attention = nn.Identity() if gate == "none" else nn.Linear(length, length)

    def forward(self, x: Tensor) -> Tensor:
        if self.first:
            return self.mixed(self.gated(x))
        return self.gated(self.mixed(x))

    def mixed(self, x: Tensor) -> Tensor:
        """The MLP alone."""
        y: Tensor = self.down(F.gelu(self.up(x)))
        return y

    def gated(self, z: Tensor) -> Tensor:
        """``z`` times its gate."""
        if self.gate == "none":
            return z
        scores = self.attention(z)
        if self.gate == "sigmoid":
            return z * torch.sigmoid(scores)
        y: Tensor = z * scores.softmax(-1)
        return y * self.length if self.gate == "scaled" else y


def check_gated_mlp(expansion: float, gate: str) -> None:
    """Makes sure that the fields of operators with a `GatedMLP` have values that make sense.

    Raises:
        ValueError: naming the field.
    """
    if not 0 < expansion < math.inf:
        raise ValueError(f"expansion must be positive, got {expansion}.")
    check_one_of("gate", gate, AXIS_GATES)


def gated_mlp_cost(size: int, length: int, expansion: float, gate: AxisGate, *, trained: bool) -> Cost:
    """Cost of a `GatedMLP` over ``size`` elements in rows of ``length``, wherever its gate is."""
    total = mlp_cost(size, length, hidden_units(length, expansion), "gelu", "commutation", trained=trained)
    if gate == "none":
        return total
    scores = linear(size * length, length * length + length, 0, trained=trained)  # its input is kept by the product
    operations = {"softmax": 6, "scaled": 7, "sigmoid": 2}[gate]
    return total + scores + elementwise(operations * size, kept=2 * size)


def gated_label(name: str, expansion: float, gate: AxisGate) -> str:
    """Label such as ``time_mlp x2 softmax``."""
    return f"{name} x{expansion:g}" + ("" if gate == "none" else f" {gate}")

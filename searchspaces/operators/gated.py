"""Any token mixer, gated by its input, ``(B, C, H, W) -> (B, C, H, W)``.

From NiNformer (2403.02411): the product with a linear map of the input makes the output of a static mixer depend on the
image, for C^2 more parameters. ``raw`` products are not bounded and grow with the square of the input's scale.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost, convolution, elementwise
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pooling import Pooling
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.registry import check_one_of

Gate = Literal["raw", "sigmoid", "tanh"]
"""z itself, sigmoid(z), or 1 + tanh(z)."""


@spec("gated")
@dataclass(frozen=True)
class Gated(TokenMixer):
    """``y = gate(W x + b) * op(x)``.

    Args:
        op: the mixer that is gated.
        gate: ``raw``, ``sigmoid``, or ``tanh``, 1 + tanh, which is 1 at zero.
    """

    op: TokenMixer = TokenMLP()  # noqa: RUF009 (frozen)
    gate: Gate = "raw"

    def __post_init__(self) -> None:
        check_one_of("gate", self.gate, get_args(Gate))
        if not isinstance(self.op, TokenMixer) or self.op.kind in ("identity", "gated"):
            raise ValueError(f"op must be a token mixer that mixes and is not gated itself, got {self.op!r}.")

    def canonical(self) -> "Gated":
        return replace(self, op=self.op.canonical())

    def at(self, shape: Shape) -> "Gated":
        return replace(self, op=self.op.at(shape))

    def weights(self) -> frozenset[Weights]:
        return self.op.weights() | {"channel"}

    def label(self) -> str:
        return f"gated({self.op.label()})" + (f" {self.gate}" if self.gate != "raw" else "")

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        size = channels * positions
        weights = convolution(channels * size, channels**2 + channels, size, trained=freeze != "space")
        return self.op.cost(shape, freeze) + weights + gate_cost(size, self.gate)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"op": (TokenMLP(), Pooling(), Depthwise()), "gate": get_args(Gate)}

    def build(self, shape: Shape) -> "Gating":
        return Gating(shape, self)


def gate_cost(size: int, gate: Gate) -> Cost:
    """Cost of a gate on ``size`` elements and of the product with it; kept are both factors and the result of tanh."""
    operations = {"raw": 0, "sigmoid": 1, "tanh": 2}[gate]
    return elementwise((operations + 1) * size, kept=(3 if gate == "tanh" else 2) * size)


def opened(z: Tensor, gate: Gate) -> Tensor:
    """The factors of a gate."""
    if gate == "raw":
        return z
    return torch.sigmoid(z) if gate == "sigmoid" else 1 + torch.tanh(z)


class Gating(Mixer):
    """Module of `Gated`."""

    def __init__(self, shape: Shape, config: Gated) -> None:
        super().__init__()
        self.gate, self.op = config.gate, config.op.build(shape)
        self.projection = Conv1x1(shape[0], shape[0])

    def forward(self, x: Tensor) -> Tensor:
        # A copy, so that what is kept does not depend on what the mixer does with its input: its cost stays a sum.
        y: Tensor = opened(self.projection(x), self.gate) * self.op(x.clone())
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.op.spatial_parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return (*self.projection.parameters(), *self.op.channel_parameters())

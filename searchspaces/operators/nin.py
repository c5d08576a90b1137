"""Gate of NiNformer, ``(B, C, H, W) -> (B, C, H, W)``: a small mixer network gates a linear map of the input.

Source: 2403.02411. It holds a whole channel MLP: compare it at equal cost, under a layer scale, because the raw product
grows with the square of the input's scale. `gated` without its inner residuals and channel MLP is any mixer's gate.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost, convolution, elementwise, layer_norm
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.norms import LayerNorm
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.gated import Gate, gate_cost, opened
from searchspaces.operators.raft import Raft
from searchspaces.operators.roll_mix import RollMix
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.registry import check_least, check_one_of

Inner = Literal["token_mlp", "raft", "depthwise", "mixshift"]
InnerGate = Literal[Gate, "none"]


@spec("nin")
@dataclass(frozen=True)
class NiN(TokenMixer):
    """``y = (Wp x) * gate(m)`` with ``m = x + T(LN(x))``, then ``m + Wd GELU(Wc LN(m))`` over the channels.

    Args:
        token: T: the MLP over the tokens, or another static mixer with its defaults.
        hidden: units of the token MLP for each channel.
        expansion: hidden units of the inner channel MLP for each channel; 0 for none.
        gate: ``raw``, as published, ``sigmoid``, or ``tanh``, 1 + tanh; ``none``: y = m, the control of this operator.
    """

    token: Inner = "token_mlp"
    hidden: int = 2
    expansion: int = 2
    gate: InnerGate = "raw"

    def __post_init__(self) -> None:
        check_one_of("token", self.token, get_args(Inner))
        check_one_of("gate", self.gate, get_args(InnerGate))
        check_least(self, hidden=1, expansion=0)

    def canonical(self) -> "NiN":
        return self if self.token == "token_mlp" else replace(self, hidden=NiN.hidden)

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        words = [self.token] if self.token != "token_mlp" else [f"h{self.hidden}"]
        return " ".join(["nin", *words, f"x{self.expansion}", *([self.gate] if self.gate != "raw" else [])])

    def inner(self, shape: Shape) -> TokenMixer:
        """The mixer T."""
        channels, height, width = shape
        if self.token == "token_mlp":
            return TokenMLP(hidden=self.hidden * channels)
        if self.token == "mixshift":
            groups = min(5, channels)
            return RollMix(groups, min(1, width - 1), min(1, height - 1), combine="sum", kernels="constant(3)")
        return Depthwise() if self.token == "depthwise" else Raft(2 if channels % 2 == 0 else 1)

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions, trained = shape[0], shape[1] * shape[2], freeze != "space"
        size, hidden = channels * positions, self.expansion * channels
        total = self.inner(shape).cost(shape, freeze) + layer_norm(channels, positions) + elementwise(size)
        if hidden:
            total += layer_norm(channels, positions) + elementwise(size)
            total += convolution(hidden * size, hidden * channels + hidden, size, trained=trained)
            total += elementwise(hidden * positions, kept=hidden * positions)
            total += convolution(hidden * size, hidden * channels + channels, hidden * positions, trained=trained)
        if self.gate == "none":
            return total
        total += convolution(channels * size, channels**2 + channels, size, trained=trained)
        # The norm and the projection keep the same input.
        return total + gate_cost(size, self.gate) + Cost(activations=-size)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"token": get_args(Inner), "hidden": (1, 2, 4), "expansion": (0, 1, 2, 4), "gate": get_args(InnerGate)}

    def build(self, shape: Shape) -> "NetworkInNetwork":
        return NetworkInNetwork(shape, self)


class NetworkInNetwork(Mixer):
    """Module of `NiN`."""

    def __init__(self, shape: Shape, config: NiN) -> None:
        super().__init__()
        channels, hidden = shape[0], config.expansion * shape[0]
        self.gate, self.projection = config.gate, None if config.gate == "none" else Conv1x1(channels, channels)
        self.norm, self.token = LayerNorm(channels, eps=1e-6), config.inner(shape).build(shape)
        self.channel_norm = LayerNorm(channels, eps=1e-6) if hidden else None
        self.expand = Conv1x1(channels, hidden) if hidden else None
        self.reduce = Conv1x1(hidden, channels) if hidden else None

    def forward(self, x: Tensor) -> Tensor:
        m: Tensor = x + self.token(self.norm(x))
        if self.channel_norm and self.expand and self.reduce:
            m = m + self.reduce(F.gelu(self.expand(self.channel_norm(m))))
        if self.projection is None or self.gate == "none":
            return m
        y: Tensor = self.projection(x) * opened(m, self.gate)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """Those of the inner token mixer."""
        return self.token.spatial_parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        """The projection and the inner channel MLP; norms train in every pattern."""
        return (p for layer in (self.projection, self.expand, self.reduce) if layer for p in layer.parameters())

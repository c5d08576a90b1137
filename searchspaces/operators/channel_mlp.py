"""Channel MLP, ``(B, C, H, W) -> (B, C, H, W)``: one MLP over the channels, shared by all positions.

Source: MLP-Mixer (2105.01601); with random permutations RP-Mixer (2306.01470, permuted-Kronecker form with weight V^T,
J1 = J_c and J2 = J_c^T in the ordinary case).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.permutations import (
    MLP_ACTIVATIONS,
    PERMUTATIONS,
    MlpActivation,
    Permutation,
    PermutedMLP,
    check_mlp,
    hidden_units,
    mlp_cost,
    mlp_label,
)


@spec("channel_mlp")
@dataclass(frozen=True)
class ChannelMLP(ChannelMixer):
    """``W2 phi(W1 x)`` over the channels of every position, with biases.

    Args:
        expansion: hidden units for each channel.
        hidden: number of hidden units; 0 for those of ``expansion``.
        permutation: ``commutation`` is the ordinary channel MLP; under ``identity`` the blocks of C elements are
            neighbours within a channel instead, and positions are mixed.
        shared: one MLP for all positions; without it each block has its own, which makes Monarch matrices (2204.00595).
    """

    expansion: float = 4.0
    hidden: int = 0
    activation: MlpActivation = "gelu"
    permutation: Permutation = "commutation"
    shared: bool = True

    def __post_init__(self) -> None:
        check_mlp(self.expansion, self.hidden, self.activation, self.permutation)

    def canonical(self) -> "ChannelMLP":
        return replace(self, expansion=ChannelMLP.expansion if self.hidden else self.expansion)

    def label(self) -> str:
        return mlp_label(
            "channel_mlp", self.expansion, self.hidden, self.activation, self.permutation, shared=self.shared
        )

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, tokens = shape[0], shape[1] * shape[2]
        hidden = hidden_units(channels, self.expansion, self.hidden)
        return mlp_cost(
            channels * tokens,
            channels,
            hidden,
            self.activation,
            self.permutation,
            trained=freeze != "space",
            shared=self.shared,
        )

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        # If C divides H W, a block under ``identity`` lies within one channel: nothing would mix channels.
        mixing = tuple(p for p in PERMUTATIONS if p != "identity" or shape[1] * shape[2] % shape[0])
        return {
            "expansion": (0.5, 2.0, 4.0),
            "hidden": (0, 24),
            "activation": MLP_ACTIVATIONS,
            "permutation": mixing,
            "shared": (True, False),
        }

    def build(self, shape: Shape) -> "ChannelMixing":
        return ChannelMixing(shape, self)


class ChannelMixing(Mixer):
    """Module of `ChannelMLP`: blocks are the positions; a linear layer on the channels-last view."""

    def __init__(self, shape: Shape, config: ChannelMLP) -> None:
        super().__init__()
        channels, tokens = shape[0], shape[1] * shape[2]
        self.mlp = PermutedMLP(
            shape,
            channels,
            hidden_units(channels, config.expansion, config.hidden),
            activation=config.activation,
            permutation=config.permutation,
            shared=config.shared,
            sizes=(channels, tokens),
            order=(1, 0),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mlp(x)
        return y

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.mlp.parameters()

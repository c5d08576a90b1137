"""Token MLP, ``(B, C, H, W) -> (B, C, H, W)``: one MLP over the H W tokens, shared by all channels.

Source: MLP-Mixer (2105.01601); with random permutations RP-Mixer (2306.01470, permuted-Kronecker form).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
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


@spec("token_mlp")
@dataclass(frozen=True)
class TokenMLP(TokenMixer):
    """``W2 phi(W1 x)`` over the tokens of every channel, with biases.

    Args:
        expansion: hidden units for each token.
        hidden: number of hidden units; 0 for those of ``expansion``.
        permutation: of the table before and after; ``identity`` is the ordinary token MLP too, because its blocks
            of H W elements are in order already.
        shared: one MLP for all channels; without it each block has its own, which makes Monarch matrices (2204.00595).
    """

    expansion: float = 0.5
    hidden: int = 0
    activation: MlpActivation = "gelu"
    permutation: Permutation = "commutation"
    shared: bool = True

    def __post_init__(self) -> None:
        check_mlp(self.expansion, self.hidden, self.activation, self.permutation)

    def canonical(self) -> "TokenMLP":
        permutation: Permutation = "commutation" if self.permutation == "identity" else self.permutation
        return replace(self, expansion=TokenMLP.expansion if self.hidden else self.expansion, permutation=permutation)

    def label(self) -> str:
        return mlp_label(
            "token_mlp", self.expansion, self.hidden, self.activation, self.canonical().permutation, shared=self.shared
        )

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, tokens = shape[0], shape[1] * shape[2]
        hidden = hidden_units(tokens, self.expansion, self.hidden)
        return mlp_cost(
            channels * tokens,
            tokens,
            hidden,
            self.activation,
            self.permutation,
            trained=freeze != "chans",
            shared=self.shared,
        )

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "expansion": (0.5, 1.0, 2.0),
            "hidden": (0, 24),
            "activation": MLP_ACTIVATIONS,
            "permutation": PERMUTATIONS,
            "shared": (True, False),
        }

    def build(self, shape: Shape) -> "TokenMixing":
        return TokenMixing(shape, self)


class TokenMixing(Mixer):
    """Module of `TokenMLP`: blocks are the channels, without a transposition."""

    def __init__(self, shape: Shape, config: TokenMLP) -> None:
        super().__init__()
        channels, tokens = shape[0], shape[1] * shape[2]
        self.mlp = PermutedMLP(
            shape,
            tokens,
            hidden_units(tokens, config.expansion, config.hidden),
            activation=config.activation,
            permutation=config.permutation,
            shared=config.shared,
            sizes=(channels, tokens),
            order=(0, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mlp(x)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.mlp.parameters()

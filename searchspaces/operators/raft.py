"""Raft axial MLP, ``(B, C, H, W) -> (B, C, H, W)``: an MLP along the height and one along the width.

Source: RaftMLP (2108.04384). The channels are viewed as (r, C/r), raft index outermost; the vertical MLP runs over the
r H elements of a raft column, the horizontal one over the r W elements of a raft row. Each axis is a permuted-Kronecker
layer (`searchspaces.layers.permutations`) with blocks of r H or r W elements; r sweeps the block at fixed m = C H W.
The two residual steps of the paper become one mixer, ``y = v(x) + h(LN(x + v(x)))``; the outer residual is the block's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost, elementwise, layer_norm
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.norms import LayerNorm
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
from searchspaces.registry import check_one_of

Order = Literal["vh", "hv", "sum"]


@spec("raft")
@dataclass(frozen=True)
class Raft(TokenMixer):
    """Raft axial MLP.

    Args:
        r: channels that a raft joins; must divide C.
        expansion: hidden units for each element of a block.
        order: vertical before horizontal, the reverse, or ``sum``: both on x, added, without a norm between them.
        permutation: of the table around each axis; ``commutation`` is the published arrangement.
    """

    r: int = 2
    expansion: float = 2.0
    order: Order = "vh"
    activation: MlpActivation = "gelu"
    permutation: Permutation = "commutation"

    def __post_init__(self) -> None:
        check_mlp(self.expansion, 0, self.activation, self.permutation)
        check_one_of("order", self.order, get_args(Order))
        if self.r < 1:
            raise ValueError(f"r must be at least 1, got {self.r}.")

    def label(self) -> str:
        order = "" if self.order == "vh" else f" {self.order}"
        return mlp_label(f"raft{self.r}{order}", self.expansion, 0, self.activation, self.permutation)

    def output(self, shape: Shape) -> Shape:
        if shape[0] % self.r:
            rafts = ", ".join(str(r) for r in range(1, shape[0] + 1) if shape[0] % r == 0)
            raise ValueError(f"r must divide the channels, got r={self.r} for input {shape}. Divisors: {rafts}.")
        return shape

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, height, width = self.output(shape)
        size = channels * height * width
        total = elementwise(size)
        for length in (self.r * height, self.r * width):
            hidden = hidden_units(length, self.expansion)
            total += mlp_cost(size, length, hidden, self.activation, self.permutation, trained=freeze != "chans")
        if self.order != "sum":
            return total + elementwise(size) + layer_norm(channels, height * width)
        # Without permutations both axes read x as it is in memory, and autograd keeps it once.
        shared = size if self.permutation == "identity" and freeze != "chans" else 0
        return replace(total, activations=total.activations - shared)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "r": tuple(r for r in (1, 2, 4, 8) if shape[0] % r == 0),
            "expansion": (0.5, 1.0, 2.0),
            "order": get_args(Order),
            "activation": MLP_ACTIVATIONS,
            "permutation": PERMUTATIONS,
        }

    def build(self, shape: Shape) -> "RaftMixing":
        self.output(shape)
        return RaftMixing(shape, self)


class RaftMixing(Mixer):
    """Module of `Raft`: two block MLPs, with a LayerNorm over the channels between them unless they are added."""

    def __init__(self, shape: Shape, config: Raft) -> None:
        super().__init__()
        channels, height, width = shape
        # Axes of the table viewed as (r, C/r, H, W); the last two of each order are the block.
        orders = {"vertical": (1, 3, 0, 2), "horizontal": (1, 2, 0, 3)}
        axes = {}
        for name, side in (("vertical", height), ("horizontal", width)):
            axes[name] = PermutedMLP(
                shape,
                config.r * side,
                hidden_units(config.r * side, config.expansion),
                activation=config.activation,
                permutation=config.permutation,
                sizes=(config.r, channels // config.r, height, width),
                order=orders[name],
            )
        self.vertical, self.horizontal = axes["vertical"], axes["horizontal"]
        self.order = config.order
        self.norm = nn.Identity() if config.order == "sum" else LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        first, second = (self.vertical, self.horizontal) if self.order != "hv" else (self.horizontal, self.vertical)
        y = first(x)
        z: Tensor = y + second(x if self.order == "sum" else self.norm(x + y))
        return z

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """Both MLPs; for r > 1 they join r channels as well. The norm trains in every pattern."""
        return (*self.vertical.parameters(), *self.horizontal.parameters())

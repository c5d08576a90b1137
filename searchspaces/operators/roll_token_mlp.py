"""Roll-Time-mixing of ASM-RH (2402.18007): a roll of groups of channels, then an MLP over the positions.

``y[b, c, :] = W2 act(W1 roll(x)[b, c, :] + b1) + b2`` with one MLP for all channels, (B, C, H, W) -> (B, C, H, W).
Positions are numbered row by row, so that on a spectrogram neighbouring tokens are neighbours in time. Without a roll
it is the token MLP of MLP-Mixer. Bound to the resolution it was built for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.activations import activation_cost, make_activation
from searchspaces.operators.roll_mix import RollMix
from searchspaces.registry import check_one_of

RollActivation = Literal["gelu", "silu", "mish", "acon-c"]
"""Activations of the two MLPs of ASM-RH, those that its parent compares."""
ROLL_ACTIVATIONS: tuple[RollActivation, ...] = get_args(RollActivation)


@spec("roll_token_mlp")
@dataclass(frozen=True)
class RollTokenMLP(TokenMixer):
    """Roll, then a token MLP with biases.

    Args:
        hidden: units of the MLP; published: 384 for 600 positions.
        roll: published: 16 groups, four of which move by one position.
        activation: between the two linear maps; ``acon-c`` learns three factors for each hidden unit.
    """

    hidden: int
    roll: RollMix = RollMix(16)  # noqa: RUF009 (frozen)
    activation: RollActivation = "gelu"

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {self.hidden}.")
        check_one_of("activation", self.activation, ROLL_ACTIVATIONS)
        if not isinstance(self.roll, RollMix):
            raise ValueError(f"roll must be a roll_mix, got {self.roll!r}.")

    def canonical(self) -> "RollTokenMLP":
        return replace(self, roll=self.roll.canonical())

    def label(self) -> str:
        activation = f" {self.activation}" if self.activation != "gelu" else ""
        return f"{self.roll.label()} > token mlp {self.hidden}{activation}"

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        inner, outer = channels * self.hidden, channels * positions
        weights, trained = positions * self.hidden, freeze != "chans"
        first = linear(channels * weights, weights + self.hidden, outer, trained=trained)
        second = linear(channels * weights, weights + positions, inner, trained=trained)
        between = activation_cost(self.activation, self.hidden, channels, trained=trained)
        return self.roll.cost(shape, freeze) + first + between + second

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        rolls = (RollMix(4), RollMix(4, step_w=0, step_h=0), RollMix(2, directions="lr", fill="zero"))
        return {"hidden": (5, 8), "roll": rolls, "activation": ROLL_ACTIVATIONS}

    def build(self, shape: Shape) -> "RolledTokens":
        return RolledTokens(shape, self)


class RolledTokens(Mixer):
    """Module of `RollTokenMLP`."""

    def __init__(self, shape: Shape, config: RollTokenMLP) -> None:
        super().__init__()
        positions = shape[1] * shape[2]
        self.roll = config.roll.build(shape)
        self.mlp = nn.Sequential(
            nn.Linear(positions, config.hidden),
            make_activation(config.activation, config.hidden),
            nn.Linear(config.hidden, positions),
        )

    def forward(self, x: Tensor) -> Tensor:
        # Contiguous, because on the channels-last memory of a LayerNorm a linear layer adds its bias in a second pass.
        rows = self.roll(x).flatten(2).contiguous()  # (B, C, H W)
        y: Tensor = self.mlp(rows).view(x.shape)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters()

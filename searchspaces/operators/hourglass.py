"""Narrow MLPs over the channels one after the other, ``(B, C, H, W) -> (B, C, H, W)``: the hourglass of 2510.01796.

The stream between the steps is as wide as the network, each step is a bottleneck. Of the same expansion, it costs the
multiply-accumulates of one channel MLP whatever its steps; what it keeps for the backward pass grows with them. The
paper's other half is a frozen random lift of the input: ``frozen`` of the stem.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost, convolution, elementwise, layer_norm
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.norms import LayerNorm
from searchspaces.layers.permutations import hidden_units
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_least, check_positive


@spec("hourglass")
@dataclass(frozen=True)
class Hourglass(ChannelMixer):
    """What K steps ``y <- y + U GELU(D LN(y))`` add to y = x, with biases; norms train under every freeze pattern.

    Args:
        expansion: hidden units for each channel, of all steps together; published: 2.
        steps: K. A step has expansion / K hidden units for each channel, the first ones one more if that is no whole
            number.
        gated: ``U (SiLU(a) * b)`` with ``a, b = D LN(y)`` instead (SwiGLU), half as much again.
    """

    expansion: float = 2.0
    steps: int = 8
    gated: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "expansion")
        check_least(self, steps=1)

    def label(self) -> str:
        return f"hourglass x{self.expansion:g} in {self.steps}" + (" gated" if self.gated else "")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        steps = tuple(steps for steps in (1, 2, 4, 8) if steps <= shape[0])
        return {"expansion": (1.0, 2.0, 4.0), "steps": steps, "gated": (False, True)}

    def widths(self, channels: int) -> list[int]:
        """Hidden units of each step.

        Raises:
            ValueError: if there are fewer hidden units than steps.
        """
        hidden = hidden_units(channels, self.expansion)
        if hidden < self.steps:
            raise ValueError(
                f"steps must be 1 to {hidden}, the hidden units of all at expansion={self.expansion:g}, "
                f"got steps={self.steps}."
            )
        each, more = divmod(hidden, self.steps)
        return [each + (step < more) for step in range(self.steps)]

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions, trained = shape[0], shape[1] * shape[2], freeze != "space"
        size, maps = channels * positions, 2 if self.gated else 1
        total = elementwise((self.steps + 1) * size if self.steps > 1 else 0)
        for hidden in self.widths(channels):
            inner = hidden * positions
            total += layer_norm(channels, positions)
            total += convolution(maps * hidden * size, maps * hidden * (channels + 1), size, trained=trained)
            total += elementwise(maps * inner, kept=3 * inner if self.gated else inner)
            total += convolution(hidden * size, hidden * channels + channels, inner, trained=trained)
        return total

    def build(self, shape: Shape) -> "Steps":
        return Steps(shape[0], self)


class Step(nn.Module):
    """One bottleneck with its norm."""

    def __init__(self, channels: int, hidden: int, *, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.norm = LayerNorm(channels, eps=1e-6)
        self.down, self.up = Conv1x1(channels, 2 * hidden if gated else hidden), Conv1x1(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.down(self.norm(x))
        if self.gated:
            gate, value = hidden.chunk(2, 1)
            hidden = F.silu(gate) * value
        else:
            hidden = F.gelu(hidden)
        y: Tensor = self.up(hidden)
        return y


class Steps(Mixer):
    """Module of `Hourglass`."""

    def __init__(self, channels: int, config: Hourglass) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Step(channels, width, gated=config.gated) for width in config.widths(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for step in self.steps[:-1]:
            y = y + step(y)
        last: Tensor = self.steps[-1](y)
        return last if y is x else (y - x) + last  # the residual around it adds x

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        steps = [step for step in self.steps if isinstance(step, Step)]
        return [p for step in steps for layer in (step.down, step.up) for p in layer.parameters()]

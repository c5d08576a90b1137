"""TimeMixer block (2405.14616) on scales that lie one after the other, ``(B, C, M, S) -> (B, C, M, S)``."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Block, Shape, spec
from searchspaces.costs import NORM_COSTS, Cost, elementwise, linear
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.layers.mlps import pointwise_mlp_cost
from searchspaces.layers.norms import Norm, make_norm
from searchspaces.layers.permutations import hidden_units
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.layers.scales import lengths_of
from searchspaces.registry import check_least, check_odd, check_one_of

Mixed = Literal["both", "season", "trend", "none"]
"""What is mixed between scales."""


@spec("timemixer")
@dataclass(frozen=True)
class TimeMixerBlock(Block):
    """Seasons are mixed from fine scales to coarse ones, trends from coarse to fine, then the channels of each step.

    Of each scale the trend is a moving average, whose ends repeat the first and last step, and the season what remains.
    A scale gets a two-layer MLP of the one before, along the time: with T_i steps on scale i, the mixing takes
    ``sum_i 2 T_i T_(i+1) + T_i^2 + 2 T_i + T_(i+1)^2 + 2 T_(i+1)`` parameters. The released code makes a norm that it
    does not apply; here it is before the MLP over the channels.

    Args:
        scales, window: of the stem, 0 scales for the series alone.
        kernel: steps of the moving average, odd.
        expansion: hidden channels of the MLP for each channel.
        mixed: whether scales exchange ``both`` parts, the ``season``, the ``trend``, or ``none``.
        freeze: which parameters are trained: those along the time are spatial.
        norm: kind of the norm before the MLP over the channels.
    """

    scales: int
    window: int = 2
    kernel: int = 25
    expansion: float = 2.0
    mixed: Mixed = "both"
    freeze: Freeze = "full"
    norm: Norm = "layer"

    def __post_init__(self) -> None:
        check_least(self, scales=0, window=2, expansion=0.01)
        check_odd(self, "kernel")
        check_one_of("mixed", self.mixed, get_args(Mixed))

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        fits = tuple(scales for scales in (0, 1, 2) if _fits(shape[2], scales))
        found = {"scales": fits, "kernel": (3, 5), "expansion": (2.0,), "mixed": get_args(Mixed)}
        return {**found, "freeze": FREEZE_PATTERNS, "norm": get_args(Norm)}

    def canonical(self) -> Self:
        if self.scales and self.mixed != "none":
            return self
        # Nothing is exchanged, so that season and trend are added as they were taken apart.
        pattern: Freeze = "full" if self.freeze == "chans" else self.freeze
        return replace(self, mixed="none", freeze=pattern)

    def label(self) -> str:
        mixed = "" if self.mixed == "both" else f" {self.mixed}"
        return f"timemixer k{self.kernel}{mixed} x{self.expansion:g} {self.freeze}"

    def cost(self, shape: Shape) -> Cost:
        channels, rows, total = shape
        steps, wide = lengths_of(total, self.scales, self.window), channels * rows
        trained = self.freeze != "chans"
        padded = wide * sum(length + self.kernel - 1 for length in steps)
        found = elementwise((self.kernel + 2) * wide * total, kept=padded)  # average, season, and their sum again
        for fine, coarse in itertools.pairwise(steps):
            for part, (taken, made) in (("season", (fine, coarse)), ("trend", (coarse, fine))):
                if self.mixed in ("both", part):
                    first = linear(wide * taken * made, taken * made + made, wide * taken, trained=trained)
                    second = linear(wide * made * made, made * made + made, wide * made, trained=trained)
                    found += first + second + elementwise(2 * wide * made, kept=wide * made)
        hidden = hidden_units(channels, self.expansion)
        norm = NORM_COSTS[self.norm](channels, rows * total)
        return (
            found + norm + pointwise_mlp_cost(shape, hidden, trained=self.freeze != "space") + elementwise(wide * total)
        )

    def build(self, shape: Shape) -> nn.Module:
        return TimeMixer(shape, self)


def _fits(total: int, scales: int) -> bool:
    try:
        return bool(lengths_of(total, scales, 2))
    except ValueError:
        return False


class Exchange(nn.Module):
    """What one scale gets of the one before, ``(..., taken) -> (..., made)``."""

    def __init__(self, taken: int, made: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(taken, made), nn.Linear(made, made)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(F.gelu(self.first(x)))
        return y


class TimeMixer(Mixer):
    """Module of `TimeMixerBlock`."""

    def __init__(self, shape: Shape, config: TimeMixerBlock) -> None:
        super().__init__()
        self.steps, self.kernel = lengths_of(shape[2], config.scales, config.window), config.kernel
        pairs = list(itertools.pairwise(self.steps))
        seasons = pairs if config.mixed in ("both", "season") else []
        trends = [pair[::-1] for pair in reversed(pairs)] if config.mixed in ("both", "trend") else []
        self.coarser = nn.ModuleList(Exchange(*pair) for pair in seasons)
        self.finer = nn.ModuleList(Exchange(*pair) for pair in trends)
        self.norm = make_norm(config.norm, shape[0])
        hidden = hidden_units(shape[0], config.expansion)
        self.channels = nn.Sequential(Conv1x1(shape[0], hidden), nn.GELU(), Conv1x1(hidden, shape[0]))
        freeze(config.freeze, [self])

    def forward(self, x: Tensor) -> Tensor:
        seasons, trends = list[Tensor](), list[Tensor]()
        half = self.kernel // 2
        for one in torch.split(x, self.steps, 3):  # (B, C, M, T_i)
            ends = [one[..., :1].expand(-1, -1, -1, half), one, one[..., -1:].expand(-1, -1, -1, half)]
            trends.append(F.avg_pool2d(torch.cat(ends, 3), (1, self.kernel), 1))
            seasons.append(one - trends[-1])
        for place, exchange in enumerate(self.coarser):
            seasons[place + 1] = seasons[place + 1] + exchange(seasons[place])
        for place, exchange in enumerate(self.finer):
            trends[-2 - place] = trends[-2 - place] + exchange(trends[-1 - place])
        mixed = torch.cat([season + trend for season, trend in zip(seasons, trends, strict=True)], 3)
        y: Tensor = x + self.channels(self.norm(mixed))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return (*self.coarser.parameters(), *self.finer.parameters())

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.channels.parameters()

"""Pairs of S tokens and C channels that share a number of connections Omega (2306.01470), as options of a choice.

C is the integer that comes closest to the budget; a pair that misses it by more than `TOLERANCE`, or that has fewer
than `LEAST_CHANNELS` channels, is no option: sweeping S at one budget changes the width and nothing else.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from searchspaces.architecture import Value
from searchspaces.connections import connections, partner

TOLERANCE = 0.1
LEAST_CHANNELS = 8

TOKENS = (4, 9, 16, 25, 36, 49, 64, 100, 144, 196, 256)
"""S of the pairs that are searched by default."""
SQUARES = tuple(side**2 for side in range(2, 33))

Budgets = int | tuple[int, ...]
BUDGETS = range(2**6, 2**28 + 1)
Ratios = float | tuple[float, ...]
RATIOS = (1 / 64, 64.0)


@dataclass(frozen=True)
class Split:
    """S tokens and C channels for a budget Omega/gamma.

    Args:
        ratio: expansion of channel mixing for that of token mixing, gamma; ``16x20:4`` has one of 4 gamma.
    """

    tokens: int
    channels: int
    budget: int
    ratio: float = 1.0

    def __str__(self) -> str:
        return f"{self.tokens}x{self.channels}" + ("" if self.ratio == 1 else f":{self.ratio:g}")

    @property
    def omega(self) -> float:
        """The realised Omega/gamma."""
        return connections(self.tokens, self.channels, 1.0, self.ratio)

    @property
    def deviation(self) -> float:
        """Share by which the realised Omega misses the budget."""
        return abs(self.omega / self.budget - 1)

    def facts(self) -> dict[str, Value]:
        """What a record keeps of it."""
        found: dict[str, Value] = {"tokens": self.tokens, "channels": self.channels, "omega": self.omega}
        return found if self.ratio == 1 else {**found, "ratio": self.ratio}


class Splits:
    """Container of the pairs ``SxC`` that keep a budget.

    Args:
        budgets: Omega/gamma, one or several.
        tokens: numbers of tokens that the networks can have.
        ratios: of the two expansions, one or several.

    Raises:
        ValueError: if a budget or ratio is out of range, or no pair keeps a budget.
    """

    def __init__(self, budgets: Budgets, tokens: Iterable[int] = SQUARES, ratios: Ratios = 1.0) -> None:
        self.budgets = (budgets,) if isinstance(budgets, int) else budgets
        self.tokens = sorted(tokens)
        self.pairs: dict[str, Split] = {}
        ratios = tuple(ratios) if isinstance(ratios, tuple | list) else (ratios,)
        if not self.budgets:
            raise ValueError(f"omega needs at least one budget, {BUDGETS[0]} to {BUDGETS[-1]}.")
        for ratio in ratios or (0.0,):
            if not RATIOS[0] <= ratio <= RATIOS[1]:
                raise ValueError(f"ratios must be numbers from {RATIOS[0]:g} to {RATIOS[1]:g}, got {ratios}.")
        for budget, ratio in itertools.product(self.budgets, ratios):
            if not BUDGETS[0] <= budget <= BUDGETS[-1]:
                raise ValueError(f"omega must be {BUDGETS[0]} to {BUDGETS[-1]}, got {budget}.")
            pairs = (Split(s, partner(s, budget, 1.0, ratio), budget, ratio) for s in self.tokens)
            kept = list(filter(fits, pairs))
            if not kept:
                raise ValueError(
                    f"omega = {budget} fits no S of {', '.join(map(str, self.tokens[:20]))} with at least "
                    f"{LEAST_CHANNELS} channels within {TOLERANCE:.0%}. Take a larger one."
                )
            for split in kept:
                earlier = self.pairs.setdefault(str(split), split)
                if split.deviation < earlier.deviation:  # of two budgets that share a pair, the nearer one
                    self.pairs[str(split)] = split

    def __contains__(self, value: object) -> bool:
        return value in self.pairs

    def __getitem__(self, pair: Value) -> Split:
        return self.pairs[str(pair)]

    def usual(self) -> tuple[Value, ...]:
        """The pairs that are searched by default: those of `TOKENS`, or all if there are none."""
        return tuple(pair for pair, split in self.pairs.items() if split.tokens in TOKENS) or tuple(self.pairs)

    def __str__(self) -> str:
        return "; ".join(f"{self._of(budget)} (Omega {budget:,})" for budget in self.budgets)

    def _of(self, budget: int) -> str:
        pairs = [pair for pair, split in self.pairs.items() if split.budget == budget]
        shown = pairs if len(pairs) <= 2 * len(SQUARES) else [p for p in pairs if self.pairs[p].tokens in SQUARES]
        return ", ".join(shown) + ("" if shown == pairs else " and others") if shown else "none"


def fits(split: Split) -> bool:
    """Whether a pair keeps its budget and has enough channels."""
    return split.channels >= LEAST_CHANNELS and split.deviation <= TOLERANCE

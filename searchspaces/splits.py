"""Pairs of S tokens and C channels that share a number of connections Omega (2306.01470), as options of a choice.

C is the integer that comes closest to the budget; a pair that misses it by more than `TOLERANCE`, or that has fewer
than `LEAST_CHANNELS` channels, is no option: sweeping S at one budget changes the width and nothing else.
"""

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


@dataclass(frozen=True)
class Split:
    """S tokens and C channels for a budget Omega/gamma."""

    tokens: int
    channels: int
    budget: int

    def __str__(self) -> str:
        return f"{self.tokens}x{self.channels}"

    @property
    def omega(self) -> float:
        """The realised Omega/gamma."""
        return connections(self.tokens, self.channels)

    @property
    def deviation(self) -> float:
        """Share by which the realised Omega misses the budget."""
        return abs(self.omega / self.budget - 1)

    def facts(self) -> dict[str, Value]:
        """What a record keeps of it."""
        return {"tokens": self.tokens, "channels": self.channels, "omega": self.omega}


class Splits:
    """Container of the pairs ``SxC`` that keep a budget.

    Args:
        budgets: Omega/gamma, one or several.
        tokens: numbers of tokens that the networks can have.
        largest: the highest budget that they can have.

    Raises:
        ValueError: if a budget is out of range, or no pair keeps it.
    """

    def __init__(self, budgets: Budgets, tokens: Iterable[int] = SQUARES, largest: int = BUDGETS[-1]) -> None:
        self.budgets = (budgets,) if isinstance(budgets, int) else budgets
        self.tokens = sorted(tokens)
        self.pairs: dict[str, Split] = {}
        if not self.budgets:
            raise ValueError(f"omega needs at least one budget, {BUDGETS[0]} to {largest}.")
        for budget in self.budgets:
            if not BUDGETS[0] <= budget <= largest:
                raise ValueError(f"omega must be {BUDGETS[0]} to {largest}, got {budget}.")
            kept = list(filter(fits, (Split(s, partner(s, budget), budget) for s in self.tokens)))
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

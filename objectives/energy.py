"""Energy of the arithmetic of one image: operation counts times a table of pJ an operation (``energy.toml``)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from objectives.costs import Count
from objectives.objective import Candidate, objective


@cache
def energies() -> dict[str, dict[str, float]]:
    """Kind of arithmetic -> pJ of a ``multiply`` and of an ``add``."""
    return tomllib.loads(Path(__file__).with_name("energy.toml").read_text())


@objective("energy")
@dataclass(frozen=True)
class Energy(Count):
    """Energy of the arithmetic of one image in nJ: an estimate that leaves out memory, which often takes more.

    A multiply-accumulate is one multiplication and one addition; any other operation takes the mean of the two, which
    is an assumption.

    Args:
        arithmetic: row of the table: float32, float16, int32, int8, or shift32 for weights that are powers of two.
        multiply, add: pJ of a multiplication and an addition, in place of those of the table.
    """

    arithmetic: str = "float32"
    multiply: float | None = None
    add: float | None = None

    unit: ClassVar[str] = "nJ"

    def __post_init__(self) -> None:
        if self.arithmetic not in energies():
            raise ValueError(f"arithmetic must be one of {', '.join(energies())}, got {self.arithmetic!r}.")
        for name in ("multiply", "add"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0 pJ, got {value}.")

    @property
    def table(self) -> dict[str, float]:
        """pJ of a ``multiply`` and of an ``add``."""
        given = {"multiply": self.multiply, "add": self.add}
        return energies()[self.arithmetic] | {name: value for name, value in given.items() if value is not None}

    def measure(self, candidate: Candidate) -> float:
        counts, both = candidate.counts, sum(self.table.values())
        others = counts.transform_flops + counts.elementwise_flops
        return (counts.macs + others / 2) * both / 1000

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {**super().settings(candidate), "arithmetic": self.arithmetic, "picojoules": self.table}

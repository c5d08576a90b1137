"""How far a study is. Importing this imports no torch, so that `nas status` answers from the log in a second."""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log10
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import WrongInputError, regular
from nas.results.pareto import hypervolume, non_dominated
from nas.store.artifacts import weight_bytes
from nas.store.confirmations import CONFIRMATIONS
from nas.store.history import is_held, no_collections, read_trials
from nas.store.live import running_trials
from nas.store.records import COUNTED, SCHEMA, SOURCES, TrialRecord, is_number

STUDY = "study.toml"


@dataclass(frozen=True)
class Overview:
    """What a study holds, as far as its status says it.

    Args:
        wanted: trials that it is to have.
        goals: direction, scale and unit of every objective of the front, by name.
        records: that have ended.
        front: the members.
        best: the best member in each objective; empty without a front.
        values: of the best.
        confirmation: what replicates say of the front, if there are any.
    """

    name: str
    wanted: int
    workers: int
    goals: Mapping[str, Mapping[str, str]]
    records: Sequence[TrialRecord]
    front: Sequence[TrialRecord]
    hypervolume: float
    best: Mapping[str, TrialRecord]
    values: Mapping[str, float]
    confirmation: Mapping[str, Any] = field(default_factory=dict)

    def figures(self, directory: Path) -> dict[str, Any]:
        """Counts by status and kind of failure, the front, best value of every objective, pace, as JSON.

        ``state`` is ``running``, ``finished`` or ``stopped``: then the same search command continues it.
        """
        counts = Counter[str](record.status for record in self.records)
        running = running_trials(directory)
        if running:
            counts["running"] = len(running)
        ended = sum(counts[status] for status in COUNTED)
        times = [sum(r.seconds.values()) for r in self.records if r.status in COUNTED and r.seconds]
        pace = self.workers / float(np.mean(times)) if times and sum(times) else None
        left = max(0, self.wanted - ended)
        held = is_held(directory)
        return {
            "name": self.name,
            "state": "running" if held else "stopped" if left else "finished",
            "trials": dict(counts),
            "failures": dict(Counter(record.failure for record in self.records if record.failure)),
            "ended": ended,
            "wanted": self.wanted,
            "proposals": self._proposals(),
            "running": running,
            "artifact_bytes": weight_bytes(directory),
            "objectives": {name: dict(goal) for name, goal in self.goals.items()},
            "front_size": len(self.front),
            "hypervolume": self.hypervolume,
            **({"confirmation": self.confirmation} if self.confirmation else {}),
            "best": dict(self.values),
            "flags": {name: record.flags[name] for name, record in self.best.items() if record.flags.get(name)},
            "trials_per_minute": 60 * pace if pace else None,
            "seconds_left": left / pace if pace and left else None,
        }

    def _proposals(self) -> dict[str, Any]:
        """Where the candidates came from, and how many were looked at for each, in the mean."""
        sources = Counter(record.source for record in self.records)
        looked = sum(record.draws for record in self.records)
        return {
            **{source: sources[source] for source in SOURCES},
            "looked_at": looked / len(self.records) if self.records else None,
        }


@no_collections()
def quick_figures(directory: Path) -> dict[str, Any] | None:
    """What `Overview.figures` returns of a study for which `read_overview` suffices; else None.

    The records are gone when this returns: the garbage collector, which would search them for as long as it took to
    check them, never sees them.
    """
    overview = read_overview(directory)
    return None if overview is None else overview.figures(directory)


def read_overview(directory: Path) -> Overview | None:
    """The overview of a study without replicates, from its files alone; None where more has to be read or is wrong.

    What is wrong is said by who reads all of it (`nas.results.study.Study`).
    """
    if (directory / CONFIRMATIONS).exists():
        return None
    try:
        table = tomllib.loads(regular(directory / STUDY).read_text())
        names, goals = table["objectives"], table["facts"]["objectives"]
        goals = {name: {"unit": "", **goals[name]} for name in names}
        wanted, workers = table["trials"], table.get("execution", {}).get("workers", 1)
        known = isinstance(table["name"], str) and type(wanted) is int and type(workers) is int
        if table["schema"] != SCHEMA or not known or not names:
            return None
        records = read_trials(directory)
        reference = _costs(goals, [table["reference"]])[0]
        complete = [record for record in records if record.status == "complete"]
        for name, goal in goals.items():
            _check(goal, [record.measured[name] for record in complete])
        costs = _costs(goals, [record.measured for record in complete])
        rows = np.flatnonzero(non_dominated(costs))
        volume = hypervolume(costs[rows], reference)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, WrongInputError):
        return None
    front = [complete[row] for row in rows]
    best = {name: front[int(costs[rows, i].argmin())] for i, name in enumerate(names) if front}
    return Overview(
        name=table["name"],
        wanted=wanted,
        workers=workers,
        goals=goals,
        records=records,
        front=front,
        hypervolume=volume,
        best=best,
        values={name: record.measured[name] for name, record in best.items()},
    )


def _costs(goals: Mapping[str, Mapping[str, str]], measured: Sequence[Mapping[str, float]]) -> np.ndarray:
    """(n, m) as `objectives.to_minimise`, which would import torch."""
    columns = [_column(goal, [values[name] for values in measured]) for name, goal in goals.items()]
    return np.array(columns).reshape(len(goals), len(measured)).T


def _column(goal: Mapping[str, str], values: list[float]) -> np.ndarray:
    # Counts by `math`, whose logarithm is that of the objectives to the last bit.
    size = np.array(values, dtype=float) if goal["scale"] == "fraction" else np.array(list(map(log10, values)))
    return {"minimize": size, "maximize": 1 - size if goal["scale"] == "fraction" else -size}[goal["direction"]]


def _check(goal: Mapping[str, str], values: Sequence[float]) -> None:
    """Raises ValueError for what the whole study is to complain of: a value that its scale does not have."""
    if not all(map(is_number, values)):
        raise ValueError("not all are numbers.")
    column = np.array(values, dtype=float)
    inside = {"fraction": (column >= 0) & (column <= 1), "count": column > 0}[goal["scale"]]
    if not inside.all():
        raise ValueError(f"{column[~inside][0]} is out of range.")

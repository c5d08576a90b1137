"""Steady-state evolution of the front, for many thousands of trials: a proposal takes about a millisecond.

An archive of the best networks, by non-domination and then by their distance from each other; a child of a member of
the front and its neighbour in cost differs from them in a few choices.
"""

import bisect
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np

from nas.problem import Problem
from nas.results.pareto import non_dominated
from nas.search.samplers.sampler import Proposal, sampler
from nas.store.records import TrialRecord, trial_seed
from objectives import to_minimise
from searchspaces import Value

FROM_FIRST = 0.7
"""Share of the picks that a child has from the first of its parents."""
REDRAWN = 0.15
"""Share of the picks of a child that are drawn anew where options have no order."""
REDRAWN_NUMBER, STEPPED = 0.045, 0.5
"""The same for numbers, and most of the others that move instead."""
STEP = 0.12
"""Standard deviation of such a step, as a share of the options."""


@sampler("evolution")
class EvolutionSampler:
    """Evolves networks; learns from those that were measured, and forgets those that do not stay in the archive.

    Args:
        archive: members from which parents are drawn.
        startup: random trials before the first child.
    """

    def __init__(self, problem: Problem, *, archive: int = 30, startup: int = 20) -> None:
        for name, value, least in (("archive", archive, 2), ("startup", startup, 2)):
            if not least <= value <= 10_000:
                raise ValueError(f"{name} must be from {least} to 10,000, got {value}.")
        self.problem, self.archive, self.startup = problem, archive, startup
        self._members: list[tuple[dict[str, Value], np.ndarray]] = []
        self._told = 0

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        generator = Random(trial_seed(self.problem.settings.seed, number, f"sampler/{draw}"))
        if explore or self._told < self.startup or len(self._members) < 2:
            return Proposal(self.problem.space.draw(generator))
        first, second = self._parents(generator)
        moved, child = STEPPED * generator.random(), dict[str, Value]()
        for choice in self.problem.space.choices:
            parent = first if generator.random() < FROM_FIRST else second
            child[choice.name] = _mutated(parent[choice.name], choice.options, moved, generator)
        return Proposal(child)

    def _parents(self, generator: Random) -> tuple[dict[str, Value], dict[str, Value]]:
        """A member of the front, and the next one in cost to either side: what is good there is alike."""
        costs = np.array([costs for _, costs in self._members])
        order = np.argsort(costs[:, self._along(generator)], kind="stable")
        place = generator.choice(np.flatnonzero(non_dominated(costs)[order]).tolist())
        other = place + generator.choice((-1, 1))
        other = other if 0 <= other < len(order) else 2 * place - other
        return self._members[order[place]][0], self._members[order[other]][0]

    def _along(self, generator: Random) -> int:
        """Number of the objective in which neighbours are: the first one that is known before training, or any."""
        names, known = self.problem.settings.objectives, self.problem.probe.costs
        return next((i for i, name in enumerate(names) if name in known), generator.randrange(len(names)))

    def forget(self, proposal: Proposal) -> None:
        pass

    def tell(self, proposal: Proposal, record: TrialRecord) -> None:
        self.replay(record, {})

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None:
        if record.status != "complete":
            return
        self._told += 1
        objectives = self.problem.objectives
        costs = [to_minimise(objectives[n], record.measured[n]) for n in self.problem.settings.objectives]
        self._members.append((dict(record.picks), np.array(costs)))
        if len(self._members) > self.archive:
            kept = survivors(np.array([costs for _, costs in self._members]), self.archive)
            self._members = [self._members[i] for i in kept]

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        return Proposal(dict(picks))


def _mutated(value: Value, options: Sequence[Value], moved: float, generator: Random) -> Value:
    """The pick of a child, which it mostly keeps."""
    if len(options) == 1:
        return value
    chance = generator.random()
    if isinstance(value, str):
        return generator.choice(options) if chance < REDRAWN else value
    if chance < REDRAWN_NUMBER:
        return generator.choice(options)
    if chance < REDRAWN_NUMBER + moved:
        ordered = sorted(options)
        step = generator.gauss(0, STEP) * (len(ordered) - 1)
        away = max(1, round(abs(step)))
        place = bisect.bisect_left(ordered, value) + (away if step > 0 else -away)
        return ordered[min(max(place, 0), len(ordered) - 1)]
    return value


def survivors(costs: np.ndarray, wanted: int) -> list[int]:
    """Numbers of the ``wanted`` best rows, ascending.

    Whole ranks of non-domination first; the last of them is thinned by dropping, again and again, the row that is
    nearest to another, in objectives scaled to the range of all rows.
    """
    left, kept = np.arange(len(costs)), list[int]()
    while len(left) and len(kept) < wanted:
        first = non_dominated(costs[left])
        rank, left = left[first].tolist(), left[~first]
        kept += rank if len(kept) + len(rank) <= wanted else _thinned(costs, rank, wanted - len(kept))
    return sorted(kept)


def _thinned(costs: np.ndarray, rank: list[int], wanted: int) -> list[int]:
    span = costs.max(0) - costs.min(0)
    scaled = costs[rank] / np.where(span > 0, span, 1.0)
    distances = np.sqrt(((scaled[:, None] - scaled[None]) ** 2).sum(-1))
    np.fill_diagonal(distances, np.inf)
    alive = list(range(len(rank)))
    while len(alive) > wanted:
        among = distances[np.ix_(alive, alive)]
        nearest = np.sort(among, axis=1)  # of two that are nearest to each other, the one that has others near
        alive.pop(min(range(len(alive)), key=lambda i: nearest[i].tolist()))
    return [rank[i] for i in alive]

"""The sampler that believes: costs are exact before training, so only what must be trained is learned.

Proposes the network whose expected growth of the front's hypervolume is largest, for any number of trained objectives
beside any number of known costs. See `nas.search.belief` for the parts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from nas.errors import WrongInputError
from nas.pricing import Probe, price
from nas.problem import Problem
from nas.search.belief.engine import Aim, Engine, Pending, Seen
from nas.search.belief.features import traits_of
from nas.search.knowledge import OTHERWISE
from nas.search.rungs import Rungs
from nas.search.samplers.sampler import Proposal, sampler
from nas.store.records import OVER_BOUND, TrialRecord, trial_seed
from objectives import to_minimise
from searchspaces import Value

FARTHEST = math.log(27)
"""Of lengths of training: one that is so many times shorter, or less, is as far from a whole one as any can be."""
UNSURE = 0.5
"""Fidelity of a training by another recipe, at most."""
LEARNED_AS_FAILED = ("diverged", "out_of_memory", "timeout")
"""Failures that are the network's own; what else fails says nothing about it."""


@dataclass(frozen=True)
class Networks:
    """The candidates of a problem, as the engine sees them.

    Args:
        problem: whose space, costs and bounds they have.
    """

    problem: Problem
    probe: Probe

    @classmethod
    def of(cls, problem: Problem) -> "Networks":
        """Those of a problem; what training keeps is priced by closed forms."""
        return cls(problem, replace(problem.probe, closed=True))

    def look(self, picks: Mapping[str, Value]) -> Seen | None:
        """What is known of a candidate before it is trained; None if it cannot be built or breaks a bound."""
        architecture = self.problem.space.network(picks)
        if architecture is None:
            return None
        try:
            priced = price(architecture)
            values = self.probe.values(architecture, priced)
        except WrongInputError:
            raise
        except ValueError:
            return None
        if self.probe.violations(values):
            return None
        names, objectives = self.problem.settings.objectives, self.problem.objectives
        costs = np.array([to_minimise(objectives[n], values[n]) if n in values else np.nan for n in names])
        known = costs[~np.isnan(costs)]
        size = float(known[0]) if len(known) else float(np.log10(1 + priced.total.macs))
        return Seen(dict(picks), architecture.key, traits_of(architecture, priced), costs, size)

    def aim(self, seed: int) -> Aim:
        """What is searched for."""
        problem = self.problem
        return Aim(
            options={choice.name: choice.options for choice in problem.space.choices},
            look=self.look,
            fractions=[problem.objectives[name].scale == "fraction" for name in problem.settings.objectives],
            reference=problem.reference,
            seed=seed,
            limits={n: to_minimise(problem.objectives[n], bound) for n, bound in problem.measured_bounds.items()},
        )


@sampler("front")
class FrontSampler:
    """Expected hypervolume improvement with exact costs."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._engine = Engine(Networks.of(problem).aim(trial_seed(problem.settings.seed, 0, "features")))
        self._rungs = Rungs(problem.settings.search.rungs)
        self._pending: dict[int, Pending] = {}
        self._asked = 0
        self._spent: set[str] = set()
        """Networks whose trials said nothing about them, and that are not to be proposed again."""

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        seed = trial_seed(self.problem.settings.seed, number, f"{'explore' if explore else 'sampler'}/{draw}")
        picks = None
        if not explore:
            picks = self._engine.propose(seed, list(self._pending.values()), self._spent)
        return self._expect(picks or self.problem.space.draw(Random(seed)))

    def go_on(
        self, records: Sequence[TrialRecord], epochs: Sequence[float], proposal: Proposal | None, whole: float
    ) -> TrialRecord | None:
        new = None if proposal is None else self._pending.get(proposal.handle)
        others = [each for handle, each in self._pending.items() if proposal is None or handle != proposal.handle]
        known = [(i, seen) for i, record in enumerate(records) if (seen := self._engine.look(record.picks)) is not None]
        if not known or (proposal is not None and self._engine.is_spreading(others)):
            return None
        worth = self._engine.worth([*(seen for _, seen in known), *([] if new is None else [new.seen])], others)
        rates = worth[: len(known)] / np.array([epochs[i] for i, _ in known])
        best = int(rates.argmax())
        enough = rates[best] > 0 and (new is None or rates[best] >= worth[-1] / whole)
        return records[known[best][0]] if enough else None

    def repeat(self, records: Sequence[TrialRecord], proposal: Proposal) -> TrialRecord | None:
        new = self._pending.get(proposal.handle)
        others = [each for handle, each in self._pending.items() if handle != proposal.handle]
        known = [(record, seen) for record in records if (seen := self._engine.look(record.picks)) is not None]
        if new is None or not known:
            return None
        place = self._engine.repeat(new.seen, [seen for _, seen in known], others)
        return None if place is None else known[place][0]

    def promote(self, record: TrialRecord, rung: int) -> Proposal:
        return self._expect(record.picks, rung)

    def _fidelity(self, length: float) -> float:
        """How near a training of so many epochs, of all samples, is to a whole one, which is 1."""
        whole = max(self.problem.trainer.epochs, 1)  # a trainer of a plugin may have none
        return max(0.0, 1 - abs(math.log((length or 1) / whole)) / FARTHEST)

    def _expect(self, picks: Mapping[str, Value], rung: int | None = None) -> Proposal:
        self._asked += 1
        if (seen := self._engine.look(picks)) is not None:
            length = self._rungs.lengths[self._rungs.first() if rung is None else rung]
            self._pending[self._asked] = Pending(seen, self._fidelity(length or self.problem.trainer.epochs))
        return Proposal(dict(picks), self._asked)

    def forget(self, proposal: Proposal) -> None:
        self._pending.pop(proposal.handle, None)

    def tell(self, proposal: Proposal, record: TrialRecord) -> None:
        self.forget(proposal)
        self.replay(record, {})

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None:
        trained = record.status == "complete" or (self._rungs.last and record.status == "truncated")
        if trained or record.failure == OVER_BOUND:
            self._learn(record)
        elif record.failure in LEARNED_AS_FAILED:
            self._engine.tell(record.picks, record.key, None)
        elif record.status != "duplicate":
            self._spent.add(record.key)

    def recall(self, record: TrialRecord) -> None:
        self._learn(record, foreign=True)

    def _learn(self, record: TrialRecord, *, foreign: bool = False) -> None:
        names, objectives, measured = self.problem.settings.objectives, self.problem.objectives, record.measured
        costs, limited = None, dict[str, float]()
        if measured.keys() >= set(names):  # else it ended beyond a bound, before it was trained
            costs = np.array([to_minimise(objectives[name], measured[name]) for name in names])
        for name in self.problem.measured_bounds:
            value = measured.get(name, 0.0)
            if value > 0 or (name in measured and objectives[name].scale != "count"):  # another study may say anything
                limited[name] = to_minimise(objectives[name], value)
        fidelity = self._fidelity(record.length if "epochs" in record.fidelity else self.problem.trainer.epochs)
        if OTHERWISE in record.fidelity:
            fidelity = min(fidelity, UNSURE)
        self._engine.tell(record.picks, record.key, costs, fidelity=fidelity, foreign=foreign, limited=limited)

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        return self._expect(picks)

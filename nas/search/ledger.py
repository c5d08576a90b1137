"""Which candidate comes next, and what becomes of each: proposals are checked, ended trials recorded.

Our driver or a Ray Tune run gets its plans here and books their outcomes here. Every line is on the disk before the
sampler learns of it; the log alone is the state.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

from nas.errors import StoppedError, user_input
from nas.problem import Problem, check_records
from nas.search.samplers import Proposal, Sampler
from nas.search.standing import Standing
from nas.store.history import EVENTS, TRIALS, History
from nas.store.records import Source, TrialRecord, trial_seed
from nas.trial import TrialPlan
from searchspaces import Choice, Value

NEIGHBOURS, REDRAWS = 200, 10
"""Changes of a proposal that was tried already that are looked at for one that was not, first of one choice and then of
two; and uniformly random draws after them, before a duplicate is booked."""
BARREN = 1000
"""Infeasible or duplicate proposals in a row after which the study stops."""
EXHAUSTIBLE = 50_000
"""Largest space whose architectures are enumerated to find out whether all have been tried."""
SAME_BUG = 3
"""Trials in a row that end with the same exception at the same place before the study stops."""


class Ledger:
    """Proposals and outcomes of a study, on top of what its log holds already.

    Args:
        problem: that is searched.
        sampler: of the problem, which has learned nothing yet.
        history: the open log.

    Raises:
        WrongInputError: if the log is not one of this problem.

    Attributes:
        pending: plans handed out and not booked yet, by trial number.
        standing: counts, front and hypervolume of the ended trials.
        end: why there will be no more plans; an error if the study did not end as it should.
    """

    def __init__(self, problem: Problem, sampler: Sampler, history: History) -> None:
        self.problem, self.sampler, self.history = problem, sampler, history
        self.standing = Standing(
            {name: self.problem.objectives[name] for name in self.problem.settings.objectives}, self.problem.reference
        )
        log = history.directory / TRIALS
        check_records(history.records, {n: problem.goals[n] for n in problem.settings.objectives}, log)
        for record in history.records:
            with user_input(f"{log}, trial {record.number} is damaged"):
                problem.space.check(record.picks)
        self.pending: dict[int, TrialPlan] = {}
        self.end: str | StoppedError | None = None
        self._proposals: dict[int, Proposal] = {}
        self._origins: dict[int, tuple[int, Source]] = {}
        """Candidates that were looked at for each open trial, and who proposed it."""
        self._by_key: dict[str, TrialRecord] = {}
        memory = {e["number"]: e.get("memory", {}) for e in history.events if e["event"] == "asked"}
        for record in history.records:
            self._remember(record)
            self.sampler.replay(record, memory.get(record.number, {}))
        self.next_number = 1 + max([r.number for r in history.records] + list(memory), default=-1)
        self._check_patience()

    @property
    def missing(self) -> int:
        """Trials still to be planned."""
        return self.problem.settings.trials - self.standing.ended - len(self.pending)

    def unfinished(self) -> Iterator[TrialPlan]:
        """Plans of the trials that an earlier process asked for and did not end, while trials are missing."""
        for event in list(self.history.unfinished()):
            if self.missing <= 0:
                return
            with user_input(f"{self.history.directory / EVENTS}, trial {event['number']} is damaged"):
                self.problem.space.check(event["picks"])
            proposal = self.sampler.resume(event["picks"], event.get("memory", {}))
            self._origins[event["number"]] = event.get("draws", 1), event.get("source", "sampler")
            plan = self._admit(self._plan(event["number"], proposal), proposal)
            if plan is not None:
                yield plan

    def propose(self) -> TrialPlan | None:
        """Draws the next candidate, again if it was tried already; None if it is booked at once and not to be trained.

        A candidate that breaks a bound or was tried before is booked as that.
        """
        number, self.next_number = self.next_number, self.next_number + 1
        proposal, plan, self._origins[number] = self._draw(number)
        draws, source = self._origins[number]
        known = {"key": plan.key, "measured": plan.measured, "memory": proposal.memory}
        self.history.event("asked", number, picks=proposal.picks, draws=draws, source=source, **known)
        admitted = self._admit(plan, proposal)
        if admitted is None:
            self._check_barren()
        return admitted

    def _draw(self, number: int) -> tuple[Proposal, TrialPlan, tuple[int, Source]]:
        """What the sampler proposes; if that was tried, the nearest network that was not, or a random one."""
        proposal = self.sampler.ask(number, 0)
        plan, looked = self._plan(number, proposal), 1
        if not self._was_tried(plan):
            return proposal, plan, (looked, "sampler")
        generator = Random(trial_seed(self.problem.settings.seed, number, "neighbour"))
        for picks in _neighbours(proposal.picks, self.problem.space.choices, generator):
            near, looked = self._plan(number, Proposal(picks)), looked + 1
            keeps = near.refusal is None and not self.problem.probe.violations(near.measured)
            if keeps and not self._was_tried(near):
                self.sampler.forget(proposal)
                return self.sampler.resume(picks, proposal.memory), near, (looked, "neighbour")
        for draw in range(1, 1 + REDRAWS):
            self.sampler.forget(proposal)
            proposal = self.sampler.ask(number, draw, explore=True)
            plan, looked = self._plan(number, proposal), looked + 1
            if not self._was_tried(plan):
                break
        return proposal, plan, (looked, "uniform")

    def _was_tried(self, plan: TrialPlan) -> bool:
        """Whether nothing is to be learned from the plan."""
        return plan.key in self._by_key or self._is_pending(plan)

    def book(self, record: TrialRecord) -> None:
        """Records how a pending trial ended, then tells the sampler."""
        del self.pending[record.number]
        self._end(record, self._proposals.pop(record.number))
        if self.standing.same_bug >= SAME_BUG:
            self.end = StoppedError(
                f"{SAME_BUG} trials in a row ended with the same error, which another trial would meet too:\n"
                f"{record.error}"
            )
        self._check_patience()

    def _is_pending(self, plan: TrialPlan) -> bool:
        return any(plan.key == other.key for other in self.pending.values())

    def _admit(self, plan: TrialPlan, proposal: Proposal) -> TrialPlan | None:
        """The plan, unless it was tried already or breaks a bound: then that is recorded."""
        earlier = self._by_key.get(plan.key)
        if earlier is not None or self._is_pending(plan):
            known: dict[str, Any] = {}
            if earlier is not None:
                known = {
                    "measured": earlier.measured,
                    "spread": earlier.spread,
                    "flags": earlier.flags,
                    "violations": earlier.violations,
                    "copied_from": earlier.number,
                }
            self._end(plan.record("duplicate", **{"measured": {}, **known}), proposal)
            return None
        if plan.refusal is not None:
            self._end(plan.record("infeasible", error=plan.refusal), proposal)
            return None
        if violations := self.problem.probe.violations(plan.measured):
            self._end(plan.record("infeasible", violations=violations), proposal)
            return None
        self.pending[plan.number], self._proposals[plan.number] = plan, proposal
        return plan

    def _plan(self, number: int, proposal: Proposal) -> TrialPlan:
        problem = self.problem
        architecture, refusal = problem.space.network(proposal.picks), problem.probe.refusal(proposal.picks)
        plan = TrialPlan.of(
            problem.settings,
            architecture,
            trainer=problem.trainer,
            objectives=problem.objectives,
            seed=trial_seed(problem.settings.seed, number),
            number=number,
            picks=proposal.picks,
            surrogates=problem.surrogates,
        )
        if architecture is None or refusal is not None:
            return replace(plan, refusal=refusal)
        known = self._by_key.get(plan.key)
        measured, how = (known.measured, known.settings) if known else problem.probe.measure(architecture)
        return replace(plan, measured=measured, settings=how, facts=problem.space.facts(proposal.picks))

    def _end(self, record: TrialRecord, proposal: Proposal) -> None:
        draws, source = self._origins.pop(record.number)
        record = replace(record, ended=time.time(), draws=draws, source=source)
        self.history.record(record)
        self._remember(record)
        self.sampler.tell(proposal, record)

    def _remember(self, record: TrialRecord) -> None:
        self.standing.add(record)
        if record.status != "duplicate":
            self._by_key[record.key] = record

    def _check_patience(self) -> None:
        patience = self.problem.settings.limits.patience
        if patience is not None and self.standing.stale >= patience and self.end is None:
            self.end = (
                f"the front has not changed in the last {self.standing.stale} trials "
                f"(limits.patience = {patience}); the study ends here."
            )

    def _check_barren(self) -> None:
        barren = self.standing.barren
        if len(barren) % 25 == 0 and self._all_tried():
            self.end = "every architecture of the space has been tried; the study ends here."
        elif len(barren) >= BARREN:
            infeasible = [record for record in barren if record.violations]
            refused = [record for record in barren if record.refused]
            repeated = len(barren) - len(infeasible) - len(refused)
            reason = f"{len(infeasible)} break a bound, {repeated} repeat an earlier architecture"
            if refused:
                reason += f"; {len(refused)} cannot be built, the last because: {refused[-1].reason}"
            for name, bound in self.problem.bounds.items():
                if costs := [r.measured[name] for r in infeasible if name in r.violations]:
                    reason += f"; the cheapest of those over {name} = {bound:g} has {min(costs):g}"
            self.end = StoppedError(
                f"the last {len(barren)} proposals led to no trial: {reason}. Raise the bounds or widen the space; "
                "what is finished is kept."
            )

    def _all_tried(self) -> bool:
        space = self.problem.space
        if space.size > EXHAUSTIBLE:
            return False
        tried = self._by_key.keys() | {plan.key for plan in self.pending.values()}
        networks = (space.network(picks) for picks in space.assignments())
        return all(network is None or network.key in tried for network in networks)


def _neighbours(picks: Mapping[str, Value], choices: Sequence[Choice], generator: Random) -> Iterator[dict[str, Value]]:
    """At most `NEIGHBOURS` other picks: all that differ in one choice, in random order, then some that do in two."""
    others = [(c.name, option) for c in choices for option in c.options if option != picks[c.name]]
    single = generator.sample(others, len(others))

    def all_of_them() -> Iterator[dict[str, Value]]:
        for name, option in single:
            yield {**picks, name: option}
        while len(others) > 1:
            yield {**picks, **dict(generator.sample(others, 2))}

    return islice(all_of_them(), NEIGHBOURS)

"""Which candidate comes next, and what becomes of each: proposals are checked, ended trials recorded, then told.

Whoever runs trials (our driver, or a Ray Tune run) asks here for plans and books their outcomes here. Every line is on
the disk before the sampler is told of it; the log alone is the state.
"""

from collections.abc import Iterator
from typing import Any

from nas.errors import StoppedError
from nas.history import History
from nas.problem import Probe, Problem
from nas.proposals import Proposal, Proposer
from nas.records import TrialRecord, trial_seed
from nas.tally import Tally
from nas.trial import TrialPlan
from searchspaces.architecture import key_of

REDRAWS = 20
"""Draws for one trial before a duplicate is booked; the second half of them is uniformly random."""
BARREN = 1000
"""Infeasible or duplicate proposals in a row after which the study stops."""
EXHAUSTIBLE = 50_000
"""Largest space whose architectures are enumerated to find out whether all have been tried."""
SAME_BUG = 3
"""Trials in a row that end with the same traceback before the study stops."""


class Ledger:
    """Proposals and outcomes of a study, on top of what its log holds already.

    Args:
        proposer: of the problem, with nothing told to it yet.
        history: the open log.

    Attributes:
        pending: plans given out and not booked yet, by trial number.
        tally: counts, front and hypervolume of the ended trials.
        end: why there will be no more plans; an error if that is not as it should be.
    """

    def __init__(self, proposer: Proposer, history: History) -> None:
        self.problem: Problem = proposer.problem
        self.proposer, self.history = proposer, history
        self.probe = Probe(self.problem.space, self.problem.objectives, self.problem.bounds)
        self.tally = Tally(
            {name: self.problem.objectives[name] for name in self.problem.settings.objectives}, self.problem.reference
        )
        self.pending: dict[int, TrialPlan] = {}
        self.end: str | StoppedError | None = None
        self._proposals: dict[int, Proposal] = {}
        self._by_key: dict[str, TrialRecord] = {}
        memory = {e["number"]: e.get("memory", {}) for e in history.events if e["event"] == "asked"}
        for record in history.records:
            self._remember(record)
            self.proposer.replay(record, memory.get(record.number, {}))
        self.next_number = 1 + max([r.number for r in history.records] + list(memory), default=-1)
        self._check_patience()

    @property
    def missing(self) -> int:
        """Trials still to be planned."""
        return self.problem.settings.trials - self.tally.ended - len(self.pending)

    def unfinished(self) -> Iterator[TrialPlan]:
        """Plans of the trials that an earlier process asked for and did not end, while trials are missing."""
        for event in list(self.history.unfinished()):
            if self.missing <= 0:
                return
            proposal = self.proposer.resume(event["picks"], event.get("memory", {}))
            plan = self._admit(self._plan(event["number"], proposal), proposal)
            if plan is not None:
                yield plan

    def propose(self) -> TrialPlan | None:
        """Draws the next candidate, again if it was tried already; None if it is booked at once and not to be trained.

        A candidate that breaks a bound or was tried before is booked as that.
        """
        number, self.next_number = self.next_number, self.next_number + 1
        for draw in range(REDRAWS):
            proposal = self.proposer.ask(number, draw, explore=draw >= REDRAWS // 2)
            plan = self._plan(number, proposal)
            earlier = self._by_key.get(plan.key)
            if not self._is_pending(plan) and (earlier is None or earlier.violations):
                break
            if draw < REDRAWS - 1:
                self.proposer.forget(proposal)
        self.history.event("asked", number, picks=proposal.picks, key=plan.key, memory=proposal.memory)
        admitted = self._admit(plan, proposal)
        if admitted is None:
            self._check_barren()
        return admitted

    def book(self, record: TrialRecord) -> None:
        """Records how a pending trial ended, then tells the sampler."""
        del self.pending[record.number]
        self._end(record, self._proposals.pop(record.number))
        if self.tally.same_bug >= SAME_BUG:
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
                    "violations": earlier.violations,
                    "copied_from": earlier.number,
                }
            self._end(plan.record("duplicate", **{"measured": {}, **known}), proposal)
            return None
        if violations := self.probe.violations(plan.measured):
            self._end(plan.record("infeasible", violations=violations), proposal)
            return None
        self.pending[plan.number], self._proposals[plan.number] = plan, proposal
        return plan

    def _plan(self, number: int, proposal: Proposal) -> TrialPlan:
        problem, settings = self.problem, self.problem.settings
        architecture = problem.space.decode(proposal.picks)
        document = architecture.to_json()
        key = key_of(document)
        known = self._by_key.get(key)
        measured, how = (known.measured, known.settings) if known else self.probe.measure(architecture)
        execution = settings.execution
        return TrialPlan(
            number=number,
            picks=proposal.picks,
            architecture=document,
            key=key,
            seed=trial_seed(settings.seed, number),
            trainer=problem.trainer,
            objectives=problem.objectives,
            measured=measured,
            settings=how,
            device=execution.where,
            threads=max(1, int(execution.cpus_per_trial)),
            memory_gb=execution.memory_gb_per_trial,
            gpu_share=execution.gpus_per_trial,
            timeout_seconds=execution.timeout_seconds,
            checkpoint_seconds=execution.checkpoint_seconds,
            plugins=tuple(settings.plugins),
        )

    def _end(self, record: TrialRecord, proposal: Proposal) -> None:
        self.history.record(record)
        self._remember(record)
        self.proposer.tell(proposal, record)

    def _remember(self, record: TrialRecord) -> None:
        self.tally.add(record)
        if self.problem.settings.limits.patience is not None:
            self.tally.note_progress()
        if record.status != "duplicate":
            self._by_key[record.key] = record

    def _check_patience(self) -> None:
        patience = self.problem.settings.limits.patience
        if patience is not None and self.tally.stale >= patience and self.end is None:
            self.end = (
                f"the hypervolume has not grown in the last {self.tally.stale} trials (limits.patience = {patience}); "
                "the study ends here."
            )

    def _check_barren(self) -> None:
        barren = self.tally.barren
        if len(barren) % 25 == 0 and self._all_tried():
            self.end = "every architecture of the space has been tried; the study ends here."
        elif len(barren) >= BARREN:
            infeasible = [record for record in barren if record.violations]
            reason = f"{len(infeasible)} break a bound, {len(barren) - len(infeasible)} repeat an earlier architecture"
            for name, bound in self.problem.bounds.items():
                if costs := [r.measured[name] for r in infeasible if name in r.violations]:
                    reason += f"; the cheapest of those over {name} = {bound:g} has {min(costs):g}"
            self.end = StoppedError(
                f"the last {len(barren)} proposals gave no trial: {reason}. Raise the bounds or widen the space; "
                "what is finished is kept."
            )

    def _all_tried(self) -> bool:
        space = self.problem.space
        if space.size > EXHAUSTIBLE:
            return False
        tried = self._by_key.keys() | {plan.key for plan in self.pending.values()}
        return all(space.decode(picks).key in tried for picks in space.assignments())

"""Which candidate comes next, and what becomes of each: proposals are checked, ended trials recorded.

Our driver or a Ray Tune run gets its plans here and books their outcomes here. Every line is on the disk before the
sampler learns of it; the log alone is the state.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

from nas.errors import StoppedError, user_input
from nas.problem import Problem, check_records
from nas.search.knowledge import read_earlier
from nas.search.relatives import Origin, Relatives
from nas.search.rungs import Rungs
from nas.search.samplers import Proposal, Sampler
from nas.search.samplers.sampler import Believer
from nas.search.standing import Standing
from nas.store.artifacts import weights_path
from nas.store.history import EVENTS, TRIALS, History
from nas.store.records import COUNTED, Source, TrialRecord, trial_seed
from nas.trial import TrialPlan
from searchspaces import Architecture, Choice, Value

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
        rungs: which networks were trained for how long.
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
        self.rungs = Rungs(problem.settings.search.rungs)
        self.relatives = Relatives() if problem.trainer.inherit else None
        """Whose weights trials may begin with; None where all begin from scratch."""
        self.spent = 0.0
        """Epochs of training so far; one on a part of the samples counts as that part."""
        self.end: str | StoppedError | None = None
        self._proposals: dict[int, Proposal] = {}
        self._origins: dict[int, tuple[int, Source]] = {}
        """Candidates that were looked at for each open trial, and who proposed it."""
        self._by_key: dict[str, TrialRecord] = {}
        """The last trial of every network."""
        self._by_number: dict[int, TrialRecord] = {}
        self._exhausted = False
        """Every network of the space has been tried."""
        for record in read_earlier(history.directory):
            if isinstance(self.sampler, Believer):
                self.sampler.recall(record)
            elif (lesson := self._lesson(record)) is not None:
                self.sampler.replay(lesson, {})
        memory = {e["number"]: e.get("memory", {}) for e in history.events if e["event"] == "asked"}
        for record in history.records:
            self._begin(record)
            self._remember(record)
            if (lesson := self._lesson(record)) is not None:
                self.sampler.replay(lesson, memory.get(record.number, {}))
        self.next_number = 1 + max([r.number for r in history.records] + list(memory), default=-1)
        self._check_limits()

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
            number, before = event["number"], self._by_number.get(event.get("continues", -1))
            once = self._by_number.get(event.get("repeats", -1))
            if once is not None and isinstance(self.sampler, Believer):
                proposal, plan = self._again(number, once)
            elif before is not None:
                proposal, plan = self._longer(number, before)
            else:
                proposal = self.sampler.resume(event["picks"], event.get("memory", {}))
                plan = self._plan(number, proposal, event.get("rung", 0))
            self._origins[number] = event.get("draws", 1), event.get("source", "sampler")
            if (admitted := self._admit(plan, proposal)) is not None:
                yield admitted

    def propose(self) -> TrialPlan | None:
        """Draws the next candidate, again if it was tried already; None if it is booked at once and not to be trained.

        A candidate that breaks a bound or was tried before is booked as that. Where a network deserves a longer
        training than it has had, it comes before new ones.
        """
        number, self.next_number = self.next_number, self.next_number + 1
        proposal, plan, self._origins[number] = self._given(number) or self._promotion(number) or self._draw(number)
        draws, source = self._origins[number]
        known: dict[str, Any] = {"key": plan.key, "measured": plan.measured, "memory": proposal.memory}
        if self.rungs.last:
            known |= {"rung": self.rungs.at(plan.fidelity)}
            known |= {} if plan.continues is None else {"continues": plan.continues}
        known |= {} if plan.repeats is None else {"repeats": plan.repeats}
        self.history.event("asked", number, picks=proposal.picks, draws=draws, source=source, **known)
        admitted = self._admit(plan, proposal)
        if admitted is None:
            self._check_barren()
        return admitted

    def _given(self, number: int) -> tuple[Proposal, TrialPlan, tuple[int, Source]] | None:
        """What the user wants to see first; None once that is done."""
        first = self.problem.settings.search.first
        if number >= len(first):
            return None
        given: Any = first[number]
        drawn = self.problem.space.draw(Random(trial_seed(self.problem.settings.seed, number, "given")))
        proposal = self.sampler.resume({**drawn, **given}, {})
        return proposal, self._plan(number, proposal), (1, "given")

    def _promotion(self, number: int) -> tuple[Proposal, TrialPlan, tuple[int, Source]] | None:
        """The network that is to be trained longer before any new one is proposed; None if none is.

        A sampler that believes says which, once there are no new networks or what is left of the budget is for those
        that have begun. With others every third of a rung goes on, as soon as it may.
        """
        if isinstance(self.sampler, Believer):
            over = self._exhausted or self._is_closing()
            return self._rather(number, None) if over else None
        for rung, records in self.rungs.waiting(all_of_them=self._exhausted):
            ranks = self.rungs.ranks(rung, records, self.standing.objectives)
            return *self._longer(number, records[int(ranks.argmax())]), (1, "promotion")
        return None

    def _rather(self, number: int, proposal: Proposal | None) -> tuple[Proposal, TrialPlan, tuple[int, Source]] | None:
        """A longer training that promises more for each epoch still to be spent than a proposal does, if one does."""
        assert isinstance(self.sampler, Believer)
        waiting = [(rung, record) for rung, them in self.rungs.waiting(all_of_them=True) for record in them]
        if not waiting:
            return None
        records, epochs = [record for _, record in waiting], [self.rungs.ahead(rung) for rung, _ in waiting]
        best = self.sampler.go_on(records, epochs, proposal, self.rungs.whole_way())
        if best is None:
            return None
        if proposal is not None:
            self.sampler.forget(proposal)
        return *self._longer(number, best), (1, "promotion")

    def _is_closing(self) -> bool:
        """Whether what is left of the budget is for networks that have begun.

        It is once a new one could not be trained whole any more, or would leave too little for the longer trainings
        that are due, of every third of a rung.
        """
        if not self.rungs.last:
            return False
        running = [(self.rungs.at(plan.fidelity), plan.continues is not None) for plan in self.pending.values()]
        limit = self.problem.settings.limits.epochs
        epochs = math.inf if limit is None else limit - self.spent
        epochs -= sum(self.rungs.taken(rung, promoted=promoted) for rung, promoted in running)
        trials, first, due = self.missing, self.rungs.first(), self.rungs.due()
        short = {rung: n * self.rungs.taken(rung + 1, promoted=True) for rung, n in due.items()}
        needed = max(self.rungs.whole_way(), self.rungs.taken(first) + sum(short.values()))
        return epochs < needed or trials < max(1 + self.rungs.last - first, 1 + sum(due.values()))

    def _replicate(self, number: int, proposal: Proposal) -> tuple[Proposal, TrialPlan, tuple[int, Source]] | None:
        """Another training of a network of the front, where that is worth more than the proposal."""
        if not isinstance(self.sampler, Believer):
            return None
        running = {plan.repeats for plan in self.pending.values()}
        members = [record for record in self.standing.front if record.number not in running]
        record = self.sampler.repeat(members, proposal) if members else None
        if record is None:
            return None
        self.sampler.forget(proposal)
        return *self._again(number, record), (1, "replicate")

    def _again(self, number: int, record: TrialRecord) -> tuple[Proposal, TrialPlan]:
        """The training of a network with another seed."""
        assert isinstance(self.sampler, Believer)
        proposal = self.sampler.promote(record, self.rungs.last)
        return proposal, replace(self._plan(number, proposal, self.rungs.last), repeats=record.number)

    def _longer(self, number: int, record: TrialRecord) -> tuple[Proposal, TrialPlan]:
        """The training of a network on the rung above."""
        rung = 1 + self.rungs.of(record)
        proposal = Proposal(record.picks)
        if isinstance(self.sampler, Believer):
            proposal = self.sampler.promote(record, rung)
        plan = replace(self._plan(number, proposal, rung), continues=record.number)
        return proposal, replace(plan, seed=record.seed) if self.rungs.continued else plan

    def _draw(self, number: int) -> tuple[Proposal, TrialPlan, tuple[int, Source]]:
        """What the sampler proposes; if that was tried, the nearest network that was not, or a random one."""
        proposal = self.sampler.ask(number, 0)
        believes = self.rungs.last and isinstance(self.sampler, Believer)
        if believes and (longer := self._rather(number, proposal)) is not None:
            return longer
        if self.problem.settings.search.replicates and (again := self._replicate(number, proposal)) is not None:
            return again
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
        known = self._by_key.get(plan.key)
        if plan.repeats is not None:
            return False
        if plan.continues is not None:
            return known is None or known.number != plan.continues
        return known is not None or self._is_pending(plan)

    def book(self, record: TrialRecord) -> None:
        """Records how a pending trial ended, then tells the sampler."""
        del self.pending[record.number]
        self._end(record, self._proposals.pop(record.number))
        if self.standing.same_bug >= SAME_BUG:
            self.end = StoppedError(
                f"{SAME_BUG} trials in a row ended with the same error, which another trial would meet too:\n"
                f"{record.error}"
            )
        self._check_limits()

    def is_paused(self, number: int) -> bool:
        """Whether the training of a trial can be continued, and was not so far."""
        record = self._by_number.get(number)
        return record is not None and "of" in record.fidelity and self._by_key.get(record.key) is record

    def _is_pending(self, plan: TrialPlan) -> bool:
        return any(plan.key == other.key for other in self.pending.values())

    def _admit(self, plan: TrialPlan, proposal: Proposal) -> TrialPlan | None:
        """The plan, unless it was tried already or breaks a bound: then that is recorded."""
        if self._was_tried(plan):
            earlier = self._by_key.get(plan.key)
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
        plan = self._with_origin(plan)
        self.pending[plan.number], self._proposals[plan.number] = plan, proposal
        self._begin(plan)
        return plan

    def _with_origin(self, plan: TrialPlan) -> TrialPlan:
        """The plan with what its training begins with, which is decided once and noted in the log."""
        if self.relatives is None:
            return plan
        noted = self.history.origins.get(plan.number)
        if noted is not None and (noted["trial"] is None or noted["trial"] in self._by_number):
            origin = Origin(noted["trial"], noted["share"])
        else:
            directory, architecture = self.history.directory, Architecture.from_json(plan.architecture)
            origin = self.relatives.nearest(architecture, lambda n: weights_path(directory, n).exists())
            self.history.event("inherits", plan.number, trial=origin.trial, share=origin.share)
        return replace(plan, inherited=None if origin.trial is None else {"trial": origin.trial, "share": origin.share})

    def relative(self, plan: TrialPlan) -> TrialRecord | None:
        """The trial whose weights a plan begins with; None if it begins from scratch."""
        return None if plan.inherited is None else self._by_number[plan.inherited["trial"]]

    def disinherit(self, plan: TrialPlan) -> TrialPlan:
        """The plan with another relative, or none, because the weights of the one that it had are lost."""
        assert self.relatives is not None
        assert plan.inherited is not None
        self.relatives.remove(plan.inherited["trial"])
        del self.history.origins[plan.number]
        return self._with_origin(plan)

    def _begin(self, trial: TrialPlan | TrialRecord) -> None:
        """Notes what a trial that is trained does on its rung."""
        if trial.repeats is not None:
            return
        if isinstance(trial, TrialPlan):
            self.rungs.begin(self.rungs.at(trial.fidelity), trial.key, promoted=trial.continues is not None)
        elif trial.status in COUNTED:
            self.rungs.begin(self.rungs.of(trial), trial.key, promoted=trial.continues is not None)

    def _plan(self, number: int, proposal: Proposal, rung: int | None = None) -> TrialPlan:
        """The training of a proposal, on the rung on which new networks begin unless another is given."""
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
        plan = self._on_rung(plan, self.rungs.first() if rung is None else rung)
        if architecture is None or refusal is not None:
            return replace(plan, refusal=refusal)
        known = None if self.rungs.last or self.problem.settings.search.replicates else self._by_key.get(plan.key)
        measured, how = (known.measured, known.settings) if known else problem.probe.measure(architecture)
        facts = problem.space.facts(proposal.picks)
        return replace(plan, measured=measured, settings=how, facts=facts, bounds=problem.measured_bounds)

    def _on_rung(self, plan: TrialPlan, rung: int) -> TrialPlan:
        if rung == self.rungs.last:
            return plan
        epochs, share = self.rungs.epochs[rung], self.rungs.shares[rung]
        if self.rungs.continued:
            return replace(plan, whole=False, until=epochs)
        return replace(plan, whole=False, share=share, trainer=replace(plan.trainer, epochs=epochs))

    def _end(self, record: TrialRecord, proposal: Proposal) -> None:
        draws, source = self._origins.pop(record.number)
        record = replace(record, ended=time.time(), draws=draws, source=source)
        self.history.record(record)
        self._remember(record)
        if (lesson := self._lesson(record)) is not None:
            self.sampler.tell(proposal, lesson)

    def _lesson(self, record: TrialRecord) -> TrialRecord | None:
        """What the sampler is told of a trial: if it is no believer, the first training of a network as a whole one."""
        if isinstance(self.sampler, Believer):
            return record
        if record.continues is not None:
            return None
        return replace(record, status="complete") if self.rungs.last and record.status == "truncated" else record

    def _remember(self, record: TrialRecord) -> None:
        self.standing.add(record)
        self._by_number[record.number] = record
        if self.relatives is not None:
            self.relatives.add(record)
        if record.status == "duplicate":
            return
        if record.repeats is None:
            self._by_key[record.key] = record
        if record.status in COUNTED:
            if record.repeats is None:
                self.rungs.end(record)
            self.spent += self._epochs(record)

    def _epochs(self, record: TrialRecord) -> float:
        """Of training that a trial took; one that was continued took some in another trial."""
        taken = record.length
        if self.rungs.continued and record.continues in self._by_number:
            taken -= self._by_number[record.continues].length
        return taken

    def _check_limits(self) -> None:
        limit = self.problem.settings.limits.epochs
        if limit is not None and self.spent >= limit and self.end is None:
            self.end = f"{self.spent:g} epochs have been trained (limits.epochs = {limit}); the study ends here."
        patience = self.problem.settings.limits.patience
        if patience is not None and self.standing.stale >= patience and self.end is None:
            self.end = (
                f"the front has not changed in the last {self.standing.stale} trials "
                f"(limits.patience = {patience}); the study ends here."
            )

    def _check_barren(self) -> None:
        barren = self.standing.barren
        if len(barren) % 25 == 0 and self._all_tried():
            self._exhausted = True
            if not any(self.rungs.waiting(all_of_them=True)):
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

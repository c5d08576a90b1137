"""The search: propose, check, hand out, record, tell.

The driver owns the loop (ask and tell); executors only run what they are given. Every line is on the disk before the
sampler is told of it. The log alone is the state: running the same command again goes on where it ends.
"""

import json
import platform
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Protocol

from nas.artifacts import write_atomically
from nas.errors import StoppedError
from nas.executors import Executor
from nas.history import History
from nas.problem import Probe, Problem
from nas.proposals import Proposal, Proposer
from nas.records import COUNTED, TrialRecord, trial_seed
from nas.trial import TrialOutcome, TrialPlan

REDRAWS = 20
"""Draws for one trial before a duplicate is booked; the second half of them is uniformly random."""
BARREN = 1000
"""Infeasible or duplicate proposals in a row after which the study stops."""
EXHAUSTIBLE = 50_000
"""Largest space whose architectures are enumerated to find out whether all have been tried."""
ATTEMPTS = 2
"""Times a trial is handed out whose worker was lost."""
SAME_BUG = 3
"""Trials in a row that end with the same traceback before the study stops."""


class Watcher(Protocol):
    """Who is told of progress."""

    def begin(self, problem: Problem, directory: Path) -> None:
        """Called once, before the first trial."""
        ...

    def update(self, records: list[TrialRecord], running: int) -> None:
        """Called after every change with all records and the number of running trials."""
        ...

    def say(self, message: str) -> None:
        """Something that a person should know."""
        ...


class Driver:
    """Runs a study until it has its trials.

    Args:
        proposer: of the problem, with nothing told to it yet.
        history: the open log; what it holds already is gone on with.
        watcher: is told of every ended trial.
    """

    def __init__(self, proposer: Proposer, history: History, executor: Executor, watcher: Watcher) -> None:
        self.problem, self.proposer = proposer.problem, proposer
        self.history, self.executor, self.watcher = history, executor, watcher
        self.probe = Probe(self.problem.space, self.problem.objectives, self.problem.bounds)
        self.running: dict[int, tuple[TrialPlan, Proposal]] = {}
        self.by_key: dict[str, TrialRecord] = {}
        memory = {e["number"]: e.get("memory", {}) for e in history.events if e["event"] == "asked"}
        for record in history.records:
            self._remember(record)
            self.proposer.replay(record, memory.get(record.number, {}))
        self.next_number = 1 + max([r.number for r in history.records] + list(memory), default=-1)
        self.end: str | StoppedError | None = None

    def run(self) -> None:
        """Runs until the study has its trials, or the space has no more candidates.

        Raises:
            StoppedError: if it cannot go on, with the reason; all ended trials are in the log.
        """
        self.watcher.update(self.history.records, 0)
        for event in list(self.history.unfinished()):
            if self._missing() <= 0:
                break
            proposal = self.proposer.resume(event["picks"], event.get("memory", {}))
            while len(self.running) >= self.executor.slots:
                self._collect()
            self._admit(self._plan(event["number"], proposal), proposal)
        while True:
            while self._missing() > 0 and len(self.running) < self.executor.slots and not self.end:
                self._propose()
            if self.running:
                self._collect()
            elif isinstance(self.end, StoppedError):
                raise self.end
            else:
                if self.end:
                    self.watcher.say(self.end)
                return

    def _missing(self) -> int:
        counted = sum(record.status in COUNTED for record in self.history.records)
        return self.problem.settings.trials - counted - len(self.running)

    def _propose(self) -> None:
        """Draws the next candidate, again if it was tried already, and admits it."""
        number, self.next_number = self.next_number, self.next_number + 1
        for draw in range(REDRAWS):
            proposal = self.proposer.ask(number, draw, explore=draw >= REDRAWS // 2)
            plan = self._plan(number, proposal)
            earlier = self.by_key.get(plan.key)
            if not self._pending(plan) and (earlier is None or earlier.violations):
                break
            if draw < REDRAWS - 1:
                self.proposer.forget(proposal)
        self.history.event("asked", number, picks=proposal.picks, key=plan.key, memory=proposal.memory)
        self._admit(plan, proposal)
        self._check_barren()

    def _pending(self, plan: TrialPlan) -> bool:
        return any(plan.key == other.key for other, _ in self.running.values())

    def _admit(self, plan: TrialPlan, proposal: Proposal) -> None:
        """Hands a candidate out, unless it was tried already or breaks a bound: then that is recorded."""
        earlier = self.by_key.get(plan.key)
        if earlier is not None or self._pending(plan):
            self._book_duplicate(plan, proposal, earlier)
        elif violations := self.probe.violations(plan.measured):
            self._end(plan.record("infeasible", violations=violations), proposal)
        else:
            self._start(plan, proposal)

    def _plan(self, number: int, proposal: Proposal) -> TrialPlan:
        problem, settings = self.problem, self.problem.settings
        architecture = problem.space.decode(proposal.picks)
        key = architecture.key
        known = self.by_key.get(key)
        measured, how = (known.measured, known.settings) if known else self.probe.measure(architecture)
        execution = settings.execution
        on_gpu = execution.device == "cuda" or (execution.device == "auto" and execution.gpus_per_trial > 0)
        return TrialPlan(
            number=number,
            picks=proposal.picks,
            architecture=architecture.to_json(),
            key=key,
            seed=trial_seed(settings.seed, number),
            trainer=problem.trainer,
            objectives=problem.objectives,
            measured=measured,
            settings=how,
            device="cuda" if on_gpu else "cpu",
            timeout_seconds=execution.timeout_seconds,
            plugins=tuple(settings.plugins),
        )

    def _book_duplicate(self, plan: TrialPlan, proposal: Proposal, earlier: TrialRecord | None) -> None:
        record = plan.record(
            "duplicate",
            measured=earlier.measured if earlier else {},
            violations=earlier.violations if earlier else {},
            copied_from=earlier.number if earlier else None,
        )
        self._end(record, proposal)

    def _start(self, plan: TrialPlan, proposal: Proposal) -> None:
        self.running[plan.number] = (plan, proposal)
        self.executor.submit(plan)
        self.watcher.update(self.history.records, len(self.running))

    def _collect(self) -> None:
        outcome = self.executor.wait()
        plan, proposal = self.running.pop(outcome.record.number)
        if outcome.record.failure == "worker_lost" and plan.attempt < ATTEMPTS:
            self.history.event("attempt", plan.number, attempt=plan.attempt + 1, error=outcome.record.error)
            self._start(replace(plan, attempt=plan.attempt + 1), proposal)
            return
        self._keep_weights(outcome)
        self._end(outcome.record, proposal)
        self._check_bugs()

    def _keep_weights(self, outcome: TrialOutcome) -> None:
        if outcome.weights is not None:
            path = self.history.directory / "artifacts" / str(outcome.record.number) / "weights.safetensors"
            write_atomically(path, outcome.weights)

    def _end(self, record: TrialRecord, proposal: Proposal) -> None:
        self.history.record(record)
        self._remember(record)
        self.proposer.tell(proposal, record)
        self.watcher.update(self.history.records, len(self.running))

    def _remember(self, record: TrialRecord) -> None:
        if record.status != "duplicate":
            self.by_key[record.key] = record

    def _check_barren(self) -> None:
        barren = 0
        for record in reversed(self.history.records):
            if record.status in COUNTED:
                break
            barren += 1
        if barren and barren % 25 == 0 and self._all_tried():
            self.end = "every architecture of the space has been tried; the study ends here."
        elif barren >= BARREN:
            last = self.history.records[-BARREN:]
            infeasible = [r for r in last if r.violations]
            reason = f"{len(infeasible)} break a bound, {BARREN - len(infeasible)} repeat an earlier architecture"
            for name, bound in self.problem.bounds.items():
                if costs := [r.measured[name] for r in infeasible if name in r.violations]:
                    reason += f"; the cheapest of those over {name} = {bound:g} has {min(costs):g}"
            self.end = StoppedError(
                f"the last {BARREN} proposals gave no trial: {reason}. Raise the bounds or widen the space; "
                "what is finished is kept."
            )

    def _all_tried(self) -> bool:
        if self.problem.space.size > EXHAUSTIBLE:
            return False
        tried = self.by_key.keys() | {plan.key for plan, _ in self.running.values()}
        space = self.problem.space
        return all(space.decode(picks).key in tried for picks in space.assignments())

    def _check_bugs(self) -> None:
        last = [record for record in self.history.records if record.status in COUNTED][-SAME_BUG:]
        if len(last) == SAME_BUG and last[0].failure == "bug" and len({record.error for record in last}) == 1:
            self.end = StoppedError(
                f"{SAME_BUG} trials in a row ended with the same error, which another trial would meet too:\n"
                f"{last[0].error}"
            )


def write_environment(directory: Path) -> None:
    """Writes ``environment.json``: what the study ran on."""
    packages = ("mixing-nas", "torch", "numpy", "optuna", "ray", "scikit-learn", "safetensors")
    content = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in packages},
    }
    write_atomically(directory / "environment.json", (json.dumps(content, indent=2) + "\n").encode())

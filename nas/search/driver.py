"""The search: gets plans from the ledger, hands them to an executor, books what comes back.

The log alone is the state: running the same command again continues where it ends.
"""

import json
import platform
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Protocol

from nas.errors import StoppedError, WrongInputError
from nas.export.weights import read_kept
from nas.problem import Problem
from nas.search.executors import Executor
from nas.search.interruption import Interruption
from nas.search.ledger import Ledger
from nas.search.standing import Standing
from nas.store.artifacts import Artifacts, checkpoint_path, checkpointed, drop_checkpoint, keep_traces, read_checkpoint
from nas.store.files import write_atomically
from nas.store.live import Live, Report
from nas.trial import Relative, TrialOutcome, TrialPlan

MACHINES_LOST = 10
"""Times that one trial may lose its machine before it is recorded as failed; that is seldom its own fault."""
CRASHES = 5
"""Driver processes that one trial may take down before it is recorded as failed and skipped."""


class Watcher(Protocol):
    """What a search reports its progress to."""

    def begin(self, problem: Problem, directory: Path) -> None:
        """Called once, before the first trial."""
        ...

    def update(self, standing: Standing, live: Live, artifact_bytes: int) -> None:
        """Called after every change."""
        ...

    def say(self, message: str) -> None:
        """Called with what a person should know."""
        ...


class Driver:
    """Runs a study until it has its trials, a limit is reached or it is interrupted; the listener of its executor.

    Args:
        ledger: of the study.
        watcher: called after every change.
        interruption: says when to stop.
    """

    def __init__(self, ledger: Ledger, watcher: Watcher, interruption: Interruption) -> None:
        self.ledger, self.watcher, self.interruption = ledger, watcher, interruption
        settings = ledger.problem.settings
        self.attempts = settings.execution.attempts
        limit = settings.limits.artifacts_gb
        self.history, self.directory = ledger.history, ledger.history.directory
        self.artifacts = Artifacts(self.directory, None if limit is None else int(limit * 1e9))
        self.live = Live(self.directory)
        self.alone: list[TrialPlan] = []
        """Trials that ran out of memory and wait until no other runs."""
        self.ahead: TrialPlan | None = None
        """Proposed while every worker was busy, so that the first that is free has not to wait for the sampler."""
        self.saved = checkpointed(self.directory)
        """Trials that have a checkpoint."""
        self.over_limit = self.unsaved = False

    def run(self, executor: Executor) -> None:
        """Runs until the study has its trials, or the space no more candidates, or it is to stop.

        Raises:
            StoppedError: if it cannot continue, with the reason; all ended trials are in the log.
            KeyboardInterrupt: if it was interrupted by its user.
        """
        self.executor = executor
        self.artifacts.sweep()
        unfinished = {event["number"] for event in self.history.unfinished()}
        for number in [n for n in self.saved - unfinished if not self.ledger.is_paused(n)]:
            self._forget(number)
        self._trim()
        self._show()
        try:
            for plan in self.ledger.unfinished():
                while len(self.live.running) >= executor.slots:
                    self._collect()
                if self.interruption.reason or self.ledger.end:
                    break
                self._go_on(plan)
            self._loop()
        except KeyboardInterrupt:
            for number in self.live.running:
                self.history.event("cancelled", number, reason=self.interruption.reason)
            if self.interruption.by_user or self.interruption.reason is None:
                raise
            return
        if self.interruption.by_user:
            raise KeyboardInterrupt
        if isinstance(self.ledger.end, StoppedError):
            raise self.ledger.end
        if self.ledger.end:
            self.watcher.say(self.ledger.end)

    def report(self, report: Report) -> None:
        """Stores the report of a running trial."""
        self.live.report(report)
        if report.started:
            self.history.event("started", report.number, attempt=report.attempt, host=report.host, pid=report.pid)
        self._show()

    def checkpoint(self, number: int, content: bytes) -> None:
        """Stores a checkpoint of a trial."""
        try:
            write_atomically(checkpoint_path(self.directory, number), content)
            self.saved.add(number)
            self.history.progressed(number)
        except StoppedError as error:
            if not self.unsaved:
                self.watcher.say(f"{error} Should its worker be lost, trial {number} will start anew.")
            self.unsaved = True

    def say(self, message: str) -> None:
        """Passes on what a person should know."""
        self.watcher.say(message)

    def _loop(self) -> None:
        while True:
            while self._is_open() and len(self.live.running) < self.executor.slots:
                plan, self.ahead = self.ahead, None
                if plan is None and self.ledger.missing <= 0:
                    break
                if (plan := plan or self.ledger.propose()) is None:
                    self._show()
                else:
                    self._start(plan)
            if self.alone and not self.live.running and not self.interruption.reason:
                self._start(self.alone.pop())
            if not self.live.running:
                return
            # Of one worker each proposal knows all that was trained before it.
            if self.executor.slots > 1 and self.ahead is None and self._is_open() and self.ledger.missing > 0:
                self.ahead = self.ledger.propose()
            self._collect()

    def _is_open(self) -> bool:
        """Whether more trials may be started."""
        return not (self.interruption.reason or self.ledger.end or self.alone)

    def _go_on(self, plan: TrialPlan) -> None:
        """Continues a trial of an earlier process, unless it took that process down again and again."""
        number = plan.number
        if not self.executor.isolated and self.history.crashed(number) >= CRASHES:
            error = (
                f"the trial was started {CRASHES} times and the process ended each time before it did. With "
                "--ray local such a trial would not take the search down."
            )
            self._end(plan.failed("worker_lost", error))
            self._show()
            return
        plan = replace(plan, attempt=1 + self.history.attempts(number))
        if self.history.retried(number, "out_of_memory"):
            self._start_smaller(plan)
        else:
            self._start(plan)

    def _start(self, plan: TrialPlan) -> None:
        plan, relative = self._origin(plan)
        self.ledger.pending[plan.number] = plan
        plan = replace(plan, relative=relative)
        self.live.start(plan.number)
        if (saved := next((n for n in (plan.number, plan.continues) if n in self.saved), None)) is not None:
            plan = replace(plan, checkpoint=read_checkpoint(self.directory, saved))
        self.executor.submit(plan)
        self._show()

    def _origin(self, plan: TrialPlan) -> tuple[TrialPlan, Relative | None]:
        """The plan and the network whose weights it begins with; where these are lost, with another or from scratch."""
        while (record := self.ledger.relative(plan)) is not None:
            try:
                return plan, Relative(record.architecture, read_kept(self.directory, record))
            except WrongInputError as error:
                self._forget(plan.number)  # the checkpoint of a training that began with them
                plan = self.ledger.disinherit(plan)
                instead = "from scratch" if plan.inherited is None else f"with those of trial {plan.inherited['trial']}"
                self.watcher.say(
                    f"trial {plan.number} cannot begin with the weights of trial {record.number}, so it begins "
                    f"{instead}: {error}"
                )
        return plan, None

    def _collect(self) -> None:
        outcome = self.executor.wait()
        if outcome is not None:
            self.live.end(outcome.record.number)
            if not self._try_again(outcome):
                self._end(outcome)
        self._show()

    def _try_again(self, outcome: TrialOutcome) -> bool:
        """Hands a trial out again whose failure may not be its own, and notes it in the log."""
        number, failure = outcome.record.number, outcome.record.failure
        if failure not in ("worker_lost", "out_of_memory"):
            return False
        machine_lost = outcome.machine_lost
        retried = self.history.retried(number, failure, machine_lost=machine_lost)
        attempts = 2 if failure == "out_of_memory" else MACHINES_LOST if machine_lost else self.attempts
        if retried + 1 >= attempts:
            return False
        plan = self.ledger.pending[number]
        again = replace(plan, attempt=plan.attempt + 1)
        details = {"machine_lost": True} if machine_lost else {}
        error = outcome.record.error
        self.history.event("attempt", number, attempt=again.attempt, failure=failure, error=error, **details)
        if self.interruption.reason:  # the next run of the command continues with it
            return True
        if failure == "worker_lost":
            self._start(again)
        else:
            self._start_smaller(again)
        return True

    def _start_smaller(self, plan: TrialPlan) -> None:
        """Starts a trial that ran out of memory with half the batch at a time, or later, when no other runs."""
        trainer = plan.trainer.halved()
        if trainer is None:
            self.alone.append(plan)
        else:
            self._start(replace(plan, trainer=trainer))

    def _end(self, outcome: TrialOutcome) -> None:
        weights = outcome.written or outcome.weights
        if weights is not None:
            self.artifacts.keep(outcome.record.number, weights)
        keep_traces(self.directory, outcome.record.number, outcome.traces)
        self.ledger.book(outcome.record)
        for number in (outcome.record.number, outcome.record.continues):
            if number is not None and not self.ledger.is_paused(number):
                self._forget(number)
        self._trim()

    def _forget(self, number: int) -> None:
        """Deletes the checkpoint of a trial."""
        if number in self.saved:
            self.saved.remove(number)
            drop_checkpoint(self.directory, number)

    def _trim(self) -> None:
        begun = [event["trial"] for event in self.history.origins.values()]  # what has not ended may need them again
        front = [record.number for record in self.ledger.standing.front]
        self.artifacts.trim([*front, *(number for number in begun if number is not None)])
        limit, taken = self.artifacts.limit, self.artifacts.bytes
        if limit is not None and taken > limit and not self.over_limit:
            self.over_limit = True
            self.watcher.say(
                f"the weights of the front take {taken / 1e9:.3g} GB, more than limits.artifacts_gb = {limit / 1e9:g}; "
                "they are kept."
            )

    def _show(self) -> None:
        self.live.write()
        self.watcher.update(self.ledger.standing, self.live, self.artifacts.bytes)


def write_environment(directory: Path) -> None:
    """Writes ``environment.json``: what the study ran on."""
    content = {"python": sys.version.split()[0], "platform": platform.platform(), "packages": versions()}
    write_atomically(directory / "environment.json", (json.dumps(content, indent=2) + "\n").encode())


def versions() -> dict[str, str | None]:
    """Those of the installed packages that results may depend on, by name."""
    packages = ("mixing-nas", "torch", "numpy", "optuna", "ray", "scikit-learn", "safetensors")
    return {name: _version(name) for name in packages}


def _version(package: str) -> str | None:
    """That of an installed package; None if it is not, as a checkout that is run from its folder."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

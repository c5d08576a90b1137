"""Trainings that are handed out to an executor until nothing more is wanted; what `nas confirm` and `nas ablate` share.

What is wanted next, and where an outcome is written, is theirs. One whose worker is lost is handed out again, from its
checkpoint; one that runs out of memory once more with half of each batch at a time.
"""

import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nas.errors import StoppedError
from nas.search.executors import Executor, open_executor
from nas.search.interruption import Interruption
from nas.settings import ExecutionSettings
from nas.store.artifacts import checkpoint_path, read_checkpoint
from nas.store.files import write_atomically
from nas.store.live import Report
from nas.store.records import TrialRecord
from nas.trial import TrialOutcome, TrialPlan
from trainers import TrainingData

Say = Callable[[str], None]
FAILURES = 3
"""Trainings that fail in a row before the command stops."""


class Trainings(ABC):
    """The listener of an executor, and what it hands out.

    Args:
        directory: in which checkpoints of unfinished trainings are kept.
        execution: where they run.
        say: called with what a person should know.
    """

    what = "trainings"
    """Plural noun of messages."""

    def __init__(self, directory: Path, execution: ExecutionSettings, say: Say) -> None:
        self.directory, self.execution, self.say = directory, execution, say
        self.running: dict[int, TrialPlan] = {}
        self.lost: Counter[int] = Counter()
        self.failed_in_a_row = 0

    @abstractmethod
    def next_plan(self) -> TrialPlan | None:
        """The plan of the training that is wanted next, none of those that run; None if there is none for now."""

    @abstractmethod
    def book(self, record: TrialRecord) -> None:
        """Writes down how a training ended; it is on the disk when this returns."""

    @abstractmethod
    def title(self, number: int) -> str:
        """What a person calls the training of a number."""

    def run(self, data: TrainingData, interruption: Interruption) -> None:
        """Runs until nothing more is wanted, or it is to stop.

        Raises:
            StoppedError: if it cannot continue; all trainings that ended are kept.
            KeyboardInterrupt: if the user has stopped it.
        """
        with open_executor(data, self.execution, self) as executor:
            interruption.listen()
            while True:
                while len(self.running) < executor.slots and not interruption.reason and self._start(executor):
                    pass
                if not self.running:
                    break
                if (outcome := executor.wait()) is not None:
                    self._end(outcome, executor)
        if interruption.by_user:
            raise KeyboardInterrupt

    def report(self, report: Report) -> None:  # noqa: B027
        """A training lives."""

    def checkpoint(self, number: int, content: bytes) -> None:
        """Stores a checkpoint of a training."""
        try:
            write_atomically(checkpoint_path(self.directory, number), content)
        except StoppedError as error:
            self.say(f"{error} Should its worker be lost, {self.title(number)} starts anew.")

    def _start(self, executor: Executor) -> bool:
        """Hands out the next one, if there is one."""
        plan = self.next_plan()
        if plan is None:
            return False
        self.running[plan.number] = plan
        executor.submit(plan)
        return True

    def _end(self, outcome: TrialOutcome, executor: Executor) -> None:
        number, failure = outcome.record.number, outcome.record.failure
        plan = self.running.pop(number)
        smaller = plan.trainer.halved() if failure == "out_of_memory" and plan.trainer.micro_batches == 1 else None
        self.lost[number] += failure == "worker_lost"
        if smaller or (failure == "worker_lost" and self.lost[number] < self.execution.attempts):
            checkpoint = read_checkpoint(self.directory, number)
            again = replace(plan, attempt=plan.attempt + 1, checkpoint=checkpoint, trainer=smaller or plan.trainer)
            self.running[number] = again
            executor.submit(again)
            return
        self.book(outcome.record)
        shutil.rmtree(checkpoint_path(self.directory, number).parent, ignore_errors=True)  # weights as well
        self.failed_in_a_row = self.failed_in_a_row + 1 if failure else 0
        if self.failed_in_a_row >= FAILURES:
            error = outcome.record.error
            raise StoppedError(f"{FAILURES} {self.what} in a row failed, the last one ({failure}): {error}")

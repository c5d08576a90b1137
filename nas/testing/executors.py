"""The contract of executors."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nas.search.executors import EXECUTORS, Executor
from nas.settings import ExecutionSettings, settings_of
from nas.store.live import Report
from nas.trial import TrialOutcome, TrialPlan, run_trial
from objectives import OBJECTIVES
from searchspaces import SEARCH_SPACES
from trainers import DATASETS, Epoch, Supervised, Trainer, TrainingData, training_data


class Listening:
    """A listener that keeps everything.

    Args:
        directory: of the study; weights travel if it does not exist.
    """

    def __init__(self, directory: Path = Path("nowhere")) -> None:
        self.directory = directory
        self.reports: list[Report] = []
        self.messages: list[str] = []
        self.saved: list[bytes] = []

    def report(self, report: Report) -> None:
        self.reports.append(report)

    def checkpoint(self, number: int, content: bytes) -> None:
        self.saved.append(content)

    def say(self, message: str) -> None:
        self.messages.append(message)


def outcome(executor: Executor) -> TrialOutcome:
    """The next outcome, within a minute."""
    deadline = time.monotonic() + 60
    while (found := executor.wait()) is None:
        assert time.monotonic() < deadline, "no outcome"
    return found


def weights(found: TrialOutcome) -> bytes | None:
    """The weights of a trial, wherever they are."""
    return found.weights if found.written is None else Path(found.written).read_bytes()


def plan(data: TrainingData, number: int, trainer: Trainer = Supervised(epochs=1)) -> TrialPlan:  # noqa: B008 (frozen)
    """The plan of a training of a second."""
    space = SEARCH_SPACES["convmixer"](data.input, 10)
    settings = settings_of({"name": "contract", "objectives": ["accuracy"], "execution": {"checkpoint_seconds": 0}})
    return TrialPlan.of(
        settings,
        space.decode(space.first),
        trainer=trainer,
        objectives={"accuracy": OBJECTIVES["accuracy"]()},
        seed=number,
        number=number,
        picks=space.first,
    )


@dataclass(frozen=True)
class CutOff(Supervised):
    """A trainer that is lost once, after two epochs.

    Args:
        notes: file with the epochs that it ended.
    """

    notes: str = ""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        def on_epoch(epoch: Epoch) -> None:
            report(epoch)
            if not self.notes:
                return
            with open(self.notes, "a+") as notes:
                notes.write(f"{epoch.number} ")
                notes.seek(0)
                ended = notes.read()
            if ended == "1 2 ":
                if threading.current_thread() is threading.main_thread():  # the trial of an executor in this process
                    raise KeyboardInterrupt
                time.sleep(1.0)
                os.kill(os.getpid(), 9)

        super().train(model, data, seed=seed, report=on_epoch, checkpoints=checkpoints)


@dataclass(frozen=True)
class Raises(Trainer):
    """A trainer with a bug."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        raise ZeroDivisionError("on purpose")


class ExecutorContract:
    """What every executor keeps to; a subclass names its own.

    Example: ``class TestMine(ExecutorContract): settings = ExecutionSettings(kind="mine", workers=2)``.
    """

    settings: ClassVar[ExecutionSettings]

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls) -> TrainingData:
        return training_data(DATASETS["digits"](), limit=100, validation=0.2, seed=0)

    @pytest.fixture(scope="class")
    @classmethod
    def directory(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Of the study."""
        return tmp_path_factory.mktemp("study")

    @pytest.fixture(scope="class")
    @classmethod
    def listener(cls, directory: Path) -> Listening:
        return Listening(directory)

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, data: TrainingData, listener: Listening) -> Iterator[Executor]:
        make: Callable[..., Executor] = EXECUTORS[cls.settings.executor]
        with make(data, cls.settings, listener) as opened:
            yield opened

    def test_it_states_how_many_trials_it_runs_and_whether_it_outlives_them(self, executor: Executor) -> None:
        assert 1 <= executor.slots <= max(1, self.settings.workers)
        assert executor.isolated in (True, False)

    def test_every_submitted_plan_leads_to_one_outcome(self, executor: Executor, data: TrainingData) -> None:
        for number in range(executor.slots):
            executor.submit(plan(data, number))
        outcomes = [outcome(executor) for _ in range(executor.slots)]
        assert {o.record.number for o in outcomes} == set(range(executor.slots))
        assert all(o.record.status == "complete" and weights(o) for o in outcomes), [o.record.error for o in outcomes]

    def test_outcomes_do_not_depend_on_the_executor(self, executor: Executor, data: TrainingData) -> None:
        executor.submit(plan(data, 7))
        assert weights(outcome(executor)) == run_trial(plan(data, 7), data).weights

    def test_starts_and_epochs_are_reported(self, executor: Executor, listener: Listening, data: TrainingData) -> None:
        listener.reports.clear()
        executor.submit(replace(plan(data, 9), attempt=3))
        outcome(executor)
        assert listener.reports[0].started
        assert {(report.number, report.attempt) for report in listener.reports} == {(9, 3)}

    def test_a_bug_is_an_outcome_and_the_next_trial_runs(self, executor: Executor, data: TrainingData) -> None:
        executor.submit(plan(data, 5, Raises()))
        record = outcome(executor).record
        assert (record.status, record.failure) == ("failed", "bug")
        assert "ZeroDivisionError: on purpose" in (record.error or "")
        executor.submit(plan(data, 6))
        assert outcome(executor).record.status == "complete"

    def test_a_trial_that_exceeds_its_time_is_a_timeout(self, executor: Executor, data: TrainingData) -> None:
        executor.submit(replace(plan(data, 4, Supervised(epochs=100_000)), timeout_seconds=0.5))
        assert outcome(executor).record.failure == "timeout"

    def test_a_training_that_was_lost_continues_where_it_was_saved(
        self, executor: Executor, listener: Listening, data: TrainingData, tmp_path: Path
    ) -> None:
        listener.saved.clear()
        executor.submit(plan(data, 7, CutOff(epochs=4)))
        whole = outcome(executor)
        trained = weights(whole)
        assert not listener.saved
        lost = replace(plan(data, 7, CutOff(epochs=4, notes=str(tmp_path / "notes"))), checkpoint_seconds=1e-6)
        executor.submit(lost)
        with contextlib.suppress(KeyboardInterrupt):
            assert outcome(executor).record.failure == "worker_lost"
        executor.submit(replace(lost, attempt=2, checkpoint=listener.saved[-1]))
        found = outcome(executor)
        assert (weights(found), found.record.measured) == (trained, whole.record.measured)
        assert (tmp_path / "notes").read_text() == "1 2 2 3 4 "  # the last step of epoch 2 was saved before its end
        executor.submit(replace(lost, checkpoint=listener.saved[-1][:-1]))  # a damaged one is ignored
        assert weights(outcome(executor)) == trained

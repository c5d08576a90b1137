"""The executor contract, for every executor of the table."""

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nas.executors import EXECUTORS, Executor, Report
from nas.executors.inline import InlineExecutor
from nas.executors.ray_tasks import RayExecutor
from nas.settings import ExecutionSettings
from nas.trial import TrialOutcome, TrialPlan
from objectives import OBJECTIVES
from searchspaces import SEARCH_SPACES
from trainers import DATASETS, Epoch, Supervised, TrainingData, training_data


@dataclass(frozen=True)
class KillsItsWorker:
    """A trainer whose process dies."""

    epochs: int = 1

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Ear:
    """Hears what goes on.

    Args:
        directory: of the study; weights travel where there is none.
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


def plan(data: TrainingData, number: int, trainer: Any = Supervised(epochs=1)) -> TrialPlan:  # noqa: B008 (frozen)
    space = SEARCH_SPACES["convmixer"](data.input, 10)
    picks = space.first
    architecture = space.decode(picks)
    objectives = {"accuracy": OBJECTIVES["accuracy"]()}
    return TrialPlan(number, picks, architecture.to_json(), architecture.key, number, trainer, objectives)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return training_data(DATASETS["digits"](), limit=100, validation=0.2, seed=0)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module", params=sorted(EXECUTORS))
def executor(request: pytest.FixtureRequest, data: TrainingData, directory: Path) -> Iterator[Executor]:
    workers = 1 if request.param == "inline" else 2
    with EXECUTORS[request.param](data, ExecutionSettings(workers=workers), Ear(directory)) as opened:
        yield opened


def test_every_submitted_plan_gives_one_outcome(executor: Executor, data: TrainingData) -> None:
    for number in range(executor.slots):
        executor.submit(plan(data, number))
    outcomes = [outcome(executor) for _ in range(executor.slots)]
    assert {o.record.number for o in outcomes} == set(range(executor.slots))
    assert all(o.record.status == "complete" and weights(o) for o in outcomes), [o.record.error for o in outcomes]


def test_outcomes_do_not_depend_on_the_executor(executor: Executor, data: TrainingData) -> None:
    executor.submit(plan(data, 7))
    with InlineExecutor(data, ExecutionSettings(), Ear()) as reference:
        reference.submit(plan(data, 7))
        assert weights(outcome(executor)) == outcome(reference).weights


def test_weights_travel_only_where_a_worker_cannot_write_them(
    executor: Executor, data: TrainingData, directory: Path
) -> None:
    if not isinstance(executor, RayExecutor):
        pytest.skip("inline, nothing travels")
    place = directory / "artifacts/8"
    executor.submit(plan(data, 8))
    found = outcome(executor)
    assert found.weights is None
    assert [str(path) for path in place.iterdir()] == [found.written]
    shutil.rmtree(place)
    place.write_text("in the way")
    executor.submit(plan(data, 8))
    found = outcome(executor)
    assert found.weights
    assert found.written is None


def test_a_worker_that_dies_is_a_failed_outcome_and_the_next_trial_runs(data: TrainingData, executor: Executor) -> None:
    if not isinstance(executor, RayExecutor):
        pytest.skip("an inline trial dies with the driver; resuming is tested with the search")
    executor.submit(plan(data, 3, KillsItsWorker()))
    record = outcome(executor).record
    assert (record.number, record.status, record.failure) == (3, "failed", "worker_lost")
    executor.submit(plan(data, 4))
    assert outcome(executor).record.status == "complete"


@dataclass(frozen=True)
class Hangs:
    """A trainer that never comes back."""

    epochs: int = 1

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        time.sleep(1000)


@pytest.mark.parametrize(
    ("limit", "failure", "message"),
    [
        (1.0, "timeout", "killed 1 s after timeout_seconds = 1"),
        (None, "worker_lost", "after 1 s without a sign of life"),
    ],
)
def test_a_worker_that_cannot_move_is_killed_from_outside(
    data: TrainingData, executor: Executor, monkeypatch: pytest.MonkeyPatch, limit: float, failure: str, message: str
) -> None:
    if not isinstance(executor, RayExecutor):
        pytest.skip("an inline trial shares its process with the driver")
    monkeypatch.setattr("nas.executors.ray_tasks.SLACK", 1.0)
    monkeypatch.setattr("nas.executors.ray_tasks.SILENCE", 1.0 if limit is None else 1000.0)
    ear = Ear()
    executor.listener = ear
    executor.submit(replace(plan(data, 5, Hangs()), timeout_seconds=limit))
    while not ear.reports:
        assert executor.wait() is None
    os.kill(ear.reports[0].pid, signal.SIGSTOP)
    record = outcome(executor).record
    assert (record.failure, message in (record.error or "")) == (failure, True), record.error
    monkeypatch.undo()
    executor.submit(plan(data, 6))
    assert outcome(executor).record.status == "complete"


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
                if threading.current_thread() is threading.main_thread():  # the trial of an inline executor
                    raise KeyboardInterrupt
                time.sleep(1.0)
                os.kill(os.getpid(), signal.SIGKILL)

        super().train(model, data, seed=seed, report=on_epoch, checkpoints=checkpoints)


def test_a_training_that_was_lost_goes_on_where_it_was_saved(
    data: TrainingData, executor: Executor, tmp_path: Path
) -> None:
    executor.listener = ear = Ear()
    executor.submit(plan(data, 7, CutOff(epochs=4)))
    whole = outcome(executor)
    trained = weights(whole)
    assert not ear.saved
    lost = replace(plan(data, 7, CutOff(epochs=4, notes=str(tmp_path / "notes"))), checkpoint_seconds=1e-6)
    executor.submit(lost)
    with contextlib.suppress(KeyboardInterrupt):
        assert outcome(executor).record.failure == "worker_lost"
    executor.submit(replace(lost, attempt=2, checkpoint=ear.saved[-1]))
    found = outcome(executor)
    assert (weights(found), found.record.measured) == (trained, whole.record.measured)
    assert (tmp_path / "notes").read_text() == "1 2 2 3 4 "  # the last step of the second was saved before its end
    executor.submit(replace(lost, checkpoint=ear.saved[-1][:-1]))  # one that is damaged is of no use, and no harm
    assert weights(outcome(executor)) == trained

"""The executors of the table keep the contract; what is particular to Ray."""

import os
import shutil
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nas.errors import WrongInputError
from nas.search.executors import EXECUTORS, Executor, open_executor
from nas.search.executors.ray_tasks import SLACK, RayExecutor, _Task
from nas.settings import ExecutionSettings
from nas.store.live import Report
from nas.testing.executors import ExecutorContract, Listening, outcome, plan
from nas.trial import TrialPlan
from trainers import Supervised, Trainer, TrainingData

PLAN = TrialPlan(0, {}, {}, "", 0, Supervised(), {})


class TestInline(ExecutorContract):
    settings = ExecutionSettings()


@dataclass(frozen=True)
class KillsItsWorker(Trainer):
    """A trainer whose process dies."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Hangs(Trainer):
    """A trainer that never returns."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        time.sleep(1000)


class TestRay(ExecutorContract):
    settings = ExecutionSettings(workers=2)

    def test_weights_travel_only_where_a_worker_cannot_write_them(
        self, executor: Executor, data: TrainingData, directory: Path
    ) -> None:
        place = directory / "artifacts/8"
        executor.submit(plan(data, 8))
        found = outcome(executor)
        assert found.weights is None
        assert {str(path) for path in place.iterdir()} == {
            found.written,
            *(str(place / name) for name in ("curve.csv", "predictions.npz")),
        }
        assert not found.traces
        shutil.rmtree(place)
        place.write_text("in the way")
        executor.submit(plan(data, 8))
        found = outcome(executor)
        assert found.weights
        assert found.written is None

    def test_a_worker_that_dies_is_a_failed_outcome_and_the_next_trial_runs(
        self, executor: Executor, data: TrainingData
    ) -> None:
        executor.submit(plan(data, 3, KillsItsWorker()))
        record = outcome(executor).record
        assert (record.number, record.status, record.failure) == (3, "failed", "worker_lost")
        executor.submit(plan(data, 4))
        assert outcome(executor).record.status == "complete"

    @pytest.mark.parametrize(
        ("limit", "failure", "message"),
        [
            (1.0, "timeout", "killed 1 s after timeout_seconds = 1"),
            (None, "worker_lost", "after 1 s without a sign of life"),
        ],
    )
    def test_a_worker_that_cannot_move_is_killed_from_outside(
        self,
        data: TrainingData,
        executor: Executor,
        listener: Listening,
        monkeypatch: pytest.MonkeyPatch,
        limit: float | None,
        failure: str,
        message: str,
    ) -> None:
        monkeypatch.setattr("nas.search.executors.ray_tasks.SLACK", 1.0)
        monkeypatch.setattr("nas.search.executors.ray_tasks.SILENCE", 1.0 if limit is None else 1000.0)
        listener.reports.clear()
        executor.submit(replace(plan(data, 5, Hangs()), timeout_seconds=limit))
        while not listener.reports:
            assert executor.wait() is None
        os.kill(listener.reports[0].pid, signal.SIGSTOP)
        record = outcome(executor).record
        assert (record.failure, message in (record.error or "")) == (failure, True), record.error
        monkeypatch.undo()
        executor.submit(plan(data, 6))
        assert outcome(executor).record.status == "complete"


def test_every_executor_of_the_table_is_held_to_the_contract() -> None:
    held = {contract.settings.executor for contract in (TestInline, TestRay)}
    assert held == set(EXECUTORS)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (ExecutionSettings(), "inline"),
        (ExecutionSettings(workers=2), "ray"),
        (ExecutionSettings(ray="auto"), "ray"),
        (ExecutionSettings(kind="ray"), "ray"),
        (ExecutionSettings(kind="mine", workers=3), "mine"),
    ],
)
def test_the_executor_follows_from_workers_and_ray_unless_it_is_named(settings: ExecutionSettings, kind: str) -> None:
    assert settings.executor == kind


def test_inline_with_several_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="kind = 'inline' runs one trial at a time in this process, got workers = 2"):
        ExecutionSettings(kind="inline", workers=2)


def test_an_unknown_executor_is_answered_with_those_that_exist() -> None:
    with pytest.raises(WrongInputError, match=r"unknown executor 'inlin'. Did you mean 'inline'\? Known: inline, ray"):
        open_executor(None, ExecutionSettings(kind="inlin"), Listening())  # type: ignore[arg-type]


@pytest.mark.parametrize("skew", [0, -3600, 3600])
def test_the_clock_of_a_worker_kills_nothing(skew: float, monkeypatch: pytest.MonkeyPatch) -> None:
    executor, killed = RayExecutor.__new__(RayExecutor), list[Any]()
    monkeypatch.setattr(executor, "_kill", killed.append, raising=False)
    now = time.monotonic()
    limited = replace(PLAN, timeout_seconds=600.0)
    first = Report(0, 1, started=True, time=time.time() + skew)
    executor.running = {0: _Task(limited, first=first, since=now, heard=now)}
    executor._kill_overdue()
    assert not killed
    executor.running[0].since = now - 600 - SLACK - 1
    executor._kill_overdue()
    assert [task.killed[0] for task in killed] == ["timeout"]

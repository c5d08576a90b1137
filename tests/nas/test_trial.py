"""One trial: what it records when it goes well, and by what name it fails."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch

from nas.trial import TrialPlan, run_trial
from objectives import OBJECTIVES, Candidate, Objective
from searchspaces import SEARCH_SPACES
from trainers import DATASETS, DivergedError, Supervised, Trainer, TrainingData, training_data


@pytest.fixture(scope="module")
def digits() -> TrainingData:
    return training_data(DATASETS["digits"](), limit=200, validation=0.2, seed=0)


@pytest.fixture(scope="module")
def plan(digits: TrainingData) -> TrialPlan:
    space = SEARCH_SPACES["convmixer"](digits.input, 10)
    picks = space.first
    architecture = space.decode(picks)
    return TrialPlan(
        number=5,
        picks=picks,
        architecture=architecture.to_json(),
        key=architecture.key,
        seed=11,
        trainer=Supervised(epochs=2),
        objectives={"accuracy": OBJECTIVES["accuracy"](), "macs": OBJECTIVES["macs"]()},
        measured={"macs": 123.0},
    )


@dataclass(frozen=True)
class Raises(Trainer):
    """A trainer that raises what it is given."""

    error: Exception | None = None

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        assert self.error is not None
        raise self.error


@dataclass(frozen=True)
class IsNaN(Objective):
    """An objective that is not a number."""

    direction: ClassVar[Any] = "maximize"
    needs: ClassVar[Any] = "training"
    scale: ClassVar[Any] = "fraction"

    def measure(self, candidate: Candidate) -> float:
        return float("nan")


def test_a_complete_trial_records_values_settings_seconds_and_weights(plan: TrialPlan, digits: TrainingData) -> None:
    outcome = run_trial(plan, digits)
    record = outcome.record
    assert (record.number, record.status, record.failure, record.seed) == (5, "complete", None, 11)
    assert record.measured["macs"] == 123
    assert 0 <= record.measured["accuracy"] <= 1
    assert record.settings["accuracy"] == {"samples": 40}
    assert record.fidelity == {"epochs": 2}
    assert set(record.seconds) == {"build", "train", "measure"}
    assert outcome.weights


def test_the_same_plan_gives_the_same_record_and_weights(plan: TrialPlan, digits: TrainingData) -> None:
    first, second = run_trial(plan, digits), run_trial(plan, digits)
    assert replace(first.record, seconds={}) == replace(second.record, seconds={})
    assert first.weights == second.weights


def test_another_seed_gives_other_weights(plan: TrialPlan, digits: TrainingData) -> None:
    assert run_trial(plan, digits).weights != run_trial(replace(plan, seed=12), digits).weights


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (DivergedError("the training loss was nan"), "diverged"),
        (MemoryError("no memory"), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), "out_of_memory"),
        (TimeoutError("late"), "timeout"),
        (KeyError("surprise"), "bug"),
    ],
)
def test_whatever_goes_wrong_has_a_kind(plan: TrialPlan, digits: TrainingData, error: Exception, failure: str) -> None:
    record = run_trial(replace(plan, trainer=Raises(error=error)), digits).record
    assert (record.status, record.failure) == ("failed", failure)
    assert str(error.args[0]) in (record.error or "")


def test_a_bug_keeps_its_traceback(plan: TrialPlan, digits: TrainingData) -> None:
    record = run_trial(replace(plan, trainer=Raises(error=KeyError("surprise"))), digits).record
    assert "Traceback" in (record.error or "")


def test_a_nan_is_a_failed_trial_and_no_value(plan: TrialPlan, digits: TrainingData) -> None:
    record = run_trial(replace(plan, objectives={"strange": IsNaN()}), digits).record
    assert (record.failure, record.error) == ("diverged", "strange is nan.")
    assert "strange" not in record.measured


def test_a_trial_out_of_time_says_where_it_was(plan: TrialPlan, digits: TrainingData) -> None:
    record = run_trial(replace(plan, timeout_seconds=1e-6), digits).record
    assert record.failure == "timeout"
    assert "epoch 1 of 2; timeout_seconds is 1e-06" in (record.error or "")

"""One trial: what it records when it goes well, and by what name it fails."""

import csv
import io
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from nas.errors import WrongInputError
from nas.store.traces import Predictions
from nas.trial import TrialPlan, run_trial, serialize
from objectives import OBJECTIVES, Candidate, Estimate, Objective
from objectives.train_seconds import TrainSeconds
from searchspaces import SEARCH_SPACES
from searchspaces.heads import fitted
from trainers import DATASETS, DivergedError, Epoch, Supervised, Trainer, TrainingData, training_data


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


@dataclass(frozen=True)
class Heat(Objective):
    """Something that is measured before training."""

    direction: ClassVar[Any] = "minimize"
    needs: ClassVar[Any] = "weights"
    scale: ClassVar[Any] = "count"

    def measure(self, candidate: Candidate) -> float:
        return 5.0


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


@dataclass(frozen=True)
class OnGraphs(Trainer):
    """A trainer that says of its steps what one on a GPU does."""

    def train(self, model: nn.Module, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        for number, graphs in enumerate(("too few steps", "captured"), start=1):
            report(Epoch(number, 2, 1.0, 0.0, graphs=graphs))


def test_a_record_says_what_became_of_the_steps_that_were_to_be_captured(plan: TrialPlan, digits: TrainingData) -> None:
    assert run_trial(replace(plan, trainer=OnGraphs(epochs=2)), digits).record.graphs == "captured"
    assert run_trial(plan, digits).record.graphs is None


def test_the_same_plan_gives_the_same_record_and_weights(plan: TrialPlan, digits: TrainingData) -> None:
    first, second = run_trial(plan, digits), run_trial(plan, digits)
    assert replace(first.record, seconds={}) == replace(second.record, seconds={})
    assert first.weights == second.weights


def test_a_trial_leaves_the_curve_of_its_training(plan: TrialPlan, digits: TrainingData) -> None:
    tracked = replace(plan, trainer=Supervised(epochs=2, track=True))
    outcome = run_trial(tracked, digits)
    rows = list(csv.DictReader(io.StringIO(outcome.traces["curve.csv"].decode())))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["learning_rate"]) > float(rows[1]["learning_rate"]) > 0
    assert float(rows[0]["loss"]) > float(rows[1]["loss"]) > 0
    assert float(rows[1]["accuracy"]) == pytest.approx(outcome.record.measured["accuracy"])
    untracked = run_trial(plan, digits)
    assert untracked.weights == outcome.weights
    assert {row["accuracy"] for row in csv.DictReader(io.StringIO(untracked.traces["curve.csv"].decode()))} == {""}


def test_what_stands_for_accuracy_in_another_task_is_tracked(digits: TrainingData) -> None:
    data = training_data(
        DATASETS["denoise"](**DATASETS["denoise"].shorthand("digits")), limit=60, validation=0.2, seed=0
    )
    space = SEARCH_SPACES["convmixer"](data.input, 10)
    architecture = fitted(space.decode(space.first), data.outputs)
    trainer = Supervised(epochs=1, track=True)
    plan = TrialPlan(0, space.first, architecture.to_json(), architecture.key, 1, trainer, {"r2": OBJECTIVES["r2"]()})
    outcome = run_trial(plan, data)
    [row] = csv.DictReader(io.StringIO(outcome.traces["curve.csv"].decode()))
    assert float(row["r2"]) == pytest.approx(outcome.record.measured["r2"], abs=1e-5)


def test_a_training_that_fails_leaves_the_curve_up_to_there(plan: TrialPlan, digits: TrainingData) -> None:
    outcome = run_trial(replace(plan, timeout_seconds=1e-6), digits)
    assert outcome.traces["curve.csv"].decode().count("\n") == 2


def test_a_training_that_goes_on_keeps_the_rows_before_its_checkpoint(plan: TrialPlan, digits: TrainingData) -> None:
    longer, saved = replace(plan, trainer=Supervised(epochs=3), checkpoint_seconds=1e-9), list[bytes]()
    whole = run_trial(longer, digits, checkpoints=longer.checkpoints(saved.append))
    half = replace(longer, checkpoint=saved[len(saved) * 2 // 3])
    again = run_trial(half, digits, checkpoints=half.checkpoints(lambda content: None))
    assert again.weights == whole.weights
    curves = [list(csv.reader(io.StringIO(outcome.traces["curve.csv"].decode()))) for outcome in (whole, again)]
    assert [row[:3] for row in curves[0]] == [row[:3] for row in curves[1]]
    assert len(curves[1]) == 4


def test_a_trial_leaves_what_it_predicts_for_every_image(plan: TrialPlan, digits: TrainingData, tmp_path: Path) -> None:
    outcome = run_trial(plan, digits)
    (tmp_path / "predictions.npz").write_bytes(outcome.traces["predictions.npz"])
    found = Predictions.read(tmp_path / "predictions.npz")
    assert found.right.mean() == outcome.record.measured["accuracy"]
    assert ((found.predicted == digits.validation.labels) == found.right).all()
    assert run_trial(replace(plan, seed=12), digits).traces["predictions.npz"] != outcome.traces["predictions.npz"]
    (tmp_path / "predictions.npz").write_bytes(outcome.traces["predictions.npz"][:-40])
    with pytest.raises(WrongInputError, match=r"predictions\.npz is damaged"):
        Predictions.read(tmp_path / "predictions.npz")


def test_the_seconds_of_a_training_are_an_objective(plan: TrialPlan, digits: TrainingData) -> None:
    record = run_trial(replace(plan, objectives={"train_seconds": TrainSeconds()}), digits).record
    assert 0 < record.measured["train_seconds"] <= record.seconds["train"]
    assert record.settings["train_seconds"]["timed_epochs"] == plan.trainer.epochs


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


def test_a_network_beyond_a_bound_before_training_is_not_trained(plan: TrialPlan, digits: TrainingData) -> None:
    told = list[Epoch]()
    counted = {**plan.objectives, "heat": Heat()}
    outcome = run_trial(replace(plan, objectives=counted, bounds={"heat": 2.0}), digits, lambda e, _: told.append(e))
    record = outcome.record
    assert (record.status, record.failure, record.error) == ("failed", "over_bound", "heat is 5, bounds.heat is 2.")
    assert (record.violations, record.measured) == ({"heat": 1.5}, {"macs": 123.0, "heat": 5.0})
    assert told == []
    assert outcome.weights is None
    kept = run_trial(replace(plan, objectives=counted, bounds={"heat": 5.0}), digits).record
    assert (kept.status, kept.violations, kept.measured["heat"]) == ("complete", {}, 5.0)


def test_a_network_beyond_a_bound_of_its_training_keeps_its_values(plan: TrialPlan, digits: TrainingData) -> None:
    counted = {**plan.objectives, "train_seconds": TrainSeconds()}
    outcome = run_trial(replace(plan, objectives=counted, bounds={"train_seconds": 1e-9}), digits)
    assert (outcome.record.failure, set(outcome.record.violations)) == ("over_bound", {"train_seconds"})
    assert outcome.record.measured.keys() == {"accuracy", "macs", "train_seconds"}
    assert outcome.weights is None
    assert "curve.csv" in outcome.traces


def test_a_nan_is_a_failed_trial_and_no_value(plan: TrialPlan, digits: TrainingData) -> None:
    record = run_trial(replace(plan, objectives={"strange": IsNaN()}), digits).record
    assert (record.failure, record.error) == ("diverged", "strange is nan.")
    assert "strange" not in record.measured


def test_a_trial_out_of_time_says_where_it_was(plan: TrialPlan, digits: TrainingData) -> None:
    record = run_trial(replace(plan, timeout_seconds=1e-6), digits).record
    assert record.failure == "timeout"
    assert "epoch 1 of 2; timeout_seconds is 1e-06" in (record.error or "")


def test_a_record_says_how_sure_a_value_is_and_why_it_may_not_mean_what_it_says(
    plan: TrialPlan, digits: TrainingData
) -> None:
    doubtful = Returns(Estimate(0.5, standard_error=0.1, n=25, kind="binomial", flags=["zero_gradients"]))
    record = run_trial(replace(plan, objectives={"sure": Returns(0.5), "doubtful": doubtful}), digits).record
    assert record.measured == {"macs": 123.0, "sure": 0.5, "doubtful": 0.5}
    assert record.spread == {"doubtful": {"standard_error": 0.1, "n": 25, "kind": "binomial"}}
    assert record.flags == {"doubtful": ["zero_gradients"]}


@dataclass(frozen=True)
class Returns(Objective):
    """An objective that returns what it is given."""

    value: Any = None

    direction: ClassVar[Any] = "maximize"
    needs: ClassVar[Any] = "training"
    scale: ClassVar[Any] = "fraction"

    def measure(self, candidate: Candidate) -> float:
        return self.value  # type: ignore[no-any-return]


def test_a_wrong_value_is_a_bug_that_names_the_objective_and_the_rule(plan: TrialPlan, digits: TrainingData) -> None:
    record = run_trial(replace(plan, objectives={"mine": Returns("much")}), digits).record
    assert (record.failure, record.reason) == (
        "bug",
        "ValueError: objective 'mine' must return a number, got 'much' (str).",
    )
    assert "mine" not in record.measured
    assert (
        run_trial(replace(plan, objectives={"mine": Returns(np.float32(0.5))}), digits).record.measured["mine"] == 0.5
    )


@dataclass(frozen=True)
class Untidy(Trainer):
    """A trainer that leaves the process in another state."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_default_device("meta")
        torch.set_num_threads(2)
        os.chdir("/")
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        raise ValueError("in the middle")


def test_a_trial_leaves_the_process_as_it_was(plan: TrialPlan, digits: TrainingData) -> None:
    def state() -> list[Any]:
        return [
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.empty(0).device,
            torch.get_num_threads(),
            os.getcwd(),
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist(),
        ]

    before = state()
    assert run_trial(replace(plan, trainer=Untidy()), digits).record.reason == "ValueError: in the middle"
    assert state() == before


@dataclass(frozen=True)
class Forks(Trainer):
    """A trainer whose forked child comes back too."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        if (child := os.fork()) == 0:
            return
        os.waitpid(child, 0)


def test_a_forked_child_that_returns_books_nothing(plan: TrialPlan, digits: TrainingData, tmp_path: Path) -> None:
    run_trial(replace(plan, trainer=Forks()), digits)
    with open(tmp_path / "returned", "a") as file:
        file.write("once\n")
    assert (tmp_path / "returned").read_text() == "once\n"


def test_tied_weights_are_written_under_each_name_and_read_again() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    tensors = safetensors.torch.load(serialize(model))
    assert torch.equal(tensors["0.weight"], tensors["1.weight"])
    model.load_state_dict(tensors)
    assert model[0].weight is model[1].weight


@pytest.mark.parametrize(("memory_gb", "failure"), [(4.0, "out_of_memory"), (None, "bug")])
def test_onednn_without_memory_under_a_limit_is_out_of_memory(
    plan: TrialPlan, digits: TrainingData, memory_gb: float | None, failure: str
) -> None:
    error = RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive")
    record = run_trial(replace(plan, trainer=Raises(error=error), memory_gb=memory_gb), digits).record
    assert record.failure == failure

"""One trial is one function: build, train, measure. It knows neither Optuna nor Ray."""

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import safetensors.torch
import torch

from nas.plugins import load_plugins
from nas.records import Failure, Status, TrialRecord
from objectives import Candidate, Objective
from searchspaces import Architecture, Network, Value, build
from trainers import Epoch, Trainer, TrainingData


@dataclass(frozen=True)
class TrialPlan:
    """All that a worker needs besides the data; plain values that travel between processes.

    Args:
        number: of the trial.
        attempt: 1, or more if a worker was lost.
        objectives: those still to be measured, by name.
        measured, settings: what is known already, the costs.
        device: ``cpu`` or ``cuda``.
        timeout_seconds: time for the trial, counted from its own start.
        plugins: files that the worker loads first.
    """

    number: int
    picks: dict[str, Value]
    architecture: dict[str, Any]
    key: str
    seed: int
    trainer: Trainer
    objectives: dict[str, Objective]
    measured: dict[str, float] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    device: str = "cpu"
    timeout_seconds: float | None = None
    attempt: int = 1
    plugins: tuple[str, ...] = ()

    def failed(self, failure: Failure, error: str, seconds: dict[str, float] | None = None) -> "TrialOutcome":
        """The outcome of a trial that ended without its values."""
        return TrialOutcome(self.record("failed", failure=failure, error=error, seconds=seconds or {}))

    def record(self, status: Status, **details: Any) -> TrialRecord:
        """The record of this plan, ended as ``status``; ``details`` are further fields."""
        return TrialRecord(
            number=self.number,
            status=status,
            picks=self.picks,
            architecture=self.architecture,
            key=self.key,
            seed=self.seed,
            fidelity={"epochs": self.trainer.epochs},
            **{"measured": self.measured, "settings": self.settings, **details},
        )


@dataclass(frozen=True)
class TrialOutcome:
    """A record and, for a complete trial, its weights as the bytes of a safetensors file."""

    record: TrialRecord
    weights: bytes | None = None


def run_trial(plan: TrialPlan, data: TrainingData, report: Callable[[Epoch], None] | None = None) -> TrialOutcome:
    """Builds, trains and measures one architecture; whatever goes wrong becomes a failed record, never an exception.

    ``report`` is called after every epoch.
    """
    started = time.perf_counter()
    seconds: dict[str, float] = {}

    def on_epoch(epoch: Epoch) -> None:
        if report:
            report(epoch)
        spent = time.perf_counter() - started
        if plan.timeout_seconds is not None and spent > plan.timeout_seconds:
            raise TimeoutError(
                f"{spent:.1f} s after its start the trial was in epoch {epoch.number} of {epoch.total}; "
                f"timeout_seconds is {plan.timeout_seconds:g}."
            )

    try:
        load_plugins(plan.plugins)
        with _one_thread(plan.device):
            model = build(Architecture.from_json(plan.architecture), seed=plan.seed)
            _set_normalization(model, data)
            model.to(plan.device)
            images, labels = data.validation.tensors(plan.device)
            candidate = Candidate(model, data.input, images, labels)
            measured, settings = dict(plan.measured), dict(plan.settings)

            def measure(state: str) -> None:
                for name, objective in plan.objectives.items():
                    if objective.needs == state:
                        measured[name] = objective.measure(candidate)
                        if not math.isfinite(measured[name]):
                            raise FloatingPointError(f"{name} is {measured.pop(name)}.")
                        settings[name] = objective.settings(candidate)

            model.eval()
            measure("weights")
            seconds["build"] = time.perf_counter() - started
            plan.trainer.train(model, data, seed=plan.seed, report=on_epoch)
            seconds["train"] = time.perf_counter() - started - seconds["build"]
            model.eval()
            measure("training")
            seconds["measure"] = time.perf_counter() - started - seconds["build"] - seconds["train"]
        record = plan.record("complete", measured=measured, settings=settings, seconds=seconds)
        return TrialOutcome(record, serialize(model))
    except Exception as error:  # the one place where an exception becomes a failed trial
        seconds["total"] = time.perf_counter() - started
        return plan.failed(_failure(error), _explain(error), seconds)


def serialize(model: torch.nn.Module) -> bytes:
    """Every tensor of the model, frozen ones included, as the bytes of a safetensors file."""
    return safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()})


def _set_normalization(model: Network, data: TrainingData) -> None:
    model.normalize.mean.copy_(torch.tensor(data.mean))
    model.normalize.std.copy_(torch.tensor(data.std))


class _one_thread:  # noqa: N801 (reads as a statement)
    """One torch thread on a CPU: several make trials on busy cores slower, and their sums irreproducible."""

    def __init__(self, device: str) -> None:
        self.threads = torch.get_num_threads() if device != "cpu" else 1

    def __enter__(self) -> None:
        self.before = torch.get_num_threads()
        torch.set_num_threads(self.threads)

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self.before)


def _failure(error: Exception) -> Failure:
    if isinstance(error, FloatingPointError):
        return "diverged"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        return "out_of_memory"
    return "bug"


def _explain(error: Exception) -> str:
    return str(error) if _failure(error) != "bug" else "".join(traceback.format_exception(error))

"""One trial is one function: build, train, measure. It knows neither Optuna nor Ray."""

import contextlib
import errno
import math
import os
import random
import re
import resource
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.torch
import torch

from nas.errors import StoppedError
from nas.plugins import Plugin, loaded_from, run_all
from nas.pricing import violations
from nas.settings import Settings
from nas.store.artifacts import CURVE, PREDICTIONS
from nas.store.records import INHERITED, OVER_BOUND, Failure, Status, TrialRecord
from nas.store.surrogates import Surrogate
from nas.store.traces import Predictions, curve_csv
from objectives import OBJECTIVES, Candidate, Estimate, Objective, Timing, as_settings, as_value
from objectives.accuracy import logits
from searchspaces import Architecture, Network, Value, build
from searchspaces.architecture import key_of
from searchspaces.inheritance import Layout, inherit
from trainers import Epoch, Trainer, TrainingData
from trainers.checkpoints import Checkpoints, SentCheckpoints

GPU_CONTEXT = 1_000_000_000
"""Bytes of a GPU that a process takes besides what it allocates: kernels, libraries, queues (0.91 GB on an H200)."""


@dataclass(frozen=True)
class Relative:
    """A trained network whose weights another one begins with.

    Args:
        architecture: canonical JSON.
        weights: the bytes of its safetensors file, whose names and shapes were checked.
    """

    architecture: dict[str, Any]
    weights: bytes

    def bequeath(self, model: Network, architecture: Architecture) -> None:
        """Copies into ``model``, of ``architecture``, the layers that both have."""
        layout, mine = Layout.of(architecture), Layout.of(Architecture.from_json(self.architecture))
        inherit(model, layout, safetensors.torch.load(self.weights), mine)


@dataclass(frozen=True)
class TrialPlan:
    """All that a worker needs besides the data; plain values that travel between processes.

    Args:
        number: of the trial.
        objectives: of the study, by name; costs are in ``measured`` already.
        measured, settings: values known before the trial, and how they were measured.
        facts: what the space says of the candidate beyond its picks.
        bounds: largest value of what is measured, by name; a trial ends as soon as one is found to be beyond.
        refusal: why it cannot be built; it is then never run.
        whole: the training is as long as the study says; one that is not ends ``truncated``.
        share: of the training samples that it trains on.
        until: epoch after which the training is paused, to be continued by another trial.
        continues: number of the trial whose network is trained longer.
        repeats: number of the trial whose network is trained again.
        inherited: number of the relative whose weights it begins with and the share of the parameters, as in a record.
        relative: that one, for the worker.
        device: ``cpu`` or ``cuda``.
        threads: torch threads on a CPU. One, unless more are asked for: several make trials on busy cores slower, and
            their sums irreproducible.
        memory_gb: memory that the trial may allocate, in GB (10^9 bytes).
        gpu_share: share of a GPU; of its memory, no more than that is allocated.
        timeout_seconds: time for the trial, counted from its own start.
        attempt: 1, or more if the trial was started before.
        checkpoint: last one of an earlier attempt that was lost, if there is one.
        checkpoint_seconds: between two savings of the training; 0 for none.
        plugins: that the worker runs first; their content travels, so that all trials run the same.
        part_seed: of the part of the images that expensive objectives measure on.
        surrogates: of the objectives, by the names that they have for them; their content travels.
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
    facts: dict[str, Value] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    refusal: str | None = None
    whole: bool = True
    share: float = 1.0
    until: int | None = None
    continues: int | None = None
    repeats: int | None = None
    inherited: dict[str, Any] | None = None
    relative: Relative | None = None
    device: str = "cpu"
    threads: int = 1
    memory_gb: float | None = None
    gpu_share: float = 0.0
    timeout_seconds: float | None = None
    attempt: int = 1
    checkpoint: bytes | None = None
    checkpoint_seconds: float = 0.0
    plugins: tuple[Plugin, ...] = ()
    part_seed: int = 0
    surrogates: Mapping[str, Surrogate] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        settings: Settings,
        architecture: Architecture | None,
        *,
        trainer: Trainer,
        objectives: Mapping[str, Objective],
        seed: int,
        number: int = 0,
        picks: Mapping[str, Value] | None = None,
        surrogates: Mapping[str, Surrogate] | None = None,
    ) -> Self:
        """The plan of one training of ``architecture`` as the settings say; without one there is nothing to train."""
        execution, document = settings.execution, {} if architecture is None else architecture.to_json()
        return cls(
            number=number,
            picks=dict(picks or {}),
            architecture=document,
            key=key_of(document or {"picks": dict(picks or {})}),
            seed=seed,
            trainer=trainer,
            objectives=dict(objectives),
            device=execution.where,
            threads=max(1, int(execution.cpus_per_trial)),
            memory_gb=execution.memory_gb_per_trial,
            gpu_share=0.0 if execution.gpus_per_trial == "auto" else execution.gpus_per_trial,
            timeout_seconds=execution.timeout_seconds,
            checkpoint_seconds=execution.checkpoint_seconds,
            plugins=tuple(loaded_from(path) for path in settings.plugins),
            part_seed=settings.data.part_seed,
            surrogates=surrogates or {},
        )

    def checkpoints(self, send: Callable[[bytes], None]) -> Checkpoints | None:
        """The checkpoints of the training, which passes each new one to ``send``; None if it saves nothing."""
        if not self.checkpoint_seconds and self.until is None:
            return None
        belongs_to = {"architecture": self.key, "seed": self.seed, **self.trainer.settings()}
        if self.share < 1:
            belongs_to["data"] = self.share
        if self.inherited:
            belongs_to["inherited"] = self.inherited
        if self.plugins:
            belongs_to["plugins"] = [plugin.digest for plugin in self.plugins]
        return SentCheckpoints(self.checkpoint, send, belongs_to, self.checkpoint_seconds or math.inf, self.until)

    def failed(self, failure: Failure, error: str, seconds: dict[str, float] | None = None) -> "TrialOutcome":
        """The outcome of a trial that ended without its values."""
        return TrialOutcome(self.record("failed", failure=failure, error=error, seconds=seconds or {}))

    def over_bound(self, values: "Values", seconds: dict[str, float], **details: Any) -> "TrialRecord | None":
        """The record of a trial of which something that was measured is beyond its bound; None if nothing is."""
        beyond = violations(values.measured, self.bounds)
        if not beyond:
            return None
        said = [f"{name} is {values.measured[name]:.6g}, bounds.{name} is {self.bounds[name]:g}" for name in beyond]
        ended = {"failure": OVER_BOUND, "error": f"{'; '.join(said)}.", "violations": beyond, "seconds": seconds}
        return self.record("failed", **vars(values), **ended, **details)

    @property
    def epochs(self) -> int:
        """Of the training, from its very start."""
        return self.trainer.epochs if self.until is None else self.until

    @property
    def fidelity(self) -> dict[str, float]:
        """As in a record."""
        paused = {} if self.until is None else {"of": self.trainer.epochs}
        return {"epochs": self.epochs, **paused, **({"data": self.share} if self.share < 1 else {})}

    def record(self, status: Status, **details: Any) -> TrialRecord:
        """The record of this plan, ended as ``status``; ``details`` are further fields."""
        return TrialRecord(
            number=self.number,
            status=status,
            picks=self.picks,
            architecture=self.architecture,
            key=self.key,
            seed=self.seed,
            fidelity=self.fidelity,
            continues=self.continues,
            repeats=self.repeats,
            inherited=self.inherited,
            micro_batches=self.trainer.micro_batches,
            **{"measured": self.measured, "settings": self.settings, "facts": self.facts, **details},
        )


@dataclass(frozen=True)
class TrialOutcome:
    """A record and, for a complete trial, its weights as the bytes of a safetensors file.

    Args:
        traces: small files that are kept beside the weights, by name (`nas.store.traces`).
        written: hidden file beside its final place to which a worker has written the weights instead.
        machine_lost: the machine that the trial ran on was lost, so the failure is not the trial's own.
    """

    record: TrialRecord
    weights: bytes | None = None
    traces: dict[str, bytes] = field(default_factory=dict)
    written: str | None = None
    machine_lost: bool = False


@dataclass
class Values:
    """What has been measured of a candidate, under the names that these fields have in a record."""

    measured: dict[str, float] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    spread: dict[str, dict[str, Any]] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, objective: Objective, candidate: Candidate) -> None:
        """Measures one objective.

        Raises:
            FloatingPointError, ValueError: if what it returns cannot be recorded.
        """
        found = objective.measure(candidate)
        self.measured[name] = as_value(name, objective, found)
        self.settings[name] = as_settings(name, objective.settings(candidate))
        if isinstance(found, Estimate):
            if spread := found.spread():
                self.spread[name] = spread
            if found.flags:
                self.flags[name] = list(found.flags)

    def flag(self, name: str, word: str) -> None:
        """Says of a value why it may not mean what its name says."""
        self.flags[name] = [*self.flags.get(name, []), word]


class Curve:
    """The epochs of a training, one row each; what came before a checkpoint is saved and loaded with it."""

    def __init__(self, checkpoints: Checkpoints | None, tracked: str) -> None:
        self._beside, self.tracked = {} if checkpoints is None else checkpoints.beside, tracked

    def add(self, epoch: Epoch) -> None:
        """Adds an epoch; a training that went back a little repeats some, which replace the earlier ones."""
        values = (epoch.loss, epoch.learning_rate, epoch.seconds, epoch.measured.get(self.tracked))
        row = [float(epoch.number), *(math.nan if known is None else float(known) for known in values)]
        rows = [row for row in self.rows() if row[0] < epoch.number]
        self._beside[CURVE] = torch.tensor([*rows, row], dtype=torch.float64)

    def rows(self) -> list[list[float]]:
        """`nas.store.traces.COLUMNS` and the tracked value of every epoch so far; NaN for what is not known."""
        return self._beside[CURVE].tolist() if CURVE in self._beside else []

    def traces(self) -> dict[str, bytes]:
        """The file that is kept; none of a training that ended before its first epoch."""
        return {CURVE: curve_csv(rows, self.tracked)} if (rows := self.rows()) else {}


def predictions(candidate: Candidate) -> dict[str, bytes]:
    """The file of what a trained network says of every image; none if its logits are not finite.

    Its weights are laid out as in a network that is loaded, because the last digits of logits depend on it.
    """
    candidate.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    try:
        return {PREDICTIONS: predicted(candidate).to_bytes()}
    except FloatingPointError:
        return {}


def predicted(candidate: Candidate) -> Predictions:
    """What a network says of every image; of one that predicts no classes there is only the digest.

    Raises:
        FloatingPointError: if its outputs are not finite.
    """
    outputs = logits(candidate.model, candidate.inputs()).cpu().numpy()
    return Predictions.of(outputs, np.empty(0) if candidate.labels is None else candidate.labels.cpu().numpy())


Watch = Callable[[Epoch, Candidate], None]
"""Called after every epoch of a training, with the network on the validation images."""


def fastest_device() -> str:
    """``cuda`` where torch finds a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_device(device: str) -> None:
    """Raises ValueError if this machine lacks the device that a trial is to run on."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch finds no GPU on this machine for device 'cuda'. Use cpu.")


def run_trial(
    plan: TrialPlan,
    data: TrainingData,
    report: Watch | None = None,
    checkpoints: Checkpoints | None = None,
) -> TrialOutcome:
    """Builds, trains and measures one architecture; whatever goes wrong becomes a failed record, never an exception.

    Args:
        report: called after every epoch, with the network as it is then.
        checkpoints: what the training continues from, and where it saves itself.
    """
    started, process = time.perf_counter(), os.getpid()
    seconds: dict[str, float] = {}
    curve, graphs = Curve(checkpoints, data.task.objectives[0]), dict[str, str]()

    def on_epoch(epoch: Epoch) -> None:
        if epoch.graphs is not None:
            graphs["graphs"] = epoch.graphs
        if plan.trainer.track:
            epoch = replace(epoch, measured={curve.tracked: float(OBJECTIVES[curve.tracked]().measure(candidate))})
        curve.add(epoch)
        if report:
            report(epoch, candidate)
        spent = time.perf_counter() - started
        if plan.timeout_seconds is not None and spent > plan.timeout_seconds:
            raise TimeoutError(
                f"{spent:.1f} s after its start the trial was in epoch {epoch.number} of {epoch.total}; "
                f"timeout_seconds is {plan.timeout_seconds:g}."
            )

    try:
        run_all(plan.plugins)
        with _restored_state(), _share(plan):
            architecture = Architecture.from_json(plan.architecture)
            model = build(architecture, seed=plan.seed)
            _set_normalization(model, data)
            model.to(plan.device)
            images, labels = data.validation.tensors(plan.device)
            inputs, targets = data.task.measured(images)
            others = plan.surrogates
            candidate = Candidate(
                model, data.input, inputs, labels, seed=plan.part_seed, targets=targets, surrogates=others
            )
            values = Values(dict(plan.measured), dict(plan.settings))

            def measure(state: str) -> None:
                for name, objective in plan.objectives.items():
                    if objective.needs == state:
                        values.add(name, objective, candidate)
                        if state == "training" and plan.inherited:
                            values.flag(name, INHERITED)

            model.eval()
            measure("weights")  # as they were drawn, whatever the training begins with
            if (beyond := plan.over_bound(values, {"total": time.perf_counter() - started})) is not None:
                return TrialOutcome(beyond)  # before anything is trained
            if plan.inherited:
                if plan.relative is None:
                    raise RuntimeError(f"the weights of trial {plan.inherited['trial']} are not there to begin with.")
                plan.relative.bequeath(model, architecture)
            seconds["build"] = time.perf_counter() - started
            seen = data if plan.share == 1 else data.with_share(plan.share, plan.part_seed)
            plan.trainer.train(model, seen, seed=plan.seed, report=on_epoch, checkpoints=checkpoints)
            seconds["train"] = time.perf_counter() - started - seconds["build"]
            model.eval()
            if plan.until not in (None, len(curve.rows())):
                raise RuntimeError(
                    f"the trainer went on to epoch {len(curve.rows())} where it was to pause after {plan.until}. "
                    "Take form = 'whole' for the rungs."
                )
            timing = Timing(tuple(row[3] for row in curve.rows()), plan.epochs)
            candidate = replace(candidate, timing=timing)
            measure("training")
            measure("run")
            traces = {**curve.traces(), **predictions(candidate)}
            seconds["measure"] = time.perf_counter() - started - seconds["build"] - seconds["train"]
        if (beyond := plan.over_bound(values, seconds, **graphs)) is not None:
            return TrialOutcome(beyond, traces=traces)
        record = plan.record("complete" if plan.whole else "truncated", **vars(values), **graphs, seconds=seconds)
        return TrialOutcome(record, serialize(model) if plan.whole else None, traces)
    except StoppedError:  # of whoever was reported to, whose disk is full: not the trial's fault
        raise
    except (Exception, SystemExit) as error:  # the one place where an exception becomes a failed trial
        seconds["total"] = time.perf_counter() - started
        failure = _failure(error, limited=plan.memory_gb is not None)
        return replace(plan.failed(failure, _explain(error, failure), seconds), traces=curve.traces())
    finally:
        if os.getpid() != process:  # a child that the trial forked and that came back must not book a second outcome
            os._exit(0)


def serialize(model: torch.nn.Module) -> bytes:
    """Every tensor of the model, frozen ones included, as the bytes of a safetensors file.

    Tied weights are written once for each of their names, because the format has no shared tensors.
    """
    tensors, memory = {}, set[int]()
    for name, tensor in model.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        tensors[name] = plain.clone() if place in memory else plain
        memory.add(place)
    return safetensors.torch.save(tensors)


@contextlib.contextmanager
def _restored_state() -> Iterator[None]:
    """Gives the process back as it was: what a user's trainer or objective changes must not reach the next trial."""
    dtype, gradients, device, threads = (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        _default_device(),
        torch.get_num_threads(),
    )
    folder, generators = Path.cwd(), (random.getstate(), np.random.get_state(), torch.get_rng_state())
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        if _default_device() != device:
            torch.set_default_device(None if device.type == "cpu" else device)
        torch.set_num_threads(threads)
        os.chdir(folder)
        random.setstate(generators[0])
        np.random.set_state(generators[1])
        torch.set_rng_state(generators[2])


def _default_device() -> torch.device:
    """Where new tensors go; `torch.get_default_device` of torch 2.6 fails once a default was taken back."""
    return torch.empty(0).device


def _set_normalization(model: Network, data: TrainingData) -> None:
    model.normalize.mean.copy_(torch.tensor(data.mean))
    model.normalize.std.copy_(torch.tensor(data.std))


@contextlib.contextmanager
def _share(plan: TrialPlan) -> Iterator[None]:
    """Keeps a trial to its threads and its share of memory; on a GPU, Ray's shares alone are bookkeeping."""
    threads, limits = torch.get_num_threads(), resource.getrlimit(resource.RLIMIT_DATA)
    tf32 = torch.backends.cudnn.allow_tf32
    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
    else:
        torch.backends.cudnn.allow_tf32 = False  # fp32 is fp32, so that a value is the same on every device
        if 0 < plan.gpu_share < 1:
            outside = GPU_CONTEXT / torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(max(plan.gpu_share - outside, plan.gpu_share / 2))
    if plan.memory_gb is not None and (used := _data_bytes()):
        resource.setrlimit(resource.RLIMIT_DATA, (used + int(plan.memory_gb * 1e9), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = tf32


def _data_bytes() -> int | None:
    """Private memory that this process has mapped, shared pages of the object store left out; None if not Linux."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^VmData:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE):
            return 1024 * int(found[1])
    return None


LIMITED = re.compile(r"could not create a primitive", re.IGNORECASE)
"""What oneDNN says when it cannot allocate under a limit on memory, and for shapes that it does not know."""
OUT_OF_MEMORY = re.compile(r"can't allocate memory|not allocate|bad_alloc|ALLOC_FAILED|out of memory", re.IGNORECASE)
"""Messages of the libraries under PyTorch, which have no exception of their own for it."""


def _failure(error: BaseException, *, limited: bool = False) -> Failure:
    if isinstance(error, FloatingPointError):
        return "diverged"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "timeout"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk_full"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "out_of_memory"
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "out_of_memory"
    if isinstance(error, RuntimeError) and (
        OUT_OF_MEMORY.search(str(error)) or (limited and LIMITED.search(str(error)))
    ):
        return "out_of_memory"
    return "bug"


def _explain(error: BaseException, failure: Failure) -> str:
    """A traceback for a bug, a sentence for everything else."""
    return "".join(traceback.format_exception(error)) if failure == "bug" else str(error) or type(error).__name__

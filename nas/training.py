"""One architecture trained in full: a trial like any other, that can be stopped, taken up again and looked at.

What it writes is an export (`nas.load` and `nas evaluate` take it), beside ``log.csv`` and, until it has ended,
checkpoints.
"""

import csv
import io
import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

from nas.artifacts import write_atomically
from nas.errors import StoppedError, WrongInputError, user_input
from nas.exporting import ORIGIN, Exported, evaluate, write_export
from nas.pricing import price
from nas.problem import data_checksum, find_dataset, find_objectives, find_trainer, objective_tables
from nas.records import TrialRecord
from nas.settings import Settings
from nas.trial import TrialPlan, run_trial
from objectives.accuracy import correct
from searchspaces import Architecture
from trainers import Epoch, Supervised, TrainingData, training_data
from trainers.checkpoints import Checkpoints, FolderCheckpoints

LOG, CHECKPOINTS = "log.csv", "checkpoints"
Watch = Callable[[Epoch, float], None]
"""Is told of every epoch, with the accuracy on the validation images."""


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Args:
        measured: values by objective, of the split ``validation``, or of ``training`` if none was held out; and of
            ``test``, if that was asked for.
    """

    seed: int
    directory: Path
    measured: dict[str, dict[str, float]]


def train(
    architecture: Architecture,
    settings: Settings,
    out: Path,
    *,
    seeds: Iterable[int],
    test: bool,
    say: Callable[[str], None],
    watch: Callable[[int], Watch],
) -> list[Trained]:
    """Trains ``architecture`` from scratch, once for each seed, or goes on where a training was stopped.

    Args:
        architecture: its input and number of classes become those of the data.
        settings: data, training, objectives; the data are divided by ``settings.seed``.
        out: a folder for one seed; with several, each has a folder ``seed-N`` in it.
        test: measure on the test split at the end, and write down that this was done.
        say: is told what a person should know.
        watch: seed -> who is told of the epochs.

    Raises:
        WrongInputError: if something given cannot be used; nothing was trained.
        StoppedError: if a training failed.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; the training is saved and goes on later.
    """
    dataset = find_dataset(settings.data.name)
    with user_input("data"):
        data = training_data(
            dataset,
            limit=settings.data.limit,
            validation=settings.data.validation,
            seed=settings.seed,
            resolution=settings.data.resolution,
        )
        if test:
            dataset.load("test", 1)
    if not settings.data.validation:
        say("nothing is held out: the accuracy after an epoch is that on a fifth of the images it was trained on.")
    objectives = objective_tables(settings, find_objectives(settings, dataset))
    settings = replace(settings, objective=objectives, data=replace(settings.data, checksum=data_checksum(data)))
    if (architecture.input, architecture.classes) != (data.input, len(data.classes)):
        say(
            f"the architecture takes {architecture.input} and tells {architecture.classes} classes apart; it is built "
            f"for {data.input} and {len(data.classes)} classes of {settings.data.name}."
        )
        architecture = replace(architecture, input=data.input, classes=len(data.classes))
    with user_input("architecture"):
        price(architecture)
    chosen = list(seeds)
    folders = [out] if len(chosen) == 1 else [out / f"seed-{seed}" for seed in chosen]
    return [
        _train_one(architecture, settings, data, folder, seed, test, say, watch(seed))
        for seed, folder in zip(chosen, folders, strict=True)
    ]


def _train_one(
    architecture: Architecture,
    settings: Settings,
    data: TrainingData,
    out: Path,
    seed: int,
    test: bool,
    say: Callable[[str], None],
    watch: Watch,
) -> Trained:
    trainer = find_trainer(settings)
    if not isinstance(trainer, Supervised):
        raise WrongInputError(f"training.kind: nas train uses the supervised trainer, got {type(trainer).__name__}.")
    belongs_to = {
        "architecture": architecture.key,
        "data": settings.data.name,
        "checksum": settings.data.checksum,
        "seed": seed,
        **asdict(trainer),
    }
    if (out / ORIGIN).exists():
        finished = _finished(out, belongs_to)
        say(f"{out} holds this training, which has ended.")
    else:
        if out.exists() and (not out.is_dir() or any(_is_foreign(f) for f in out.iterdir())):
            raise WrongInputError(f"{out} exists and holds no training. Give another folder with -o, or remove it.")
        finished = _run(architecture, settings, data, out, seed, trainer, belongs_to, say, watch)
    split = "validation" if settings.data.validation else "training"
    measured = {split: {name: finished.measured[name] for name in _names(settings)}}
    if test:
        measured["test"] = evaluate(out, None, "test")["measured"]
    return Trained(seed, out, measured)


def _is_foreign(file: Path) -> bool:
    """Whether a file is not of a training that goes on; hidden ones are what a kill in the middle of writing leaves."""
    return file.name not in (LOG, CHECKPOINTS) and not file.name.startswith(".")


def _names(settings: Settings) -> list[str]:
    return [name for name, objective in find_objectives(settings).items() if objective.needs == "training"]


def _finished(out: Path, belongs_to: Mapping[str, Any]) -> TrialRecord:
    origin: dict[str, Any] = json.loads((out / ORIGIN).read_text(encoding="utf-8"))
    record, study = TrialRecord.from_json(origin["trial"]), origin["study"]
    data = {"data": study["data"].get("name"), "checksum": study["data"].get("checksum")}
    before = {"architecture": record.key, "seed": record.seed, **data, **study.get("training", {})}
    changed = [f"{k} was {before[k]!r}, now {v!r}" for k, v in belongs_to.items() if k in before and before[k] != v]
    if changed:
        raise WrongInputError(f"{out} holds another training: {'; '.join(changed)}. Give another folder with -o.")
    return record


def _run(
    architecture: Architecture,
    settings: Settings,
    data: TrainingData,
    out: Path,
    seed: int,
    trainer: Supervised,
    belongs_to: dict[str, Any],
    say: Callable[[str], None],
    watch: Watch,
) -> TrialRecord:
    with user_input(str(out)):
        checkpoints = FolderCheckpoints(out / CHECKPOINTS, belongs_to)
        checkpoints.load()  # a wrong one is refused before anything else
    for note in checkpoints.notes:
        say(note)
    if checkpoints.files():
        say(f"going on with the training in {out}.")
    execution = settings.execution
    plan = TrialPlan(
        number=0,
        picks={},
        architecture=architecture.to_json(),
        key=architecture.key,
        seed=seed,
        trainer=_Watched(trainer, out / LOG, watch),
        objectives=find_objectives(settings),
        device=execution.where,
        threads=max(1, int(execution.cpus_per_trial)),
        plugins=tuple(settings.plugins),
    )

    def stop(number: int, frame: FrameType | None) -> None:
        if checkpoints.stop:
            raise KeyboardInterrupt
        checkpoints.stop = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        outcome = run_trial(plan, data, checkpoints=checkpoints)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if outcome.weights is None:
        raise StoppedError(f"the training failed ({outcome.record.failure}): {outcome.record.error}")
    resolved = replace(settings, training={"kind": "supervised", **settings.training, **asdict(trainer)})
    with tempfile.TemporaryDirectory(dir=out, prefix=".") as folder:
        weights = Path(folder) / "weights"
        weights.write_bytes(outcome.weights)
        exported: Exported = write_export(outcome.record, resolved, weights, out, verify=True)
    shutil.rmtree(out / CHECKPOINTS)
    return exported.record


@dataclass(frozen=True)
class _Watched:
    """A trainer with a log file and somebody who looks on; measures the validation images every epoch."""

    trainer: Supervised
    log: Path
    watch: Watch

    @property
    def epochs(self) -> int:
        return self.trainer.epochs

    @property
    def micro_batches(self) -> int:
        return self.trainer.micro_batches

    def train(
        self,
        model: nn.Module,
        data: TrainingData,
        *,
        seed: int,
        report: Callable[[Epoch], None],
        checkpoints: Checkpoints | None = None,
    ) -> None:
        images, labels = data.validation.tensors(next(model.parameters()).device)

        def on_epoch(epoch: Epoch) -> None:
            accuracy = float(correct(model, images, labels).double().mean())
            self._note(epoch, accuracy)
            self.watch(epoch, accuracy)
            report(epoch)

        self.trainer.train(model, data, seed=seed, report=on_epoch, checkpoints=checkpoints)

    def _note(self, epoch: Epoch, accuracy: float) -> None:
        """Writes the epoch's row, after those of earlier epochs; a training that went back a little repeats some."""
        rows: list[list[Any]] = [["epoch", "loss", "accuracy", "seconds"]]
        if self.log.exists():
            rows += [r for r in list(csv.reader(self.log.read_text().splitlines()))[1:] if int(r[0]) < epoch.number]
        rows.append([epoch.number, f"{epoch.loss:.6f}", f"{accuracy:.6f}", f"{epoch.seconds:.3f}"])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_atomically(self.log, text.getvalue().encode())

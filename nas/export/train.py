"""One architecture trained in full: a trial like any other that can be stopped, continued and watched.

What it writes is an export (`nas.load` and `nas evaluate` take it), beside ``log.csv`` and, until it has ended,
checkpoints.
"""

import csv
import io
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from nas.errors import StoppedError, WrongInputError, user_input
from nas.export.bundle import ORIGIN, read_origin
from nas.export.card import WeightsOf
from nas.export.evaluate import evaluate
from nas.export.export import write_export
from nas.export.forms import OURS_ALONE, Forms, check_forms
from nas.export.surrogates import resolved, supplied
from nas.plugins import Plugin, loaded_from, named, remember
from nas.pricing import price
from nas.problem import (
    described,
    find_dataset,
    find_objectives,
    find_trainer,
    load_data,
    objective_tables,
    training_table,
)
from nas.settings import Settings
from nas.store.files import check_replaceable, write_atomically
from nas.store.records import TrialRecord
from nas.store.surrogates import FOLDER, Surrogate
from nas.trial import TrialPlan, run_trial
from objectives import OBJECTIVES, Candidate
from searchspaces import Architecture
from searchspaces.architecture import answer
from searchspaces.heads import fitted
from trainers import Epoch, Trainer, TrainingData
from trainers.checkpoints import FolderCheckpoints

LOG, CHECKPOINTS = "log.csv", "checkpoints"
Watch = Callable[[Epoch, Mapping[str, float]], None]
"""Called after every epoch, with the accuracy on the validation images, or what stands for it in another task."""


@dataclass(frozen=True)
class Trained:
    """What a training led to.

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
    forms: Forms = OURS_ALONE,
    of: TrialRecord | None = None,
) -> list[Trained]:
    """Trains ``architecture`` from scratch, once for each seed, or continues a training that was stopped.

    Args:
        architecture: its input and outputs are replaced by those of the data.
        settings: data, training, objectives; the data are divided by ``settings.seed``.
        out: a folder for one seed; with several, each has a folder ``seed-N`` in it.
        test: measure on the test split at the end, and write down that this was done.
        say: called with what a person should know.
        watch: seed -> function to call after every epoch.
        forms: in which it is written besides our own.
        of: trial of a search whose network it is.

    Raises:
        WrongInputError: if something given cannot be used; nothing was trained.
        StoppedError: if a training failed.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; the training is saved and continues later.
    """
    dataset, data = find_dataset(settings.data), load_data(settings)
    if test:
        with user_input("data"):
            replace(dataset, **data.decided).load("test", 1)
    for note in data.notes:
        say(note)
    if not settings.data.validation:
        fifth = f"a fifth of the {data.things} it was trained on"
        say(f"nothing is held out: the {data.task.objectives[0]} after an epoch is that on {fifth}.")
    objectives, copies = resolved(find_objectives(settings, dataset), data)
    tables = objective_tables(settings, objectives)
    settings = replace(settings, objective=tables, data=described(settings.data, data))
    fitting = fitted(architecture, data.outputs, input=data.input, aligned=data.task.aligned)
    if fitting != architecture:
        say(
            f"the architecture takes {architecture.input} and has {answer(architecture.outputs)}; it is built for "
            f"{data.input} and {answer(data.outputs)} of {settings.data.label}."
        )
        architecture = fitting
    with user_input("architecture"):
        price(architecture)
    remember(loaded_from(path) for path in settings.plugins)
    trainer, chosen = find_trainer(settings, dataset), list(seeds)
    if trainer.inherit:
        raise WrongInputError(
            "training.inherit is for a search, where trials have relatives; nas train begins from scratch. Unset it."
        )
    settings = replace(settings, training=training_table(settings, trainer))
    folders = [out] if len(chosen) == 1 else [out / f"seed-{seed}" for seed in chosen]
    for folder in folders:
        _check_place(folder)
    check_forms(forms, architecture.outputs, measured=True)
    ready: dict[str, Any] = {"settings": settings, "data": data, "trainer": trainer, "say": say}
    surrogates = supplied(objectives, copies, out, **ready)
    trainings = [
        _Training(architecture, settings, data, trainer, seed, folder, say, watch(seed), surrogates, forms, of)
        for seed, folder in zip(chosen, folders, strict=True)
    ]
    return [training.trained(test=test) for training in trainings]


@dataclass(frozen=True)
class _Training:
    """One training of one seed in a folder of its own.

    Args:
        settings: resolved.
    """

    architecture: Architecture
    settings: Settings
    data: TrainingData
    trainer: Trainer
    seed: int
    out: Path
    say: Callable[[str], None]
    watch: Watch
    surrogates: dict[str, Surrogate]
    forms: Forms
    of: TrialRecord | None

    @property
    def belongs_to(self) -> dict[str, Any]:
        """All that must be the same for a training to continue."""
        return {
            "architecture": self.architecture.key,
            "data": self.settings.data.label,
            "checksum": self.settings.data.checksum,
            "seed": self.seed,
            **{f"plugin {name}": plugin.digest for name, plugin in named(self.plugins).items()},
            **self.trainer.settings(),
        }

    @property
    def plugins(self) -> list[Plugin]:
        """The plugins that the command line or the study named."""
        return [loaded_from(path) for path in self.settings.plugins]

    def trained(self, *, test: bool) -> Trained:
        """The result; trains first, unless the folder holds this training already."""
        out, settings = self.out, self.settings
        if (out / ORIGIN).exists():
            finished = self._finished()
            self.say(f"{out} holds this training, which has ended.")
        else:
            finished = self._run()
        split = "validation" if settings.data.validation else "training"
        names = [name for name, objective in find_objectives(settings).items() if objective.needs == "training"]
        measured = {split: {name: finished.measured[name] for name in names}}
        if test:
            measured["test"] = evaluate(out, settings.data.label, "test")["measured"]
        return Trained(self.seed, out, measured)

    def _finished(self) -> TrialRecord:
        """The record of the training that the folder holds.

        Raises:
            WrongInputError: if it is another one, with what differs.
        """
        origin = read_origin(self.out)
        record, study = origin.record, origin.settings
        plugins = {f"plugin {name}": digest for name, digest in origin.plugins.items()}
        data = {"data": study.data.name, "checksum": study.data.checksum}
        before = {"architecture": record.key, "seed": record.seed, **data, **plugins, **study.training}
        now = self.belongs_to | {"data": self.settings.data.name}  # an export does not say where its data lie
        changed = [
            f"{key} was {before[key]!r}, now {value!r}"
            for key, value in now.items()
            if key in before and before[key] != value
        ]
        if changed:
            raise WrongInputError(
                f"{self.out} holds another training: {'; '.join(changed)}. Give another folder with -o."
            )
        return record

    def _run(self) -> TrialRecord:
        with user_input(str(self.out)):
            checkpoints = FolderCheckpoints(self.out / CHECKPOINTS, self.belongs_to)
            checkpoints.load()  # a wrong one is refused before anything else
        for note in checkpoints.notes:
            self.say(note)
        if checkpoints.files():
            self.say(f"continuing the training in {self.out}.")
        plan = TrialPlan.of(
            self.settings,
            self.architecture,
            trainer=self.trainer,
            objectives=find_objectives(self.settings),
            seed=self.seed,
            surrogates=self.surrogates,
        )

        def stop(number: int, frame: FrameType | None) -> None:
            if checkpoints.stop:
                raise KeyboardInterrupt
            checkpoints.stop = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            outcome = run_trial(plan, self.data, self._on_epoch, checkpoints)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if outcome.weights is None:
            raise StoppedError(f"the training failed ({outcome.record.failure}): {outcome.record.error}")
        record = outcome.record
        if self.of is not None:
            record = replace(record, number=self.of.number, picks=self.of.picks)
        exported = write_export(
            record,
            self.settings,
            outcome.weights,
            self.out,
            plugins=self.plugins,
            surrogates=list(self.surrogates.values()),
            kept=[LOG],
            forms=self.forms,
            weights_of=WeightsOf(searched=False, trial=self.of),
        )
        return exported.record

    def _on_epoch(self, epoch: Epoch, candidate: Candidate) -> None:
        name = self.data.task.objectives[0]
        value: float = OBJECTIVES[name]().measure(candidate)
        self._note(epoch, name, value)
        self.watch(epoch, {name: value})

    def _note(self, epoch: Epoch, name: str, value: float) -> None:
        """Writes the epoch's row, after those of earlier epochs; a training that went back a little repeats some."""
        log = self.out / LOG
        rows: list[list[Any]] = [["epoch", "loss", name, "seconds"]]
        if log.exists():
            rows += [r for r in list(csv.reader(log.read_text().splitlines()))[1:] if int(r[0]) < epoch.number]
        rows.append([epoch.number, f"{epoch.loss:.6f}", f"{value:.6f}", f"{epoch.seconds:.3f}"])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_atomically(log, text.getvalue().encode())


def _check_place(out: Path) -> None:
    """Makes sure that a training can be in a folder.

    Raises:
        WrongInputError: if something else is there.
    """
    check_replaceable(out)
    held = out.exists() and not (out / ORIGIN).exists()
    if held and (not out.is_dir() or any(_is_foreign(file) for file in out.iterdir())):
        raise WrongInputError(f"{out} exists and holds no training. Give another folder with -o, or remove it.")


def _is_foreign(file: Path) -> bool:
    """Whether a file is not of a training that continues, nor what a kill while writing leaves."""
    return file.name not in (LOG, CHECKPOINTS, FOLDER) and not file.name.startswith(f".{LOG}.")

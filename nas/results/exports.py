"""`nas compare`: exports measured on the same images in one run, every form in their folders beside our own."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nas.errors import WrongInputError
from nas.export.bundle import architecture_path, load_architecture, read_origin
from nas.export.ensemble import member_folders
from nas.export.evaluate import Opened, Shown, candidate_of
from nas.export.profile import check_fits
from nas.export.running import OWN, Form, running
from nas.export.surrogates import gathered
from nas.pricing import price
from nas.problem import find_objectives
from nas.results.comparison import compare
from nas.store.surrogates import Surrogate
from nas.store.traces import Predictions
from objectives import OBJECTIVES, Candidate, Estimate
from objectives.accuracy import OfLogits, logits
from objectives.classification import CalibrationError
from objectives.latency import IN_TURNS_SECONDS, in_turns
from objectives.robust_accuracy import RobustAccuracy
from searchspaces import Shape
from searchspaces.registry import brief
from trainers import Samples
from trainers.task import Task

CALIBRATION = "calibration_error"


@dataclass(frozen=True)
class _Attack:
    """An attack that every export is measured under.

    Args:
        given: whether the command named it, and not a study.
        surrogates: of a transfer attack, by the names that it has for them.
    """

    objective: RobustAccuracy
    given: bool
    surrogates: Mapping[str, Surrogate] = field(default_factory=dict)

    def does(self) -> tuple[Any, ...]:
        """What it does: equal for attacks that do the same."""
        held = [(name, one.digest) for name, one in sorted(self.surrogates.items())]
        return repr(self.objective), tuple(held) if self.objective.transfers else ()

    def measure(self, candidate: Candidate) -> Estimate:
        """Share of the images of a candidate that survive it."""
        return self.objective.measure(replace(candidate, surrogates=self.surrogates))


def compare_exports(
    directories: Sequence[Path],
    data: str | None = None,
    split: str = "validation",
    *,
    attacks: Mapping[str, RobustAccuracy] = MappingProxyType({}),
    batches: Sequence[int] = (1,),
    seconds: float = IN_TURNS_SECONDS,
    trust: bool = False,
) -> dict[str, Any]:
    """Exports side by side, as JSON; that each was measured is noted in its ``evaluations.jsonl``.

    Args:
        data: data set as ``name`` or ``name:location``; that of the first export's study unless given.
        split: ``validation`` or ``test``.
        attacks: that every export is measured under, beside those of the studies, by the name of the value.
        batches: sizes of the batches whose latency is measured.
        seconds: that measuring the latency of one size of batch takes, about.

    Returns:
        ``measure`` names the value that networks for such data are compared by first. Of each of the ``exports`` its
        ``forms``, our own first: the ``measured`` values by name (None where they cannot be: attacks need gradients,
        which only our own form has, and there is no calibration without classes), their standard ``errors``,
        ``latency_ms`` by size of batch (the least of several turns of all forms of all exports, one thread) and the
        ``bytes`` of the files that running it takes; ``left_out`` says why another form that lies there was not run.
        ``mcnemar`` compares our own forms pair by pair.

    Raises:
        WrongInputError: if a folder is no export, or two are of other images or classes.
        UntrustedError: if one needs plugins that were never trusted.
        StoppedError: if it cannot be noted.
    """
    exports = [Opened.read(directory, trust=trust) for directory in directories]
    for other in exports[1:]:
        _check_alike(exports[0], other)
    for export, batch in itertools.product(exports, batches):
        check_fits(export.architecture, batch)
    images = _same_images(exports, data, split)
    tried = _attacks(exports, images, attacks)
    base = candidate_of(exports[0].network, images.samples, exports[0].settings, task=images.task)
    rows, predictions, timed = [], [], []
    with ExitStack() as stack:
        for export in exports:
            forms, left_out = stack.enter_context(running(export))
            found = [_measured(form, replace(base, model=form.model), images.task, tried) for form in forms]
            row = [one for one, _ in found]
            own = {name: value for name, value in row[0]["measured"].items() if value is not None}
            # noted before the next is measured, for its images are used whatever comes then
            images.note(export.directory, own, {name: one.objective for name, one in tried.items() if one.given})
            predictions.append(found[0][1])
            rows.append({**_described(export), "forms": row, "left_out": left_out})
            timed += list(zip(row, forms, strict=True))
        for batch in batches:
            _time(timed, exports[0].architecture.input, batch, seconds)
    return {
        "data": images.label,
        "split": split,
        "samples": len(images.samples),
        "things": images.dataset.things,
        "notes": list(images.notes),
        "measure": images.task.objectives[0],
        "batches": list(batches),
        "attacks": {name: asdict(one.objective.adversary()) for name, one in tried.items()},
        "exports": rows,
        "mcnemar": list(_pairs(predictions)),
    }


def _check_alike(one: Opened, other: Opened) -> None:
    """Makes sure that two exports are of the same data set, images of one size, and the same classes.

    Raises:
        WrongInputError: if they are not.
    """
    for what, first, second in (
        ("data set", one.settings.data.name, other.settings.data.name),
        ("shape of an image", one.architecture.input, other.architecture.input),
        ("outputs", one.architecture.outputs, other.architecture.outputs),
        ("classes", one.settings.data.classes, other.settings.data.classes),
    ):
        if first != second:
            raise WrongInputError(
                f"only exports of the same data and classes can be compared, but the {what} of {one.directory} is "
                f"{brief(first)}, that of {other.directory} {brief(second)}. Evaluate each with nas evaluate."
            )


def _same_images(exports: Sequence[Opened], data: str | None, split: str) -> Shown:
    """The images of a split, which must be the same ones for every export.

    Raises:
        WrongInputError: if they are not, or cannot be read.
    """
    first = exports[0]
    images = Shown.read(first.settings, data, split)
    for export in exports:
        export.check_takes(images)
        if (export.settings.data, export.settings.seed) == (first.settings.data, first.settings.seed):
            continue
        if _digest(Shown.read(export.settings, data, split).samples) != _digest(images.samples):
            instead = "Take --split test, or exports of one study." if split == "validation" else "Take others."
            raise WrongInputError(
                f"only exports of the same data and classes can be compared, but the {split} {images.dataset.things} "
                f"of {export.directory} are not those of {first.directory}. {instead}"
            )
    return images


def _digest(samples: Samples) -> str:
    """By which images and labels are recognised."""
    images, found = samples.images, hashlib.blake2b(digest_size=16)
    found.update(repr((images.shape, str(images.dtype), samples.levels)).encode())
    found.update(np.ascontiguousarray(images).data if isinstance(images, np.ndarray) else images.fingerprint())
    found.update(samples.labels.tobytes())
    return found.hexdigest()


def _attacks(exports: Sequence[Opened], images: Shown, given: Mapping[str, RobustAccuracy]) -> dict[str, _Attack]:
    """What every export is attacked with, by name: what any of their studies measured, and what the command names.

    Of two studies that have different attacks under one name, the second's is called ``NAME of 2``.
    """
    found: dict[str, _Attack] = {}
    for number, export in enumerate(exports, start=1):
        objectives = find_objectives(export.settings, images.dataset)
        surrogates = gathered(objectives, export.home)
        for name, objective in objectives.items():
            if not isinstance(objective, RobustAccuracy):
                continue
            attack = _Attack(objective, given=False, surrogates=surrogates)
            if all(attack.does() != other.does() for other in found.values()):
                found[f"{name} of {number}" if name in found else name] = attack
    return found | {name: _Attack(one, given=True) for name, one in images.attackable(given).items()}


def _measured(
    form: Form, candidate: Candidate, task: Task, attacks: Mapping[str, _Attack]
) -> tuple[dict[str, Any], Predictions]:
    """What a form is worth, as JSON, and what it predicts.

    A value is None where outputs are no finite numbers.
    """
    values: dict[str, Estimate | None] = {task.objectives[0]: None, CALIBRATION: None, **dict.fromkeys(attacks)}
    kind, predictions = OBJECTIVES[task.objectives[0]](), Predictions.of(np.empty((0, 0)), np.empty(0))
    with suppress(FloatingPointError):
        if isinstance(kind, OfLogits):
            inputs, labels = candidate.examples()
            outputs = logits(candidate.model, inputs)
            values[task.objectives[0]] = kind.estimate(outputs, labels)
            values[CALIBRATION] = CalibrationError().estimate(outputs, labels)
            predictions = Predictions.of(outputs.numpy(), labels.numpy())
        else:
            value = kind.measure(candidate)
            values[task.objectives[0]] = value if isinstance(value, Estimate) else Estimate(value)
    for name, attack in attacks.items() if form.name == OWN else ():
        with suppress(FloatingPointError):
            values[name] = attack.measure(candidate)
    figures = {
        "form": form.name,
        "bytes": form.bytes,
        "measured": {name: None if value is None else float(value) for name, value in values.items()},
        "errors": {name: None if value is None else value.standard_error for name, value in values.items()},
        "flags": {name: list(value.flags) for name, value in values.items() if value is not None and value.flags},
        "latency_ms": {},
    }
    return figures, predictions


def _described(export: Opened) -> dict[str, Any]:
    """Which network an export holds, as JSON."""
    homes = member_folders(export.directory)
    totals = [price(load_architecture(architecture_path(home))).total for home in homes]
    return {
        "out": str(export.directory),
        "study": export.settings.name,
        "trials": [read_origin(home).record.number for home in homes],
        "parameters": sum(total.parameters for total in totals),
        "macs": sum(total.macs for total in totals),
    }


def _time(timed: Sequence[tuple[dict[str, Any], Form]], shape: Shape, batch: int, seconds: float) -> None:
    """Notes the latency of every form for batches of a size."""
    images = np.random.default_rng(0).random((batch, *shape), np.float32)
    found = in_turns([partial(form.run, images) for _, form in timed], seconds=seconds)
    for (figures, _), milliseconds in zip(timed, found, strict=True):
        figures["latency_ms"][str(batch)] = milliseconds


def _pairs(predictions: Sequence[Predictions]) -> Iterator[dict[str, Any]]:
    """McNemar's test of every two networks that predict classes."""
    for one, other in itertools.combinations(range(len(predictions)), 2):
        if len(predictions[one].right) and len(predictions[other].right):
            yield {"exports": [one, other], **asdict(compare(predictions[one], predictions[other]))}

"""Exported networks measured on a split; use of the test split is written down."""

import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from torch import nn

from nas.errors import StoppedError, WrongInputError, regular, user_input
from nas.export.bundle import EVALUATIONS, architecture_path, load, load_architecture, read_origin
from nas.export.ensemble import member_folders
from nas.export.surrogates import gathered
from nas.problem import check_task, data_checksum, find_dataset, find_objectives, load_data
from nas.settings import DataSettings, Settings, settings_of
from nas.store.surrogates import Surrogate
from objectives import Candidate
from objectives.accuracy import in_batches
from objectives.neural_collapse import neural_collapse
from objectives.robust_accuracy import RobustAccuracy
from searchspaces import Architecture, Network
from searchspaces.architecture import answer
from trainers import DATASETS, Dataset, Samples, TrainingData
from trainers.splits import resized
from trainers.task import Task


@dataclass(frozen=True)
class Opened:
    """An export that was read.

    Args:
        home: where its study is written down: the folder itself, of a pair that of its first member.
        settings: of the study.
    """

    directory: Path
    home: Path
    network: nn.Module
    architecture: Architecture
    settings: Settings

    @classmethod
    def read(cls, directory: Path, *, trust: bool = False) -> Self:
        """The export in a folder.

        Args:
            trust: let the plugins that came with it run.

        Raises:
            WrongInputError: if the directory is no export.
            UntrustedError: if it needs plugins that were never trusted.
        """
        network = load(directory, trust=trust)
        home = member_folders(directory)[0]  # an ensemble is of one study
        architecture = load_architecture(architecture_path(home))
        return cls(directory, home, network, architecture, read_origin(home).settings)

    def check_takes(self, images: "Shown") -> None:
        """Makes sure that the network takes images and answers what is asked of them.

        Raises:
            WrongInputError: if it does not.
        """
        channels, height, width = images.samples.images.shape[1:]
        shape = images.task.takes((channels, height, width))
        outputs = images.task.outputs((channels, height, width), len(images.classes))
        if shape != self.architecture.input or outputs != self.architecture.outputs:
            raise WrongInputError(
                f"{images.label} has {images.dataset.things} {shape} and {answer(outputs)}, but the network takes "
                f"{self.architecture.input} and has {answer(self.architecture.outputs)}."
            )


@dataclass(frozen=True)
class Shown:
    """Images of a split that networks are measured on.

    Args:
        label: of the data set, for a person.
        notes: what is to be said of how they were read.
    """

    label: str
    split: str
    dataset: Dataset
    samples: Samples
    classes: Sequence[str]
    notes: Sequence[str]
    task: Task

    @classmethod
    def read(cls, settings: Settings, data: str | None, split: str) -> Self:
        """The images of a split, as a study reads them.

        Args:
            data: data set as ``name`` or ``name:location``; that of the study unless given.
            split: ``test``, or ``validation``: the images that the search measured on, wherever they lie.

        Raises:
            WrongInputError: if they are not on this machine, or there are none.
        """
        source, options = settings.data.options.get("source"), settings.data.options
        if data is None and DATASETS.get(source or settings.data.name, Dataset).takes and not options.get("location"):
            called = replace(settings.data, options={**options, "location": "LOCATION"}).label
            raise WrongInputError(f"an export does not say where its data lie. Give them with --data {called}.")
        chosen = settings.data if data is None else _on_its_scale(named(data), settings.data)
        dataset = find_dataset(chosen)
        if split == "test":
            with user_input("data"):
                classes, task = dataset.classes(), dataset.poses()
            samples = samples_of_test(settings, dataset)
            return cls(chosen.label, split, dataset, samples, classes, samples.notes, task)
        if not settings.data.validation:
            all_of_it = f"all training {dataset.things} of {chosen.label}"
            raise WrongInputError(f"this network was trained on {all_of_it}; use --split test.")
        loaded = same_data(settings, data)
        return cls(chosen.label, split, dataset, loaded.validation, loaded.classes, loaded.notes, loaded.task)

    def attackable(self, attacks: Mapping[str, RobustAccuracy]) -> dict[str, RobustAccuracy]:
        """Attacks with the radius that suits the images, where they have none.

        Raises:
            WrongInputError: if the images are not of classes.
        """
        with user_input("--attack"):
            suited = {name: attack.suited(self.dataset) for name, attack in attacks.items()}
            for name, attack in suited.items():
                check_task(name, attack, self.dataset)
        return suited

    def note(
        self, directory: Path, measured: Mapping[str, float], attacks: Mapping[str, RobustAccuracy], **more: Any
    ) -> dict[str, Any]:
        """Notes in an export that it was measured on them, and returns the note.

        Args:
            attacks: that the study did not have.
            more: what else is noted.

        Raises:
            StoppedError: if it cannot be noted; the message holds the values.
        """
        result = {
            "data": self.label,
            "split": self.split,
            "samples": len(self.samples),
            "things": self.dataset.things,
            "notes": list(self.notes),
            "measured": dict(measured),
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if attacks:
            result["attacks"] = {name: asdict(attack.adversary()) for name, attack in attacks.items()}
        _note(directory / EVALUATIONS, result | more)
        return result | more


def evaluate(
    directory: Path,
    data: str | None,
    split: str,
    *,
    trust: bool = False,
    collapse: bool = False,
    attacks: Mapping[str, RobustAccuracy] = MappingProxyType({}),
) -> dict[str, Any]:
    """Measures an export on a data set, and notes in its ``evaluations.jsonl`` that this was done.

    Args:
        data: data set as ``name`` or ``name:location``; that of the study unless given.
        split: ``test``, or ``validation``: the images that the search measured on, wherever they lie.
        trust: let the plugins that came with the export run.
        collapse: log the neural collapse of the study's training images too.
        attacks: further ones, by the name of their value.

    Raises:
        WrongInputError: if the directory is no export, or the data are not on this machine or do not fit it.
        UntrustedError: if it needs plugins that were never trusted.
        StoppedError: if it cannot be noted; the message holds the values.
    """
    export = Opened.read(directory, trust=trust)
    images = Shown.read(export.settings, data, split)
    export.check_takes(images)
    candidate = candidate_of(export.network, images.samples, export.settings, task=images.task)
    suited = images.attackable(attacks)
    further = {name: float(attack.measure(candidate)) for name, attack in suited.items()}
    measured = measure(candidate, export.settings, export.home) | further
    more = {}
    if collapse:
        more["neural_collapse"] = _collapse(export.network, same_data(export.settings, data).train)
    return images.note(directory, measured, suited, **more)


def _collapse(network: nn.Module, samples: Samples) -> dict[str, float]:
    """Neural-collapse figures of a network on images, by name."""
    if not isinstance(network, Network) or not isinstance(network.classifier, nn.Linear):
        raise WrongInputError(
            "neural collapse is known of one network of classes. Evaluate the members of a pair one by one."
        )
    images, labels = samples.tensors()
    with user_input("--collapse"):
        return asdict(neural_collapse(in_batches(network.features, images), labels, network.classifier.weight.detach()))


def samples_of_test(settings: Settings, dataset: Dataset | None = None) -> Samples:
    """The test images, in the size of the study; whoever reads them writes down that they were used.

    Args:
        dataset: that they are from, unless it is that of the study.
    """
    dataset = dataset or find_dataset(settings.data)
    with user_input("data"):
        samples = dataset.load("test")
    return samples if settings.data.resolution is None else resized(samples, settings.data.resolution)


def _note(path: Path, result: dict[str, Any]) -> None:
    """Appends an evaluation, never through a symbolic link."""
    line = json.dumps(result) + "\n"
    try:
        file = os.open(regular(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            length = os.fstat(file).st_size
            if os.write(file, line.encode()) < len(line.encode()):
                os.ftruncate(file, length)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
    except OSError as error:
        raise StoppedError(
            f"{path} cannot be written ({error.strerror}), so this was not noted: {line.strip()}"
        ) from None


def same_data(settings: Settings, data: str | None = None) -> TrainingData:
    """The training and validation images of a study.

    Args:
        data: data set as ``name`` or ``name:location``, if they lie elsewhere than where the study read them.

    Raises:
        WrongInputError: if they are not on this machine, or are others than those of the study.
    """
    if data is not None:
        settings = replace(settings, data=there(settings, data))
    loaded = load_data(settings)
    found, wanted = data_checksum(loaded), settings.data.checksum
    if wanted is not None and found != wanted:
        raise WrongInputError(
            f"the {loaded.things} of {settings.data.label} are not those of the study: their checksum is {found}, "
            f"that of the study's {wanted}."
        )
    return loaded


def there(settings: Settings, data: str) -> DataSettings:
    """``[data]`` of a study whose data set is ``data``, as ``name`` or ``name:location``, on this machine."""
    found = _on_its_scale(named(data), settings.data)
    return replace(settings.data, name=found.name, options=found.options)


def named(data: str) -> DataSettings:
    """``[data]`` for what a command line names as ``name`` or ``name:location``; relative to the current folder."""
    table = {"name": "data", "objectives": ["accuracy"], "data": {"name": data}}
    return settings_of(table).data


def _on_its_scale(chosen: DataSettings, study: DataSettings) -> DataSettings:
    """``chosen`` with the options that the study's training split has decided, so that pixels mean the same."""
    if chosen.name != study.name:
        return chosen
    same = {key: study.options[key] for key in DATASETS.get(study.name, Dataset).decided if key in study.options}
    return replace(chosen, options={**same, **chosen.options})


def candidate_of(
    network: nn.Module,
    samples: Samples,
    settings: Settings,
    *,
    task: Task,
    surrogates: Mapping[str, Surrogate] | None = None,
) -> Candidate:
    """The network with what a study measures it on."""
    with user_input("data"):  # images that stay in their files are read now
        images, labels = samples.tensors()
    inputs, targets = task.measured(images)
    _, channels, height, width = samples.images.shape
    return Candidate(
        network,
        task.takes((channels, height, width)),
        inputs,
        labels,
        seed=settings.data.part_seed,
        targets=targets,
        surrogates=surrogates or {},
    )


def measure(candidate: Candidate, settings: Settings, home: Path) -> dict[str, float]:
    """Values of the study's objectives that need a trained network, by name.

    Args:
        home: the export, which holds their surrogates.
    """
    objectives = find_objectives(settings)
    candidate = replace(candidate, surrogates=gathered(objectives, home))
    return {name: o.measure(candidate) for name, o in objectives.items() if o.needs == "training"}

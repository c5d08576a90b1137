"""Exported networks measured on a split; use of the test split is written down."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.errors import WrongInputError, user_input
from nas.export.bundle import ARCHITECTURE, EVALUATIONS, load, load_architecture, read_origin
from nas.problem import find_dataset, find_objectives, load_data
from nas.settings import DataSettings, Settings, settings_from, settings_of
from objectives import Candidate
from searchspaces import Architecture, Network
from trainers import DATASETS, Dataset, Samples
from trainers.splits import resized


def evaluate(directory: Path, data: str | None, split: str) -> dict[str, Any]:
    """Measures an export on a data set, and notes in its ``evaluations.jsonl`` that this was done.

    Args:
        data: data set as ``name`` or ``name:location``; that of the study unless given.
        split: ``test``, or ``validation``: the images that the search measured on.

    Raises:
        WrongInputError: if the directory is no export, or the data are not on this machine or do not fit it.
    """
    network = load(directory)
    architecture = load_architecture(directory / ARCHITECTURE)
    settings = settings_from(read_origin(directory)["study"])
    chosen = settings.data if data is None else _on_its_scale(named(data), settings.data)
    dataset, name = find_dataset(chosen), chosen.label
    same = (chosen.name, chosen.options) == (settings.data.name, settings.data.options)
    if split == "test":
        with user_input("data"):
            samples, classes = dataset.load("test"), dataset.classes()
        notes = samples.notes
        if settings.data.resolution is not None:
            samples = resized(samples, settings.data.resolution)
    elif not same:
        raise WrongInputError(f"the validation split of {name} is unknown to this export; use --split test.")
    elif not settings.data.validation:
        raise WrongInputError(f"this network was trained on all training {dataset.things} of {name}; use --split test.")
    else:
        loaded = load_data(settings)
        samples, classes, notes = loaded.validation, loaded.classes, loaded.notes
    if samples.images.shape[1:] != architecture.input or len(classes) != architecture.classes:
        raise WrongInputError(
            f"{name} has {dataset.things} {samples.images.shape[1:]} and {len(classes)} classes, but the network takes "
            f"{architecture.input} and has {architecture.classes} classes."
        )
    result = {
        "data": name,
        "split": split,
        "samples": len(samples),
        "things": dataset.things,
        "notes": list(notes),
        "measured": measure(network, architecture, samples, settings),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with open(directory / EVALUATIONS, "a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    return result


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


def measure(network: Network, architecture: Architecture, samples: Samples, settings: Settings) -> dict[str, float]:
    """Values of the study's objectives that need a trained network, by name."""
    with user_input("data"):  # images that stay in their files are read now
        images, labels = samples.tensors()
    candidate = Candidate(network, architecture.input, images, labels)
    objectives = find_objectives(settings)
    return {name: o.measure(candidate) for name, o in objectives.items() if o.needs == "training"}

"""Taking architectures away: files that hold a network whole, read back and measured again before they count."""

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError

from nas.artifacts import WEIGHTS, weights_path, write_atomically
from nas.errors import StoppedError, WrongInputError, user_input
from nas.plugins import checksum, load_plugins
from nas.problem import find_dataset, find_objectives
from nas.records import TrialRecord
from nas.settings import Settings, construct
from nas.study import Study
from objectives import Candidate
from searchspaces import Architecture, Network, build
from trainers import Samples, training_data
from trainers.data import resized

ARCHITECTURE, CARD, ORIGIN, EVALUATIONS, PLUGINS = (
    "architecture.json",
    "README.md",
    "origin.json",
    "evaluations.jsonl",
    "plugins",
)


@dataclass(frozen=True)
class Exported:
    """An export and what measuring it again gave.

    Args:
        measured: values of the files read back, by objective; empty if they were not measured.
    """

    directory: Path
    record: TrialRecord
    measured: dict[str, float]


def export(study: Study, record: TrialRecord, out: Path, *, verify: bool = True) -> Exported:
    """Writes ``architecture.json``, ``weights.safetensors``, ``README.md``, ``origin.json`` of a trial into ``out``.

    The files are then loaded and measured again on the study's validation images; a fraction may differ from the record
    by one image or 0.005, whichever is more (another processor rounds differently).

    Raises:
        WrongInputError: if the trial has no weights, ``out`` holds something else, or the data are not here.
        StoppedError: if what was written does not measure what the record says.
    """
    weights = weights_path(study.directory, record.number)
    if record.status != "complete" or not weights.exists():
        why = f"it ended {record.status}" if record.status != "complete" else f"{weights} is missing"
        if study.settings.limits.artifacts_gb is not None and why.endswith("missing"):
            why += "; limits.artifacts_gb keeps those of the front"
        raise WrongInputError(f"trial {record.number} has no weights to export: {why}. Pick a complete trial.")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / ARCHITECTURE).exists())):
        raise WrongInputError(f"{out} exists and is no earlier export. Give another place with -o, or remove it.")
    return write_export(record, study.settings, weights, out, verify=verify)


def write_export(record: TrialRecord, settings: Settings, weights: Path, out: Path, *, verify: bool) -> Exported:
    """Writes the files of a trained network into ``out``, and measures them again; see `export`."""
    origin = {
        "study": settings.table(),
        "trial": record.to_json(),
        "plugins": {path: checksum(Path(path)) for path in settings.plugins},
        "exported": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with user_input(str(out)):
        out.mkdir(parents=True, exist_ok=True)
        (out / EVALUATIONS).unlink(missing_ok=True)
    write_atomically(out / ARCHITECTURE, _pretty(record.architecture))
    write_atomically(out / ORIGIN, _pretty(origin))
    for path in settings.plugins:
        write_atomically(out / PLUGINS / Path(path).name, Path(path).read_bytes())
    partial = out / f".{WEIGHTS}"
    shutil.copyfile(weights, partial)
    partial.replace(out / WEIGHTS)
    measured = _measure_again(out, record, settings) if verify else {}
    write_atomically(out / CARD, _card(out, record, settings, measured).encode())
    return Exported(out, record, measured)


def load(directory: str | Path, *, plugins: Iterable[str | Path] = ()) -> Network:
    """The exported network with its weights, in eval mode; maps (B, C, H, W) in [0, 1] to logits.

    Args:
        plugins: files of operators that are not ours. Those that the search used are loaded by themselves while they
            lie where they were, unchanged; elsewhere name the copies in ``directory``, which runs them.

    Raises:
        WrongInputError: if the directory is no export, or its files do not belong together.
    """
    directory = Path(directory)
    load_plugins([*plugins, *(() if plugins else _own_plugins(directory))])
    return load_weights(load_architecture(directory / ARCHITECTURE), directory / WEIGHTS)


def load_weights(architecture: Architecture, path: Path) -> Network:
    """The network of an architecture with the weights of a safetensors file, in eval mode.

    Raises:
        WrongInputError: if the file is missing, damaged or of another network.
    """
    network = build(architecture)
    try:
        network.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise WrongInputError(f"{path.parent} holds no {path.name}. Export again with nas export.") from None
    except (SafetensorError, RuntimeError) as error:
        raise WrongInputError(f"{path} is damaged, or of another network than {ARCHITECTURE}: {error}") from None
    return network.eval()


def _own_plugins(directory: Path) -> list[Path]:
    """The plugin files that the search used, where they still lie unchanged on this machine.

    The copies inside an export are never run unasked: an export may come from somebody else.
    """
    try:
        used: dict[str, str] = json.loads((directory / ORIGIN).read_text(encoding="utf-8")).get("plugins", {})
    except (OSError, ValueError):
        return []
    missing = [path for path, digest in used.items() if not Path(path).is_file() or checksum(Path(path)) != digest]
    if missing:
        copies = ", ".join(repr(str(directory / PLUGINS / Path(path).name)) for path in used)
        raise WrongInputError(
            f"{directory} needs operators of {', '.join(missing)}, which is not on this machine or has changed. "
            f"Read the copies, then load with plugins=[{copies}]."
        )
    return [Path(path) for path in used]


def load_architecture(path: Path) -> Architecture:
    """The architecture of a JSON file as `nas show --json` and `nas export` write it.

    Raises:
        WrongInputError: if it cannot be read.
    """
    try:
        return Architecture.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise WrongInputError(f"{path} does not exist. Write one with nas export or nas show --json.") from None
    except (ValueError, OSError) as error:
        raise WrongInputError(f"{path} is not an architecture: {error}") from None


def evaluate(directory: Path, data: str | None, split: str) -> dict[str, Any]:
    """Measures an export on a data set and notes in it that this was done, so that use of the test split is on record.

    Args:
        data: name of the data set; that of the study unless given.
        split: ``test``, or ``validation``: the images that the search measured on.

    Raises:
        WrongInputError: if the directory is no export, or the data are not here or do not fit it.
    """
    network = load(directory)
    architecture = load_architecture(directory / ARCHITECTURE)
    origin = json.loads((directory / ORIGIN).read_text(encoding="utf-8"))
    settings = construct(Settings, origin["study"], "")
    name = data or settings.data.name
    if split == "test":
        dataset = find_dataset(name)
        with user_input("data"):
            samples, classes = dataset.load("test"), dataset.classes()
        if settings.data.resolution is not None:
            samples = resized(samples, settings.data.resolution)
    elif name != settings.data.name:
        raise WrongInputError(f"the validation split of {name} is unknown to this export; use --split test.")
    elif not settings.data.validation:
        raise WrongInputError(f"this network was trained on all training images of {name}; use --split test.")
    else:
        samples, classes = _validation(settings)
    if samples.images.shape[1:] != architecture.input or len(classes) != architecture.classes:
        raise WrongInputError(
            f"{name} has images {samples.images.shape[1:]} and {len(classes)} classes, but the network takes "
            f"{architecture.input} and tells {architecture.classes} classes apart."
        )
    result = {
        "data": name,
        "split": split,
        "samples": len(samples),
        "measured": _measure(network, architecture, samples, settings),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with open(directory / EVALUATIONS, "a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    return result


def _validation(settings: Settings) -> tuple[Samples, tuple[str, ...]]:
    dataset = find_dataset(settings.data.name)
    with user_input("data"):
        data = training_data(
            dataset,
            limit=settings.data.limit,
            validation=settings.data.validation,
            seed=settings.seed,
            resolution=settings.data.resolution,
        )
    return data.validation, data.classes


def _measure(network: Network, architecture: Architecture, samples: Samples, settings: Settings) -> dict[str, float]:
    """Every objective of the study that needs a trained network."""
    with user_input("data"):  # images that stay in their files are read here
        images, labels = samples.tensors()
    candidate = Candidate(network, architecture.input, images, labels)
    objectives = find_objectives(settings)
    return {name: o.measure(candidate) for name, o in objectives.items() if o.needs == "training"}


def _measure_again(out: Path, record: TrialRecord, settings: Settings) -> dict[str, float]:
    try:
        samples, _ = _validation(settings)
    except WrongInputError as error:
        raise WrongInputError(
            f"the files are written to {out} but not checked: {error} To export without measuring again: --no-verify."
        ) from None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    measured = _measure(load(out), Architecture.from_json(record.architecture), samples, settings)
    torch.set_num_threads(threads)
    for name, value in measured.items():
        allowed = max(0.005, 1 / record.settings[name].get("samples", len(samples)))
        if abs(value - record.measured[name]) > allowed + 1e-9:
            raise StoppedError(
                f"the export in {out} measures {name} = {value:.4f}, but trial {record.number} recorded "
                f"{record.measured[name]:.4f}. Do not use it; check that the data are those of the study."
            )
    return measured


def _pretty(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _card(out: Path, record: TrialRecord, settings: Settings, measured: dict[str, float]) -> str:
    """The README.md of an export."""
    channels, height, width = record.architecture["input"]
    rows = "\n".join(
        f"| {name} | {value:g} | {measured[name]:g} |" if name in measured else f"| {name} | {value:g} | |"
        for name, value in record.measured.items()
    )
    how = "\n".join(f"- {name}: {json.dumps(setting)}" for name, setting in record.settings.items() if setting)
    checked = "read back and measured again" if measured else "not measured again"
    split = "validation images" if settings.data.validation else "a fifth of the training images"
    return f"""# {settings.name}, trial {record.number}

Network `{record.key}` for {channels}x{height}x{width} images and {record.architecture["classes"]} classes, trained by
"{settings.name}" on {settings.data.name}. The files in this folder were {checked} after writing.

| measured on {split} | in the search | this export |
|---|---|---|
{rows}

{how}

## Use

```python
import nas

model = nas.load({str(out)!r})  # nn.Module in eval mode
logits = model(images)  # (B, {channels}, {height}, {width}), pixels in [0, 1]; normalisation is inside
```

`nas evaluate {out} --split test` measures it on the test images, and writes down in `{EVALUATIONS}` that this was done.
"""

"""The files of an export: written, read back, loaded as a network."""

import json
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from nas.errors import WrongInputError, user_input
from nas.plugins import checksum, load_plugins
from nas.pricing import price
from nas.settings import Settings
from nas.store.artifacts import WEIGHTS
from nas.store.files import read_text, write_atomically
from nas.store.records import TrialRecord
from searchspaces import Architecture, Network, build

ARCHITECTURE, CARD, ORIGIN, EVALUATIONS, PLUGINS = (
    "architecture.json",
    "README.md",
    "origin.json",
    "evaluations.jsonl",
    "plugins",
)
LARGEST = 10_000_000
"""Bytes of an architecture file."""


def write_bundle(record: TrialRecord, settings: Settings, weights: bytes, out: Path) -> None:
    """Writes ``architecture.json``, ``origin.json``, plugins and ``weights.safetensors`` of a trained network.

    Raises:
        WrongInputError: if ``out`` cannot be created.
        StoppedError: if a file cannot be written.
    """
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
    write_atomically(out / WEIGHTS, weights)


def write_card(out: Path, record: TrialRecord, settings: Settings, measured: dict[str, float]) -> None:
    """Writes the ``README.md`` of an export.

    Args:
        measured: values of the files read back, by objective; empty if they were not measured.
    """
    write_atomically(out / CARD, _card(out, record, settings, measured).encode())


def read_origin(directory: Path) -> dict[str, Any]:
    """The content of ``origin.json``: the study, the trial and the plugins that the network came from."""
    origin: dict[str, Any] = json.loads((directory / ORIGIN).read_text(encoding="utf-8"))
    return origin


def load(directory: str | Path, *, plugins: Iterable[str | Path] = ()) -> Network:
    """The exported network with its weights, in eval mode; maps (B, C, H, W) in [0, 1] to logits.

    Args:
        plugins: files of the user's own operators. Those that the search used are loaded without being named while
            they are where they were, unchanged; elsewhere name the copies in ``directory``, which runs them.

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
    try:
        _check_size(architecture, path)
        network = build(architecture)
        network.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise WrongInputError(f"{path.parent} holds no {path.name}. Export again with nas export.") from None
    except (SafetensorError, RuntimeError, ValueError, OSError) as error:
        raise WrongInputError(f"{path} is damaged, or of another network than {ARCHITECTURE}: {error}") from None
    return network.eval()


def _check_size(architecture: Architecture, path: Path) -> None:
    """Refuses weights that are not enough for a network before its memory is allocated.

    Raises:
        ValueError: if the file holds less, or the network cannot be built.
    """
    price(architecture)
    with torch.device("meta"):
        needed = sum(tensor.nbytes for tensor in build(architecture).state_dict().values())
    if (size := path.stat().st_size) < needed:
        raise ValueError(f"the file has {size:,} bytes, the network's tensors {needed:,}")


def _own_plugins(directory: Path) -> list[Path]:
    """The plugin files that the search used, if they are still on this machine, unchanged.

    The copies inside an export are only run on request: an export may come from somebody else.
    """
    try:
        used: dict[str, str] = read_origin(directory).get("plugins", {})
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
        return Architecture.from_json(json.loads(read_text(path, LARGEST)))
    except FileNotFoundError:
        raise WrongInputError(f"{path} does not exist. Write one with nas export or nas show --json.") from None
    except (ValueError, OSError, RecursionError) as error:
        raise WrongInputError(f"{path} is not an architecture: {error}") from None


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

`nas evaluate {shlex.quote(str(out))} --split test` measures it on the test images, and writes down in
`{EVALUATIONS}` that this was done.
"""

"""The files of an export: written, read back, loaded as a network.

They are data: loading runs no code but that of this project and of plugins that the user has named or trusted. Their
SHA-256 stand in ``SHA256SUMS`` (``sha256sum -c SHA256SUMS``), so that a changed byte is noticed.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from nas.errors import WrongInputError, regular
from nas.export.config import CONFIG, config_of, published, read_config, read_document
from nas.export.ensemble import (
    PROBE,
    Ensemble,
    Probed,
    Recipe,
    SmoothedPair,
    member_folders,
    read_recipe,
)
from nas.export.seeds import Seed, from_json, rebuilt, seeds_of, to_json
from nas.plugins import FOLDER, Plugin, load_plugins, load_trusted, named, read_copies
from nas.plugins import trust as trust_all
from nas.pricing import price
from nas.problem import network_of
from nas.settings import Settings, portable, settings_from
from nas.store.artifacts import WEIGHTS
from nas.store.files import read_text, write_atomically
from nas.store.records import TrialRecord
from nas.trial import serialize
from searchspaces import Architecture, Network, build
from searchspaces.layers.draws import Draw, drawn

ARCHITECTURE = "architecture.json"
"""Where exports of earlier versions have what is in `CONFIG` now; their weights are in `WEIGHTS`."""
MODEL, ORIGIN, EVALUATIONS, SUMS = (
    "model.safetensors",
    "origin.json",
    "evaluations.jsonl",
    "SHA256SUMS",
)
LARGEST = 10_000_000
"""Bytes of an architecture file."""


def write_bundle(
    record: TrialRecord,
    settings: Settings,
    plugins: Sequence[Plugin],
    weights: bytes,
    out: Path,
    *,
    drawn_of: Sequence[TrialRecord] = (),
) -> None:
    """Writes ``config.json``, ``origin.json``, plugins and ``model.safetensors`` of a trained network.

    Args:
        drawn_of: trials whose seeds its frozen tensors may have, which are then stored as seeds (`nas.export.seeds`).

    Raises:
        WrongInputError: if the weights are damaged or not finite.
        StoppedError: if a file cannot be written.
    """
    try:
        tensors = safetensors.torch.load(weights)
        _check_finite(tensors)
    except (SafetensorError, ValueError) as error:
        raise WrongInputError(f"the weights of trial {record.number} cannot be exported: {error}.") from None
    copies = named(plugins)
    origin = {
        "study": published(portable(settings, copies)),
        "trial": record.to_json(),
        "plugins": {name: plugin.digest for name, plugin in copies.items()},
        "exported": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with torch.device("meta"):
        places = build(network_of(record))
    seeds = seeds_of(places, tensors, _draws(drawn_of)) if drawn_of else {}
    digest = {"weights": {"sha256": hashlib.sha256(weights).hexdigest()}}
    write_atomically(out / CONFIG, _pretty(config_of(record, settings) | digest | to_json(seeds)))
    write_atomically(out / ORIGIN, _pretty(origin))
    for name, plugin in copies.items():
        write_atomically(out / FOLDER / name, plugin.source)
    if seeds:
        weights = safetensors.torch.save({name: tensor for name, tensor in tensors.items() if name not in seeds})
    write_atomically(out / MODEL, weights)


def _draws(records: Iterable[TrialRecord]) -> list[Draw]:
    """All that was drawn of trials before they were trained."""
    return [draw for record in records for draw in drawn(build(network_of(record), seed=record.seed)).values()]


def write_sums(out: Path) -> None:
    """Writes the checksums of all files of an export."""
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    lines = [f"{_sha256(out / name)}  {name}\n" for name in files if name not in (SUMS, EVALUATIONS)]
    write_atomically(out / SUMS, "".join(lines).encode())


def architecture_path(directory: Path) -> Path:
    """The file of an export that holds the architecture: ``config.json``, or what earlier versions wrote."""
    old = directory / ARCHITECTURE
    return old if old.exists() and not (directory / CONFIG).exists() else directory / CONFIG


def model_path(directory: Path) -> Path:
    """The file of an export that holds the weights."""
    old = directory / WEIGHTS
    return old if old.exists() and not (directory / MODEL).exists() else directory / MODEL


def read_sums(directory: Path) -> dict[str, str]:
    """File of an export -> SHA-256 that was written down; empty for an export without checksums.

    Raises:
        WrongInputError: if they cannot be read.
    """
    path = directory / SUMS
    try:
        lines = regular(path).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{path} is damaged ({error}). Restore it from a copy, or export again.") from None
    for name in sums:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise WrongInputError(f"{path} names {name!r}, which is outside the export. Export again.")
    return sums


def check_sums(directory: Path) -> None:
    """Checks the files of an export against their checksums.

    Raises:
        WrongInputError: naming the first file that is missing or was changed.
    """
    for name, digest in read_sums(directory).items():
        try:
            found = _sha256(directory / name)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise WrongInputError(f"{directory} holds no {name} ({why}). Export again with nas export.") from None
        if found != digest:
            raise WrongInputError(
                f"{directory / name} is damaged: it is not what was exported. Restore it from a copy or export again; "
                f"if you changed it yourself, delete its line in {SUMS}."
            )


@dataclass(frozen=True)
class Origin:
    """Where an exported network comes from: ``origin.json``, read part by part, so that old exports can be loaded.

    Raises (each property):
        WrongInputError: if that part is missing or damaged.
    """

    path: Path
    content: dict[str, Any]

    @property
    def settings(self) -> Settings:
        """Those of the study, resolved."""
        with self._part("study"):
            return settings_from(self.content["study"])

    @property
    def record(self) -> TrialRecord:
        """The trial that it was."""
        with self._part("trial"):
            return TrialRecord.from_json(self.content["trial"])

    @property
    def plugins(self) -> dict[str, str]:
        """Name of each copy of a plugin -> SHA-256; before those were written down, shorter digests of their paths."""
        with self._part("plugins"):
            plugins = self.content.get("plugins", {})
            if not isinstance(plugins, dict) or not all(isinstance(digest, str) for digest in plugins.values()):
                raise ValueError("it must be an object of checksums")
            return {Path(name).name: digest for name, digest in plugins.items()}

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            raise WrongInputError(f"{self.path} is damaged ({name}: it lacks {error}). Export again.") from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise WrongInputError(f"{self.path} is damaged ({name}: {error}). Export again.") from None


def read_origin(directory: Path) -> Origin:
    """The content of ``origin.json``.

    Raises:
        WrongInputError: if it is missing or no JSON object.
    """
    path = directory / ORIGIN
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WrongInputError(f"{directory} is no export: it holds no {ORIGIN}. Write one with nas export.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise WrongInputError(f"{path} is damaged ({error}). Export again.") from None
    if not isinstance(content, dict):
        raise WrongInputError(f"{path} is damaged (it is no JSON object). Export again.")
    return Origin(path, content)


def load(directory: str | Path, *, plugins: Iterable[str | Path] = (), trust: bool = False) -> nn.Module:
    """The exported network with its weights, in eval mode; maps (B, C, H, W) in [0, 1] to logits.

    A `Network`, or for what `nas pair` wrote the networks put together, an `Ensemble`.

    Args:
        plugins: files of the user's own operators, which are run in place of the copies in ``directory``.
        trust: let those copies run, now and later; needless where the search ran or they were trusted before.

    Raises:
        WrongInputError: if the directory is no export, or its files do not belong together.
        UntrustedError: if it needs plugins that were never trusted.
    """
    directory, plugins = Path(directory), list(plugins)
    check_sums(directory)
    recipe = read_recipe(directory)
    if recipe is None:
        return load_network(directory, plugins=plugins, trust=trust)
    return assembled(
        recipe, [load_network(f, plugins=plugins, trust=trust) for f in member_folders(directory)], directory
    )


def load_network(directory: Path, *, plugins: Sequence[str | Path] = (), trust: bool = False) -> Network:
    """One exported network; see `load`."""
    check_sums(directory)
    if plugins:
        load_plugins(plugins)
    else:
        copies = read_plugins(directory)
        if trust:
            trust_all(copies)
        load_trusted(copies, directory)
    path = architecture_path(directory)
    return load_weights(load_architecture(path), model_path(directory), read_seeds(path))


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch compute with one thread, as trials do, so that sums are added up in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def features(network: Network) -> int:
    """Number of what the classifier of a network reads.

    Raises:
        WrongInputError: if it has none, because it returns no classes.
    """
    if not isinstance(network.classifier, nn.Linear):
        raise WrongInputError(
            "a pair is for classification, but a member returns no classes. Pair networks of classes."
        )
    return network.classifier.in_features


def assembled(recipe: Recipe, members: Sequence[Network], directory: Path) -> Ensemble:
    """The members of an export as one network.

    Raises:
        WrongInputError: if they do not take the same images and classes, or their probe is damaged.
    """
    width = sum(features(member) for member in members)
    architectures = [load_architecture(architecture_path(folder)) for folder in member_folders(directory)]
    if len({(a.input, a.classes) for a in architectures}) > 1:
        raise WrongInputError(f"the members of {directory} take different images or classes. Pair others.")
    if recipe.smoothing is not None:
        return SmoothedPair(members, recipe.smoothing)
    path = directory / PROBE
    shapes = {
        "weight": (architectures[0].classes, width),
        "bias": (architectures[0].classes,),
    }
    try:
        tensors = safetensors.torch.load_file(regular(path))
        _check_finite(tensors)
        for name, shape in shapes.items():
            if name not in tensors or tensors[name].shape != shape or tensors[name].dtype != torch.float32:
                raise ValueError(f"it holds no {name} of shape {shape} in float32")
    except FileNotFoundError:
        raise WrongInputError(f"{directory} holds no {path.name}. Pair again with nas pair.") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise WrongInputError(f"{path} is damaged, or of other members: {error}") from None
    return Probed(members, tensors["weight"], tensors["bias"])


def read_plugins(directory: Path) -> list[Plugin]:
    """The copies of plugins in an export; reading them runs nothing.

    Raises:
        WrongInputError: if one is missing or was changed.
    """
    if not (directory / ORIGIN).exists():
        return []
    return read_copies(directory, read_origin(directory).plugins)


def load_weights(architecture: Architecture, path: Path, seeds: Mapping[str, Seed] = MappingProxyType({})) -> Network:
    """The network of an architecture with the weights of a safetensors file, in eval mode.

    Args:
        seeds: of tensors that the file lacks.

    Raises:
        WrongInputError: if the file is missing, damaged, of another network, or holds what is no finite number.
    """
    try:
        tensors = safetensors.torch.load_file(regular(path))
        _check_size(architecture, tensors, sum(seed.numbers for seed in seeds.values()))
        network = build(architecture)
        tensors |= rebuilt(network, seeds)
        _compare(network.state_dict(), tensors)
        remade = network_buffers(network)
        network.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in remade})
    except FileNotFoundError:
        raise WrongInputError(f"{path.parent} holds no {path.name}. Export again with nas export.") from None
    except (SafetensorError, RuntimeError, ValueError, OSError) as error:
        raise WrongInputError(f"{path} is damaged, or of another network than the architecture: {error}") from None
    return network.eval()


def network_buffers(network: nn.Module) -> set[str]:
    """Names of buffers that a network makes anew when it is built; ``model.py`` reads them from the weights."""
    return {name for name, _ in network.named_buffers()} - network.state_dict().keys()


def _check_finite(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are no finite numbers")


def check_tensors(architecture: Architecture, tensors: Mapping[str, Tensor]) -> None:
    """Refuses weights that are not those of a network, which is not allocated.

    Raises:
        ValueError: if there are others or fewer, or of another type, or no finite numbers; or the network cannot be.
    """
    _check_size(architecture, tensors)
    with torch.device("meta"):
        wanted = build(architecture).state_dict()
    _compare(wanted, tensors)


def _check_size(architecture: Architecture, tensors: Mapping[str, Tensor], further: int = 0) -> None:
    """Raises ValueError if a network cannot be, or is larger than its weights: a build would take more memory.

    Args:
        further: numbers, of which there are seeds.
    """
    parameters = price(architecture).total.parameters
    held = sum(tensor.numel() for tensor in tensors.values()) + further
    if held < parameters:
        raise ValueError(f"it holds {held:,} numbers, the network has {parameters:,} parameters")


def _compare(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    for name, own in wanted.items():
        if name not in tensors or tensors[name].shape != own.shape:
            raise ValueError(f"it holds no {name} of shape {tuple(own.shape)}")
        if tensors[name].dtype != own.dtype:
            raise ValueError(f"{name} is {_dtype(tensors[name])}, the network has {_dtype(own)}")
    _check_finite(tensors)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def load_architecture(path: Path) -> Architecture:
    """The architecture of a JSON file as `nas show --json` and `nas export` (``config.json``) write it.

    Raises:
        WrongInputError: if it cannot be read.
    """
    try:
        return Architecture.from_json(read_document(read_text(path, LARGEST)))
    except FileNotFoundError:
        raise WrongInputError(f"{path} does not exist. Write one with nas export or nas show --json.") from None
    except (ValueError, OSError, RecursionError) as error:
        raise WrongInputError(f"{path} is not an architecture: {error}") from None


def read_seeds(path: Path) -> dict[str, Seed]:
    """The seeds of frozen tensors in ``config.json``; none in what earlier versions wrote.

    Raises:
        WrongInputError: if they cannot be read.
    """
    try:
        return from_json(read_config(read_text(path, LARGEST)))
    except (ValueError, OSError, RecursionError) as error:
        raise WrongInputError(f"{path} cannot be read: {error}.") from None


def full_weights(directory: Path) -> bytes:
    """All tensors of an export as the bytes of a safetensors file, those of which it holds seeds too.

    Raises:
        WrongInputError: as `load_weights`.
    """
    path = architecture_path(directory)
    network = load_weights(load_architecture(path), model_path(directory), seeds := read_seeds(path))
    return serialize(network) if seeds else regular(model_path(directory)).read_bytes()


def weights_digest(directory: Path) -> str | None:
    """SHA-256 of the weights of an export in full; None if there are none. Nothing is checked."""
    try:
        config = read_config(read_text(directory / CONFIG, LARGEST))
        return str(config["weights"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        sums = read_sums(directory)
        return sums.get(MODEL, sums.get(WEIGHTS))


def _sha256(path: Path) -> str:
    with open(regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pretty(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()

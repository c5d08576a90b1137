"""Surrogates of transfer attacks: networks beside the candidates, copied into a study directory or trained there.

An objective names each by the path of an export, or by a known architecture (`searchspaces.known.SURROGATES`) that the
study's own trainer trains once. A study directory and an export hold copies below `FOLDER`, named by what is in them,
so that they are complete; a resolved study names these copies. They are data: none runs a plugin that came with it.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from nas.errors import StoppedError, WrongInputError, user_input
from nas.export.bundle import (
    ARCHITECTURE,
    ORIGIN,
    architecture_path,
    check_sums,
    full_weights,
    load_architecture,
    read_plugins,
)
from nas.export.config import CONFIG
from nas.export.ensemble import ENSEMBLE, MEMBERS
from nas.settings import Settings
from nas.store.artifacts import WEIGHTS
from nas.store.files import new_folder, read_text, write_atomically
from nas.store.records import trial_seed
from nas.store.surrogates import FOLDER, Surrogate
from nas.trial import TrialPlan, run_trial, serialize
from objectives import OBJECTIVES, Objective
from objectives.robust_accuracy import RobustAccuracy
from searchspaces import Architecture, Shape, build
from searchspaces.architecture import answer
from searchspaces.known import SURROGATES
from searchspaces.registry import unknown
from trainers import Trainer, TrainingData

TRAINED = "trained.json"
LARGEST = 100_000
"""Bytes of `TRAINED`."""
Say = Callable[[str], None]


def keep(surrogate: Surrogate, home: Path) -> None:
    """Stores a surrogate below ``home``, unless it is there.

    Raises:
        StoppedError: if it cannot be written.
    """
    place = home / FOLDER / surrogate.digest
    if place.exists():
        return
    with new_folder(place) as folder:
        write_atomically(folder / ARCHITECTURE, (json.dumps(surrogate.architecture, indent=2) + "\n").encode())
        write_atomically(folder / WEIGHTS, surrogate.weights)
        if surrogate.trained is not None:
            write_atomically(folder / TRAINED, (json.dumps(surrogate.trained, indent=2) + "\n").encode())


def read_surrogate(path: Path) -> Surrogate:
    """The network of an export, or of a copy below `FOLDER`; no plugin runs.

    Raises:
        WrongInputError: if it is none, damaged, or needs an operator that no plugin of the user has.
    """
    if (path / ENSEMBLE).exists():
        raise WrongInputError(f"surrogate {path} is several networks. Name one of them, as {path / MEMBERS / '0'}.")
    if not architecture_path(path).exists():
        raise WrongInputError(f"surrogate {path} is no export: it holds no {CONFIG}. Write one with nas export.")
    check_sums(path)
    try:
        architecture = load_architecture(architecture_path(path))
    except WrongInputError as error:
        plugins = ", ".join(plugin.name for plugin in read_plugins(path)) if (path / ORIGIN).exists() else ""
        hint = f" A surrogate runs none of its own plugins ({plugins}); name what it needs in plugins of the study."
        raise WrongInputError(f"{error}{hint if plugins else ''}") from None
    weights = full_weights(path)
    try:
        trained = json.loads(read_text(path / TRAINED, LARGEST)) if (path / TRAINED).exists() else None
        if trained is not None and trained["name"] not in SURROGATES:
            raise ValueError(f"it names {trained['name']!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongInputError(f"{path / TRAINED} is damaged ({error}). Restore it from a copy.") from None
    return Surrogate(architecture.to_json(), weights, trained)


def transferring(objectives: Mapping[str, Objective]) -> dict[str, RobustAccuracy]:
    """The objectives that need surrogates, by name."""
    return {name: o for name, o in objectives.items() if isinstance(o, RobustAccuracy) and o.transfers}


def resolved(
    objectives: Mapping[str, Objective], data: TrainingData, home: Path | None = None
) -> tuple[dict[str, Objective], dict[str, Surrogate]]:
    """The objectives with the names that their surrogates have in a study directory, and those that were exports.

    Args:
        home: a study directory, whose names stay.

    Raises:
        WrongInputError: if one is unknown, damaged, or for other images or classes.
    """
    found, copies = dict(objectives), dict[str, Surrogate]()
    for name, objective in transferring(objectives).items():
        names = []
        for given in list(SURROGATES) if objective.surrogates is None else objective.surrogates:
            if home is not None and given.startswith(f"{FOLDER}/") and (home / given).exists():
                names.append(given)
            elif "/" in given:
                with user_input(f"objective {name!r}: surrogate {given[:200]}"):  # a name that no file system takes
                    one = replace(read_surrogate(Path(given)), trained=None)
                _check_fit(one, f"objective {name!r}: surrogate {given}", data.input, data.outputs)
                copies[one.name] = one
                names.append(one.name)
            elif given in SURROGATES:
                names.append(given)
            else:
                raise WrongInputError(
                    f"objective {name!r}: {unknown('surrogate', given, SURROGATES)} The path of an export has a slash "
                    f"in it, as ./{given}."
                )
        found[name] = replace(objective, surrogates=list(dict.fromkeys(names)))
    return found, copies


def _check_fit(surrogate: Surrogate, where: str, input: Shape, outputs: int | Shape) -> None:
    architecture = Architecture.from_json(surrogate.architecture)
    if (architecture.input, architecture.outputs) != (input, outputs):
        raise WrongInputError(
            f"{where} takes {architecture.input} and has {answer(architecture.outputs)}, but the data of the study "
            f"have {input} and {answer(outputs)}. Name one that was trained on such data, or none for the default pool."
        )


def gathered(objectives: Mapping[str, Objective], home: Path) -> dict[str, Surrogate]:
    """The surrogates of resolved objectives, by name, from the copies below ``home``.

    Raises:
        WrongInputError: if one is missing or damaged.
    """
    needing = transferring(objectives)
    kept = _kept(home) if needing else {}
    for name, objective in needing.items():
        for wanted in objective.surrogates or ():
            if wanted not in kept:
                raise WrongInputError(
                    f"objective {name!r} needs the surrogate {wanted!r}, but {home / FOLDER} does not hold it. Restore "
                    "it from a copy, or leave that objective out."
                )
    return {name: kept[name] for name in _wanted(objectives)}


def _wanted(objectives: Mapping[str, Objective]) -> list[str]:
    return list(dict.fromkeys(n for o in transferring(objectives).values() for n in o.surrogates or ()))


def _kept(home: Path) -> dict[str, Surrogate]:
    """All surrogates below ``home``, by name."""
    place, found = home / FOLDER, dict[str, Surrogate]()
    for folder in sorted(place.iterdir()) if place.is_dir() else ():
        if folder.name.startswith("."):
            continue
        one = read_surrogate(folder)
        if one.digest != folder.name:
            raise WrongInputError(f"{folder} is not what was stored there. Restore it from a copy, or delete it.")
        found[one.name] = one
    return found


def supplied(
    objectives: Mapping[str, Objective],
    copies: Mapping[str, Surrogate],
    home: Path,
    *,
    settings: Settings,
    data: TrainingData,
    trainer: Trainer,
    say: Say,
) -> dict[str, Surrogate]:
    """The surrogates of resolved objectives, by name: stores ``copies`` below ``home``, trains what is missing there.

    Raises:
        WrongInputError: as `gathered`.
        StoppedError: if a training failed, or a file cannot be written.
    """
    if not transferring(objectives):
        return {}
    for one in copies.values():
        keep(one, home)
    there = _kept(home)
    for name in [name for name in _wanted(objectives) if name in SURROGATES and name not in there]:
        keep(train_surrogate(name, settings, data, trainer, say), home)
    return gathered(objectives, home)


def train_surrogate(name: str, settings: Settings, data: TrainingData, trainer: Trainer, say: Say) -> Surrogate:
    """A known architecture trained as the trials of a study are, from a seed that no trial has.

    Raises:
        StoppedError: if that failed.
    """
    started, seed = time.perf_counter(), trial_seed(settings.seed, 0, f"surrogate {name}")
    architecture = SURROGATES[name](data.input, len(data.classes))
    accuracy = {"accuracy": OBJECTIVES["accuracy"]()}
    plan = TrialPlan.of(settings, architecture, trainer=trainer, objectives=accuracy, seed=seed)
    outcome = run_trial(replace(plan, timeout_seconds=None, checkpoint_seconds=0.0), data)
    record = outcome.record
    if outcome.weights is None:
        raise StoppedError(f"the surrogate {name!r} could not be trained ({record.failure}): {record.error}")
    value = record.measured["accuracy"]
    say(f"surrogate {name} trained in {time.perf_counter() - started:.1f} s: accuracy {value:.4f}")
    how = {"name": name, "seed": seed, **record.fidelity, "accuracy": float(value)}
    return Surrogate(architecture.to_json(), outcome.weights, how)


def untrained(objectives: Mapping[str, Objective], data: TrainingData) -> dict[str, Surrogate]:
    """Stand-ins, of the same cost, for the surrogates that are to be trained, by name."""
    found = {}
    for name in _wanted(objectives):
        if name in SURROGATES:
            architecture = SURROGATES[name](data.input, len(data.classes))
            found[name] = Surrogate(architecture.to_json(), serialize(build(architecture)), {"name": name})
    return found

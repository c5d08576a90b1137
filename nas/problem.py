"""A study's settings turned into what they name: data, space, trainer, objectives, bounds, reference point."""

import dataclasses
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import WrongInputError, user_input
from nas.pricing import Probe
from nas.settings import DATA_KEYS, DataSettings, Settings, check_type, construct
from nas.store.records import TrialRecord
from nas.store.surrogates import Surrogate
from objectives import OBJECTIVES, Goal, Objective, as_value, to_minimise
from objectives.attacks import Attack, make_attack
from objectives.attacks.transfer import Transfer
from objectives.objective import tasks_of
from searchspaces import SEARCH_SPACES, Architecture, SearchSpace, Shape
from searchspaces.heads import fitted
from searchspaces.registry import lookup, unknown
from trainers import DATASETS, PRESETS, TRAINERS, Adversarial, Dataset, Trainer, TrainingData, training_data

NOTED = 3
"""Pairs of choices of which it is said that some of their options cannot be built together."""


def find_dataset(settings: DataSettings) -> Dataset:
    """The data set of ``[data]`` with its options.

    Raises:
        WrongInputError: if there is none of that name, or an option is unknown or has an impossible value.
    """
    with user_input("data.name"):
        kind = lookup(DATASETS, "data set", settings.name)
    takes = {field.name for field in dataclasses.fields(kind)}
    for key in settings.options:
        if key not in takes:
            raise WrongInputError(f"[data] has an {unknown('key', key, DATA_KEYS | takes)}")
    return construct(kind, settings.options, "data")


def load_data(settings: Settings) -> TrainingData:
    """The training and validation images of a study.

    Raises:
        WrongInputError: if they are not on this machine, or are damaged or too few.
    """
    dataset, data = find_dataset(settings.data), settings.data
    with user_input("data"):
        try:
            return training_data(
                dataset, limit=data.limit, validation=data.validation, seed=settings.seed, resolution=data.resolution
            )
        except MemoryError:
            raise ValueError("the images do not fit into memory. Set data.limit, or a smaller resolution.") from None


def find_objectives(settings: Settings, dataset: Dataset | None = None) -> dict[str, Objective]:
    """The objectives of the front, then those that only bound it, by the study's name for them.

    Args:
        dataset: that settings left open are to suit, such as the radius of attacks.

    Raises:
        WrongInputError: if one is unknown, its settings are wrong, or a bound is on what is to be large.
    """
    found: dict[str, Objective] = {}
    used = (*settings.objectives, *settings.bounds)
    for name in settings.objective.keys() - {*used, *OBJECTIVES}:
        raise WrongInputError(f"[objective.{name}]: {unknown('objective', name, {*used, *OBJECTIVES})}")
    for name in dict.fromkeys((*used, *settings.objective)):
        table = {"kind": name, **settings.objective.get(name, {})}
        where = f"bounds.{name}" if name in settings.bounds else f"[objective.{name}]"
        with user_input(f"objective {name!r}" if name in settings.objectives else where):
            kind = lookup(OBJECTIVES, "objective", table.pop("kind"))
        objective = construct(kind, table, f"objective.{name}")
        if name not in used:  # checked all the same: it may be searched for next
            continue
        found[name] = objective
        if dataset is not None:
            check_task(name, objective, dataset)
            found[name] = found[name].suited(dataset)
    for name, bound in settings.bounds.items():
        if found[name].direction != "minimize":
            raise WrongInputError(
                f"bounds.{name}: a bound is the most that something may be, but {name} is to be maximized. "
                f"Make it an objective, and state under [prefer] what it must reach."
            )
        if not bound > 0:
            raise WrongInputError(f"bounds.{name} must be positive, got {bound}.")
    return found


def check_task(name: str, objective: Objective, dataset: Dataset) -> None:
    """Makes sure that an objective is for what is learnt from a data set.

    Raises:
        WrongInputError: if it is for another task.
    """
    task = dataset.poses().name
    if objective.task and task not in tasks_of(objective):
        others = ", ".join(sorted(other for other, kind in OBJECTIVES.items() if task in tasks_of(kind)))
        raise WrongInputError(
            f"objective {name!r} is for {' and '.join(tasks_of(objective))}, but what is learnt from {dataset.name} is "
            f"{task}. Objectives for that: {others}; and all costs."
        )


def check_records(records: Iterable[TrialRecord], objectives: Mapping[str, Goal], log: Path) -> None:
    """Makes sure that what was measured lies in the range of its objective, and that nothing is missing.

    Args:
        objectives: of the front, by name.
        log: that the records are from.

    Raises:
        WrongInputError: naming the first trial of which that does not hold.
    """
    for record in records:
        with user_input(f"{log}, trial {record.number} is damaged"):
            for name, objective in objectives.items():
                if name in record.measured:
                    as_value(name, objective, record.measured[name])
                elif record.status == "complete":
                    raise ValueError(f"it is complete without a value of {name}. Restore the file from a copy.")


def network_of(record: TrialRecord) -> Architecture:
    """The architecture of a trial.

    Raises:
        WrongInputError: if the record is damaged, or a plugin of the search is not loaded.
    """
    with user_input(f"the architecture of trial {record.number}"):
        return Architecture.from_json(record.architecture)


def find_trainer(settings: Settings, dataset: Dataset | None = None) -> Trainer:
    """The trainer of ``[training]``.

    Args:
        dataset: that settings left open are to suit.

    Raises:
        WrongInputError: if it is unknown, its settings are wrong or it cannot train on the data.
    """
    table = {"kind": "supervised", **settings.training}
    with user_input("training"):
        if "preset" in table:
            table = {**lookup(PRESETS, "preset", table.pop("preset")), **table}
        kind = lookup(TRAINERS, "trainer", table.pop("kind"))
    handed = {"attacks": training_attack} if issubclass(kind, Adversarial) else {}
    found = construct(kind, table, "training", **handed)
    with user_input("training"):
        return found if dataset is None else found.suited(dataset)


def check_inheritance(trainer: Trainer, settings: Settings) -> None:
    """Makes sure that trials may begin with the weights of others, if they are to.

    Raises:
        WrongInputError: if a network is to be trained more than once.
    """
    search = settings.search
    if trainer.inherit and (search.rungs is not None or search.replicates):
        other = "[search.rungs]" if search.rungs is not None else "search.replicates"
        raise WrongInputError(
            f"training.inherit does not go with {other}: trainings of one network would begin with different weights, "
            "and say nothing of each other. Leave one of them out."
        )


def training_attack(name: str, epsilon: float | str | None, steps: int | None, options: Mapping[str, Any]) -> Attack:
    """An attack on the network that is trained; see `make_attack`.

    Raises:
        ValueError: as `make_attack`, and for one that attacks other networks.
    """
    found = make_attack(name, epsilon, steps, options)
    if isinstance(found, Transfer):
        raise ValueError(
            f"attack {name!r} makes its images on surrogates; a training attacks the network that it trains. Take "
            "attack = 'pgd'."
        )
    return found


def find_space(settings: Settings, input: Shape, outputs: int | Shape) -> SearchSpace:
    """The search space of ``[space]`` for images ``input`` = (C, H, W), narrowed as the study says.

    Spaces are of classifiers; for ``outputs`` (C, H, W) each network gets the head that makes them. A space that takes
    ``outputs`` chooses a head that forecasts itself.

    Raises:
        WrongInputError: if it is unknown, its settings are wrong or a choice is narrowed to what it cannot be.
    """
    table = dict(settings.space)
    choices = check_type(dict[str, Any], table.pop("choices", {}), "space.choices")
    removed = check_type(list[str], table.pop("remove", []), "space.remove")
    tied = check_type(list[str], table.pop("tie", []), "space.tie")
    kind = table.pop("kind", None)
    with user_input("space"):
        if kind is None:
            raise ValueError(f"kind is missing. Known: {', '.join(sorted(SEARCH_SPACES))}.")
        factory = lookup(SEARCH_SPACES, "search space", kind)
    classes = outputs if isinstance(outputs, int) else 1
    made = {"outputs": None if classes == outputs else outputs} if "outputs" in signature(factory).parameters else {}
    space = construct(factory, table, "space", input=input, classes=classes, **made)
    if classes != outputs:
        decoded = space.to_architecture
        aligned = find_dataset(settings.data).poses().aligned
        space = replace(space, to_architecture=lambda picks: fitted(decoded(picks), outputs, aligned=aligned))
    with user_input("space.choices"):
        space = space.narrow(dotted(choices))
    with user_input("space.tie"):
        space = space.tie(tied)
    with user_input("space.remove"):
        return space.remove(removed)


def dotted(choices: Mapping[str, Any]) -> dict[str, Any]:
    """``{"s1": {"kernel": 3}}``, as TOML reads ``s1.kernel = 3``, with dotted names."""
    names: dict[str, Any] = {}
    for name, value in choices.items():
        deeper = isinstance(value, dict) and value
        names |= {f"{name}.{k}": v for k, v in dotted(value).items()} if deeper else {name: value}
    return names


def check_space(settings: Settings, probe: Probe) -> tuple[SearchSpace, list[str]]:
    """The space without the options with which nothing can be built, and what is to be said of that.

    Raises:
        ValueError: if the study itself asks for such an option, or no candidate can be built.
    """
    dead, pairs = probe.check_options()
    asked, notes, space = dotted(settings.space.get("choices", {})), [], probe.space
    for choice in space.choices:
        reasons = dead.get(choice.name, {})
        left = [option for option in choice.options if option not in reasons]
        if reasons and (not left or choice.name in asked or choice.short in asked):
            option, reason = next(iter(reasons.items()))
            raise ValueError(f"{choice.name} = {option} cannot be built: {reason}")
        if reasons:
            space = space.narrow({choice.name: left})
            gone = ", ".join(map(str, reasons))
            notes.append(f"{choice.name} is searched without {gone}: {next(iter(reasons.values()))}")
    told = [f"candidates that cannot be built are refused: {reason}" for reason in list(pairs.values())[:NOTED]]
    return space, notes + told


@dataclass(frozen=True)
class Problem:
    """Everything that a search needs besides its log.

    Args:
        settings: resolved: every default that matters to a result is written out.
        objectives: those of the front first, then those that only bound it.
        bounds: largest value of a cost that is known before training, by name.
        reference: reference point of the hypervolume in costs, one for each objective of the front.
        surrogates: of the objectives, by the names that they have for them.
        notes: what is to be said before the search, of the data and of what cannot be built.
    """

    settings: Settings
    data: TrainingData
    space: SearchSpace
    trainer: Trainer
    objectives: dict[str, Objective]
    bounds: dict[str, float]
    reference: np.ndarray
    surrogates: Mapping[str, Surrogate] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "Problem":
        """The problem that a study file states; loads the data.

        Raises:
            WrongInputError: naming the key of the study that cannot be used, and why.
        """
        if not settings.data.validation:
            raise WrongInputError("data.validation must be above 0: a search compares what it has not trained on.")
        known = {*settings.objectives, *settings.objective, *OBJECTIVES}  # one that is not searched for is no mistake
        for name in settings.reference.keys() - known:
            raise WrongInputError(f"[reference]: {unknown('objective', name, known)}")
        for name in settings.prefer.keys() - {*settings.objectives}:
            raise WrongInputError(f"[prefer]: {unknown('objective', name, settings.objectives)}")
        dataset = find_dataset(settings.data)
        trainer = find_trainer(settings, dataset)
        rungs = settings.search.rungs
        if rungs is not None and rungs.epochs[-1] != trainer.epochs:
            raise WrongInputError(
                f"search.rungs.epochs must end with training.epochs = {trainer.epochs}, got {rungs.epochs}."
            )
        check_inheritance(trainer, settings)
        objectives = find_objectives(settings, dataset)
        data = load_data(settings)
        for name, objective in objectives.items():
            with user_input(f"objective {name!r}"):
                objective.check_classes(len(data.classes))
        space = find_space(settings, data.input, data.outputs)
        exact = {name: bound for name, bound in settings.bounds.items() if objectives[name].needs == "shapes"}
        probe = Probe(space, objectives, exact)
        with user_input("space"):
            space, refusals = check_space(settings, probe)
        probe = Probe(space, objectives, exact)
        probe.check_bounds()
        reference = {n: _reference(n, objectives[n], settings, probe) for n in settings.objectives}
        resolved = replace(
            settings,
            space={**settings.space, "choices": {c.name: list(c.options) for c in space.choices}},
            data=described(settings.data, data),
            training=training_table(settings, trainer),
            objective=objective_tables(settings, objectives),
            reference=reference,
        )
        point = np.array([to_minimise(objectives[name], value) for name, value in reference.items()])
        notes = (*data.notes, *refusals)
        return cls(resolved, data, space, trainer, objectives, exact, point, notes=notes)

    @property
    def goals(self) -> dict[str, Goal]:
        """What the values of every objective mean, by name."""
        return {name: Goal.of(objective, self.data.task.name) for name, objective in self.objectives.items()}

    @cached_property
    def measured_bounds(self) -> dict[str, float]:
        """Largest value of what must be measured, by name; a network beyond it fails."""
        return {name: bound for name, bound in self.settings.bounds.items() if name not in self.bounds}

    @cached_property
    def probe(self) -> Probe:
        """Exact costs and bounds of the candidates."""
        return Probe(self.space, self.objectives, self.bounds)


def described(settings: DataSettings, data: TrainingData) -> DataSettings:
    """``[data]`` with what loading the data has shown."""
    options = {**settings.options, **data.decided}
    resolved = replace(settings, checksum=data_checksum(data), input=data.input, options=options)
    if isinstance(data.outputs, int):
        return replace(resolved, classes=list(data.classes))
    return replace(resolved, outputs=data.outputs)


def training_table(settings: Settings, trainer: Trainer) -> dict[str, Any]:
    """The table ``[training]`` with every setting written out."""
    return {"kind": "supervised", **settings.training, **trainer.settings()}


def objective_tables(settings: Settings, objectives: Mapping[str, Objective]) -> dict[str, dict[str, Any]]:
    """The tables ``[objective.NAME]`` with every setting written out."""
    return {
        name: {"kind": name, **settings.objective.get(name, {}), **asdict(objective)}
        for name, objective in objectives.items()
    }


def data_checksum(data: TrainingData) -> str:
    """Digest of the images and labels that a study uses."""
    digest = hashlib.blake2b(digest_size=8)
    for samples in (data.train, data.validation):
        images = samples.images
        digest.update(images.tobytes() if isinstance(images, np.ndarray) else images.fingerprint())
        digest.update(samples.labels.tobytes())
    return digest.hexdigest()


PREFERENCE = re.compile(r"\s*(<=|>=)\s*(\S+)\s*")
"""How ``[prefer]`` states what an objective must keep."""


def preferred(name: str, goal: Goal | Objective, text: str) -> float:
    """The value that ``[prefer]`` asks of an objective at least, or at most where it is to be small.

    Raises:
        ValueError: if it says something else.
    """
    sign = ">=" if goal.direction == "maximize" else "<="
    found = PREFERENCE.fullmatch(text)
    try:
        value = float(found[2]) if found else math.nan
    except ValueError:
        value = math.nan
    if found is None or found[1] != sign or not math.isfinite(value):
        raise ValueError(f"{name} is to be {goal.direction}d: it is preferred as '{sign}' and a number, got {text!r}.")
    return as_value(name, goal, value)


TINY = 1e-9
MARGIN = 0.01
"""By how much a reference point lies beyond the worst value, so that a value at its worst does not hide the others."""


def _just_beyond(goal: Goal | Objective, value: float) -> float:
    """A value that is so little worse that what has exactly ``value`` is inside."""
    worse = -TINY if goal.direction == "maximize" else TINY
    return value + worse if goal.scale == "fraction" else value * (1 + worse)


def _reference(name: str, objective: Objective, settings: Settings, probe: "Probe") -> float:
    """Reference value of one objective in its own unit: worse than all that count."""
    if name in settings.prefer:
        with user_input(f"prefer.{name}"):
            value = preferred(name, objective, settings.prefer[name])
        beyond = _just_beyond(objective, value)
        if settings.reference.get(name, beyond) != beyond:
            raise WrongInputError(f"prefer.{name} says what the reference is. Remove {name} from [reference].")
        return beyond
    if name in settings.reference:
        value = settings.reference[name]
        if objective.scale != "fraction":
            with user_input(f"reference.{name}"):
                return as_value(name, objective, value)
        if not -MARGIN <= value <= 1 + MARGIN:
            raise WrongInputError(
                f"reference.{name}: {name} is a fraction, its reference must be from {-MARGIN} to {1 + MARGIN}, "
                f"got {value:g}."
            )
        return value
    if objective.scale == "fraction":
        return -MARGIN if objective.direction == "maximize" else 1 + MARGIN
    if name in settings.bounds:
        return (1 + MARGIN) * settings.bounds[name]
    if objective.needs == "shapes":
        return (1 + MARGIN) * probe.dearest(name)
    if (worst := objective.worst()) is not None:
        with user_input(f"objective {name!r}: worst()"):
            return as_value(name, objective, worst)
    raise WrongInputError(
        f"reference.{name} is missing: {name} does not say what value of it is as bad as any of interest, which bounds "
        f"the hypervolume. Add it to the study as {name} under [reference], or return it from worst() of the objective."
    )

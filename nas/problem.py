"""A study's settings turned into what they name: data, space, trainer, objectives, bounds, reference point."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.errors import WrongInputError, user_input
from nas.plugins import load_plugins
from nas.pricing import price
from nas.settings import Settings, construct
from objectives import OBJECTIVES, Candidate, Objective, cost
from objectives.costs import Count
from searchspaces import SEARCH_SPACES, Architecture, SearchSpace, Value, build
from searchspaces.registry import lookup
from trainers import DATASETS, PRESETS, TRAINERS, Dataset, Trainer, TrainingData, training_data


def find_dataset(name: str) -> Dataset:
    """Data set called ``name`` or ``name:location``.

    Raises:
        WrongInputError: if there is none of that name.
    """
    kind, _, location = name.partition(":")
    with user_input("data.name"):
        return lookup(DATASETS, "data set", kind)(location)


def find_objectives(settings: Settings, dataset: Dataset | None = None) -> dict[str, Objective]:
    """The objectives of the front, then those that only bound it, by the study's name for them.

    Args:
        dataset: gives the radius of attacks that the settings leave open.

    Raises:
        WrongInputError: if one is unknown, its settings are wrong, or a bound is on something that must be trained for.
    """
    found: dict[str, Objective] = {}
    for name, table in settings.objective.items():
        with user_input(f"[objective.{name}]"):
            lookup(OBJECTIVES, "objective", table.get("kind", name))
    for name in (*settings.objectives, *settings.bounds):
        table = {"kind": name, **settings.objective.get(name, {})}
        with user_input(f"objective {name!r}" if name in settings.objectives else f"bounds.{name}"):
            kind = lookup(OBJECTIVES, "objective", table.pop("kind"))
        found[name] = construct(kind, table, f"objective.{name}")
        if dataset is not None and hasattr(found[name], "epsilon") and "epsilon" not in table:
            found[name] = replace(found[name], epsilon=dataset.epsilon)  # type: ignore[type-var]
    for name, bound in settings.bounds.items():
        if found[name].needs != "shapes":
            raise WrongInputError(
                f"bounds.{name}: only costs that are known before training can be bounded, {name} needs "
                f"{found[name].needs}. Make it an objective, and select with nas pareto --where."
            )
        if not bound > 0:
            raise WrongInputError(f"bounds.{name} must be positive, got {bound}.")
    return found


def find_trainer(settings: Settings) -> Trainer:
    """The trainer of ``[training]``.

    Raises:
        WrongInputError: if it is unknown or its settings are wrong.
    """
    table = {"kind": "supervised", **settings.training}
    with user_input("training"):
        if "preset" in table:
            table = {**lookup(PRESETS, "preset", table.pop("preset")), **table}
        kind = lookup(TRAINERS, "trainer", table.pop("kind"))
    return construct(kind, table, "training")


def find_space(settings: Settings, input: tuple[int, int, int], classes: int) -> SearchSpace:
    """The search space of ``[space]`` for images ``input`` = (C, H, W), narrowed as the study says.

    Raises:
        WrongInputError: if it is unknown, its settings are wrong or a choice is narrowed to what it cannot be.
    """
    table = dict(settings.space)
    kind, choices, removed = table.pop("kind", None), _dotted(table.pop("choices", {})), table.pop("remove", [])
    with user_input("space"):
        if kind is None:
            raise ValueError(f"kind is missing. Known: {', '.join(sorted(SEARCH_SPACES))}.")
        factory = lookup(SEARCH_SPACES, "search space", kind)
    space = construct(factory, table, "space", input=input, classes=classes)
    with user_input("space.choices"):
        space = space.narrow(choices)
    with user_input("space.remove"):
        return space.remove(removed)


def _dotted(choices: Mapping[str, Any]) -> dict[str, Any]:
    """``{"s1": {"kernel": 3}}``, as TOML reads ``s1.kernel = 3``, with dotted names."""
    names: dict[str, Any] = {}
    for name, value in choices.items():
        names |= {f"{name}.{k}": v for k, v in _dotted(value).items()} if isinstance(value, dict) else {name: value}
    return names


@dataclass(frozen=True)
class Problem:
    """All that a search needs besides its log.

    Args:
        settings: resolved: every default that matters to a result is written out.
        objectives: those of the front first, then those that only bound it.
        bounds: largest value of a cost, by name.
        reference: reference point of the hypervolume in costs, one for each objective of the front.
    """

    settings: Settings
    data: TrainingData
    space: SearchSpace
    trainer: Trainer
    objectives: dict[str, Objective]
    bounds: dict[str, float]
    reference: np.ndarray

    @classmethod
    def of(cls, settings: Settings) -> "Problem":
        """The problem that a study file states; loads the data.

        Raises:
            WrongInputError: naming the key of the study that cannot be used, and why.
        """
        load_plugins(settings.plugins)
        if not settings.data.validation:
            raise WrongInputError("data.validation must be above 0: a search compares what it has not trained on.")
        trainer = find_trainer(settings)
        dataset = find_dataset(settings.data.name)
        objectives = find_objectives(settings, dataset)
        with user_input("data"):
            data = training_data(
                dataset,
                limit=settings.data.limit,
                validation=settings.data.validation,
                seed=settings.seed,
                resolution=settings.data.resolution,
            )
        space = find_space(settings, data.input, len(data.classes))
        probe = Probe(space, objectives, settings.bounds)
        with user_input("space"):
            probe.check_options()
        probe.check_bounds()
        reference = {n: _reference(n, objectives[n], settings, probe) for n in settings.objectives}
        resolved = replace(
            settings,
            space={**settings.space, "choices": {c.name: list(c.options) for c in space.choices}},
            data=replace(settings.data, checksum=data_checksum(data)),
            training={"kind": "supervised", **settings.training, **asdict(trainer)},  # type: ignore[call-overload]
            objective=objective_tables(settings, objectives),
            reference=reference,
        )
        point = np.array([cost(objectives[name], value) for name, value in reference.items()])
        return cls(resolved, data, space, trainer, objectives, dict(settings.bounds), point)


def objective_tables(settings: Settings, objectives: Mapping[str, Objective]) -> dict[str, dict[str, Any]]:
    """The tables ``[objective.NAME]`` with every setting written out."""
    return {
        name: {"kind": name, **settings.objective.get(name, {}), **asdict(objective)}  # type: ignore[call-overload]
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


def _reference(name: str, objective: Objective, settings: Settings, probe: "Probe") -> float:
    """Reference value of one objective in its own unit: worse than all that can come."""
    if name in settings.reference:
        value = settings.reference[name]
    elif objective.scale == "fraction":
        value = 0.0 if objective.direction == "maximize" else 1.0
    elif name in settings.bounds:
        value = settings.bounds[name]
    elif objective.needs == "shapes":
        value = probe.extreme(name, largest=True)
    else:
        raise WrongInputError(f"reference.{name} is missing: the worst value of {name} is not known. Give one.")
    with user_input(f"reference.{name}"):
        cost(objective, value)
    return float(value)


@dataclass(frozen=True)
class Probe:
    """Costs of candidates, from shapes on the meta device: nothing is allocated or trained."""

    space: SearchSpace
    objectives: dict[str, Objective]
    bounds: dict[str, float]

    @cached_property
    def costs(self) -> dict[str, Objective]:
        """The objectives that shapes alone decide."""
        return {name: o for name, o in self.objectives.items() if o.needs == "shapes"}

    def measure(self, architecture: Architecture) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
        """Value and settings of every cost of an architecture, by name."""
        if not self.costs:
            return {}, {}
        model: nn.Module = nn.Identity()
        if not all(isinstance(objective, Count) for objective in self.costs.values()):
            with torch.device("meta"):  # somebody's own objective of shapes may look at the module itself
                model = build(architecture)
        candidate = Candidate(model, architecture.input, known=price(architecture).counts)
        values = {name: objective.measure(candidate) for name, objective in self.costs.items()}
        return values, {name: objective.settings(candidate) for name, objective in self.costs.items()}

    def violations(self, values: Mapping[str, float]) -> dict[str, float]:
        """Bound -> by what share it is exceeded, for the bounds that are."""
        return {n: values[n] / bound - 1 for n, bound in self.bounds.items() if values[n] > bound}

    def extreme(self, name: str, *, largest: bool) -> float:
        """Cost ``name`` of the dearest (or cheapest) architecture found by improving one choice at a time.

        Exact where the choices act monotonically, as those of a cost do; a bound on it otherwise.
        """
        sign = -1 if largest else 1
        picks = self.space.first
        seen: dict[str, float] = {}

        def value(picks: Mapping[str, Value]) -> float:
            architecture = self.space.decode(picks)
            if architecture.key not in seen:
                seen[architecture.key] = sign * self.measure(architecture)[0][name]
            return seen[architecture.key]

        best, before = value(picks), None
        while best != before:
            before = best
            for choice in self.space.choices:
                for option in choice.options:
                    trial = {**picks, choice.name: option}
                    if value(trial) < best:
                        best, picks = value(trial), trial
        return sign * best

    def check_options(self) -> None:
        """Prices an architecture with each option of each choice, so that one which cannot be is met before training.

        Raises:
            ValueError: of the node that cannot be, with the values that can.
        """
        first = self.space.first
        for choice in self.space.choices:
            for option in choice.options:
                price(self.space.decode({**first, choice.name: option}))

    def check_bounds(self) -> None:
        """Makes sure that some architecture of the space keeps the bounds.

        Raises:
            WrongInputError: if none is found, naming the bound that is hit and the cheapest cost seen.
        """
        generator = random.Random(0)
        hits = dict.fromkeys(self.bounds, 0)
        for _ in range(64 if self.bounds else 0):
            violated = self.violations(self.measure(self.space.decode(self.space.draw(generator)))[0])
            if not violated:
                return
            for name in violated:
                hits[name] += 1
        for name, bound in self.bounds.items():
            cheapest = self.extreme(name, largest=False)
            if cheapest > bound:
                raise WrongInputError(
                    f"bounds.{name} = {bound:g} cannot be kept: the cheapest architecture of the space found has "
                    f"{name} = {cheapest:g}. Raise the bound, or widen [space.choices] to smaller networks."
                )

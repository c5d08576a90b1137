"""The arms of an ablation: each a study with a few keys changed, checked and built as a study is."""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nas.errors import WrongInputError, user_input
from nas.export.evaluate import samples_of_test
from nas.export.surrogates import transferring
from nas.plugins import loaded_from
from nas.pricing import Probe, price
from nas.problem import (
    described,
    dotted,
    find_dataset,
    find_objectives,
    find_space,
    find_trainer,
    load_data,
    objective_tables,
    training_table,
)
from nas.results.references import find_architecture
from nas.results.study import Study
from nas.settings import DATA_KEYS, Settings, Table, check_type, settings_of
from nas.store.confirmations import Split
from objectives import Objective
from searchspaces import Architecture, SearchSpace, Value
from searchspaces.heads import fitted
from searchspaces.registry import unknown
from trainers import Dataset, Trainer, TrainingData

OF_ARM = ("network", "choices", "space", "data", "training")
COSTS = ("macs", "flops", "parameters", "trainable_parameters")
"""What is shown of every arm, and can be claimed to be equal."""


@dataclass(frozen=True)
class Arm:
    """What one arm trains, and how.

    Args:
        settings: resolved.
        picks: of the space, where the network is from one.
        costs: exact, of the network by `COSTS`.
        known: values of the objectives that shapes decide, and
        how: their settings.
    """

    name: str
    settings: Settings
    architecture: Architecture
    picks: dict[str, Value]
    trainer: Trainer
    objectives: dict[str, Objective]
    data: TrainingData
    costs: dict[str, int]
    known: dict[str, float]
    how: dict[str, dict[str, Any]]

    def recipe(self, seed: int | None, split: str) -> str:
        """Digest of all that decides what a training leads to; without a seed that of every seed."""
        data = {key: value for key, value in asdict(self.settings.data).items() if key not in ("classes", "input")}
        data["options"] = {key: value for key, value in data["options"].items() if key != "location"}
        said = {
            "architecture": self.architecture.key,
            "training": training_table(self.settings, self.trainer),
            "data": data,
            "objectives": self.settings.objective,
            "plugins": [loaded_from(path).digest for path in self.settings.plugins],
            "seed": seed,
            "split": split,
        }
        text = json.dumps(said, sort_keys=True, default=str).encode()
        return hashlib.blake2b(text, digest_size=12).hexdigest()


@dataclass
class Making:
    """Turns the tables of arms into arms; data that several have in common are loaded once.

    Args:
        network: of arms that name none.
        split: of the images that are measured on.
        table: of the study, without what only an ablation has.
        overrides: ``KEY=VALUE``, on top of the arms too.
        folder: that paths are relative to.
    """

    network: str | None
    split: Split
    table: Table
    overrides: list[str]
    folder: Path
    loaded: dict[str, TrainingData] = field(default_factory=dict)

    def settings(self, table: Table) -> Settings:
        """Of a study given as tables."""
        return settings_of(deepcopy(table), self.overrides, folder=self.folder)

    def arm(self, name: str, own: Table) -> Arm:
        """The arm of a table.

        Raises:
            WrongInputError: naming what cannot be used.
        """
        where = f"arm.{name}"
        for key in own:
            if key not in OF_ARM:
                raise WrongInputError(f"[{where}] has an {unknown('key', key, OF_ARM)}")
        table, architecture = merged(self.table, own, where), None
        reference = check_type(str | None, own.get("network", self.network), f"{where}.network")
        if reference is not None and "#" in reference:
            table = _of_trial(reference, own, table, where)
        elif reference is not None:
            if own.keys() & {"choices", "space"}:
                raise WrongInputError(
                    f"[{where}]: {reference} has no choices. Leave out choices and space, or network."
                )
            table = {key: value for key, value in table.items() if key != "space"}
            architecture = find_architecture(reference)
        settings = self.settings(table)
        dataset, data = find_dataset(settings.data), self.data(settings)
        picks: dict[str, Value] = {}
        if architecture is None:
            architecture, picks = _only(find_space(settings, data.input, data.outputs), where)
        architecture = fitted(replace(architecture, input=data.input), data.outputs).canonical()
        objectives, trainer = _objectives(settings, dataset, data), find_trainer(settings, dataset)
        if trainer.inherit:
            raise WrongInputError("training.inherit is for a search; trainings of an ablation begin from scratch.")
        with user_input(f"[{where}]"):
            total = price(architecture).total
            alone = SearchSpace(name, (), lambda picks: architecture)
            known, how = Probe(alone, objectives, {}).measure(architecture)
        settings = replace(
            settings,
            data=described(settings.data, data),
            training=training_table(settings, trainer),
            objective=objective_tables(settings, objectives),
        )
        costs = {cost: int(getattr(total, cost)) for cost in COSTS}
        return Arm(name, settings, architecture, picks, trainer, objectives, data, costs, known, how)

    def data(self, settings: Settings) -> TrainingData:
        """The images of an arm; those to measure on are of the split that the ablation names."""
        key = json.dumps([asdict(settings.data), settings.seed], sort_keys=True)
        if key not in self.loaded:
            data = load_data(settings)
            if self.split == "test":
                data = replace(data, validation=samples_of_test(settings))
            self.loaded[key] = data
        return self.loaded[key]


def _objectives(settings: Settings, dataset: Dataset, data: TrainingData) -> dict[str, Objective]:
    found = find_objectives(settings, dataset)
    if transferring(found):
        raise WrongInputError("an ablation measures no transfer attack: one arm would train the surrogates of all.")
    for name, objective in found.items():
        with user_input(f"objective {name!r}"):
            objective.check_classes(len(data.classes))
    return found


def merged(table: Table, own: Mapping[str, Any], where: str) -> Table:
    """The tables of a study with those of an arm on top; ``choices`` are ``space.choices``.

    A choice that the arm names without its group replaces those of all groups. Another data set takes none of the
    options of the one before, another space none of its settings and choices.
    """
    found = deepcopy(table)
    for key in ("space", "data", "training"):
        given = check_type(Table, own.get(key, {}), f"{where}.{key}")
        before = check_type(Table, found.get(key, {}), key)
        if key == "data" and given.get("name", before.get("name")) != before.get("name"):
            before = {name: value for name, value in before.items() if name in DATA_KEYS}
        if key == "space" and given.get("kind", before.get("kind")) != before.get("kind"):
            before = {}
        if given or before:
            found[key] = before | {name: value for name, value in given.items() if name != "choices"}
    of_arm = {**own.get("space", {}).get("choices", {}), **own.get("choices", {})}
    named = dotted(check_type(Table, of_arm, f"{where}.choices"))
    if named:
        before = dotted(found.get("space", {}).get("choices", {}))
        kept = {name: value for name, value in before.items() if name.partition(".")[2] not in named}
        found.setdefault("space", {})["choices"] = kept | named
    return found


def _of_trial(reference: str, own: Mapping[str, Any], table: Table, where: str) -> Table:
    """The tables with the space and the picks of a trial, and the choices of the arm on top.

    Raises:
        WrongInputError: if there is no such trial.
    """
    directory, _, rule = reference.rpartition("#")
    study = Study(directory)
    study.load_plugins()
    record = study.pick(f"trial:{rule}" if rule.isdecimal() else rule)
    return merged({**table, "space": {**study.settings.space, "choices": dict(record.picks)}}, own, where)


def _only(space: SearchSpace, where: str) -> tuple[Architecture, dict[str, Value]]:
    """The one network of a space, with its picks.

    Raises:
        WrongInputError: if there are others, with the choices that are open, or none.
    """
    picks = space.first
    with user_input(f"[{where}]"):
        network = space.decode(picks)
    options = {choice.name: choice.options for choice in space.choices}
    if lacking := [name for name in options if name in space.effective(picks)]:
        given = "; ".join(f"{name} ({', '.join(map(str, options[name]))})" for name in lacking[:5])
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise WrongInputError(
            f"[{where}] is to be one network, but leaves open {given}{more}. Give each one value, in [space.choices] "
            f"or in choices of the arm."
        )
    return network, picks

"""The design of an ablation, from its file: arms, seeds, what is expected; and what makes it a wrong one.

The file is a study file without what only a search has, and with ``seeds``, ``[arm.NAME]``, ``[[expect]]`` and
``[iso]``. An arm is the study with a few keys changed; it is checked and built as a study is.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
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
from nas.results.contrasts import ENOUGH, TERM, Contrast, Expectation, Relation
from nas.results.references import find_architecture
from nas.results.study import Study
from nas.settings import DATA_KEYS, Settings, Table, check_type, construct, override, read_table, settings_of
from nas.store.confirmations import Split
from nas.store.records import trial_seed
from objectives import Objective
from searchspaces import Architecture, SearchSpace, Value
from searchspaces.heads import fitted
from searchspaces.registry import unknown
from trainers import Trainer, TrainingData

FOREIGN = ("trials", "search", "bounds", "reference", "prefer", "export")
"""Keys of a study that only a search has."""
OWN = ("seeds", "split", "baseline", "network", "arm", "expect", "iso", "claim")
"""Keys that only an ablation has."""
OF_ARM = ("network", "choices", "space", "data", "training")
COSTS = ("macs", "flops", "parameters", "trainable_parameters")
"""What is shown of every arm, and can be claimed to be equal."""


@dataclass(frozen=True)
class Claim:
    """``[claim]``: what a paper says, of which the ablation is a version of small scale.

    Args:
        paper: short name, as ``spatial-mixing``.
        arxiv: its number.
        section: of the paper, with the figure or table.
        says: the claim, with the published figure.
        ours: what is different here.
        minutes: that it takes on two cores.
        quick: whether ``nas reproduce --quick`` runs it.
    """

    paper: str
    arxiv: str
    section: str
    says: str
    ours: str
    minutes: float
    quick: bool = False


@dataclass(frozen=True)
class _Expect:
    """``[[expect]]``, see `Expectation`; ``margin`` and ``measure`` may be left out."""

    arm: str
    relation: Relation
    than: str
    margin: float = 0.0
    measure: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1e30:
            raise ValueError(f"margin must not be negative, got {self.margin}.")
        if self.relation == "within" and not self.margin:
            raise ValueError("relation = 'within' needs a margin above 0: no two means are equal.")


@dataclass(frozen=True)
class Plan:
    """Keys of an ablation that no study has.

    Args:
        seeds: of every arm; the first of one arm is the first of all.
        split: of the images that are measured on; whoever says ``test`` must not choose by the result.
        baseline: arm that the others are compared with; unset: the first.
        network: of every arm that says nothing else: ``known:NAME``, a file, or ``DIR#RULE``.
        arm: by name, tables of what is different in it.
        expect: of the differences.
        iso: largest share by which a cost may differ between the arms, by its name.
        claim: of a paper.
    """

    seeds: int = 5
    split: Split = "validation"
    baseline: str | None = None
    network: str | None = None
    arm: dict[str, Table] = field(default_factory=dict)
    expect: list[Table] = field(default_factory=list)
    iso: dict[str, float] = field(default_factory=dict)
    claim: Claim | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= 1000:
            raise ValueError(f"seeds must be from 1 to 1,000, got {self.seeds}.")
        if len(self.arm) < 2:
            raise ValueError(f"an ablation needs two arms or more, [arm.NAME] each, got {len(self.arm)}.")
        for name in self.arm:
            if not TERM.fullmatch(name) or name[0].isdigit():
                raise ValueError(f"the name of an arm must be one word of letters, digits, _ . ( ), got {name!r}.")
        if self.baseline is not None and self.baseline not in self.arm:
            raise ValueError(f"baseline: {unknown('arm', self.baseline, self.arm)}")


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


@dataclass(frozen=True)
class Design:
    """An ablation that can be run.

    Args:
        settings: of the study without its arms.
        notes: what a person should know of the data.
    """

    settings: Settings
    plan: Plan
    arms: dict[str, Arm]
    expectations: tuple[Expectation, ...]
    measures: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with."""
        return self.plan.baseline or next(iter(self.arms))

    def seed(self, replicate: int) -> int:
        """The seed of a number, in all arms."""
        return trial_seed(self.settings.seed, replicate, "ablate")


def read_claim(path: Path) -> Claim:
    """``[claim]`` of an ablation file.

    Raises:
        WrongInputError: if there is none.
    """
    return construct(Claim, check_type(Table, read_table(path).get("claim", {}), "claim"), "claim")


def read_design(path: Path, overrides: Iterable[str] = ()) -> Design:
    """The design of an ablation file; loads the data and prices the networks.

    Args:
        overrides: ``KEY=VALUE`` with dotted keys, as of a study; they override the arms too.

    Raises:
        WrongInputError: naming what cannot be used, or why the design would say nothing.
    """
    table, overrides = read_table(path), list(overrides)
    for text in overrides:
        if _is_own(text):
            override(table, text)
    for key in FOREIGN:
        if key in table:
            raise WrongInputError(f"an ablation has no {key}: it searches nothing. Remove it.")
    plan = construct(Plan, {key: table[key] for key in OWN if key in table}, "")
    table = {key: value for key, value in table.items() if key not in OWN}
    making = _Making(plan, table, [text for text in overrides if not _is_own(text)], path.parent)
    settings = making.settings(table)
    arms = {name: making.arm(name, own) for name, own in plan.arm.items()}
    first = next(iter(arms.values()))
    measures = tuple(n for n in settings.objectives if first.objectives[n].needs != "shapes")
    if not measures:
        raise WrongInputError("objectives are all costs, which are known without training. Name one to compare by.")
    expectations = tuple(_expectation(n, each, plan, measures) for n, each in enumerate(plan.expect, 1))
    notes = tuple(dict.fromkeys(note for data in making.loaded.values() for note in data.notes))
    design = Design(settings, plan, arms, expectations, measures, notes)
    check_design(design)
    return design


def _is_own(text: str) -> bool:
    return text.partition("=")[0].partition(".")[0].strip() in OWN


def _expectation(number: int, table: Table, plan: Plan, measures: Sequence[str]) -> Expectation:
    where = f"expect {number}"
    given = construct(_Expect, table, where)
    with user_input(where):
        for text in (given.arm, given.than):
            Contrast.parse(text, list(plan.arm))
        measure = given.measure or measures[0]
        if measure not in measures:
            raise ValueError(unknown("measure", measure, measures))
        return Expectation(given.arm, given.relation, given.than, given.margin, measure)


@dataclass
class _Making:
    """Turns the tables of arms into arms; data that several have in common are loaded once."""

    plan: Plan
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
        reference = check_type(str | None, own.get("network", self.plan.network), f"{where}.network")
        table, architecture = merged(self.table, own, where), None
        if reference is not None and "#" in reference:
            table = _of_trial(reference, own, table, where)
        elif reference is not None:
            if "choices" in own or "space" in table:
                raise WrongInputError(
                    f"[{where}]: {reference} has no choices. Leave out space and choices, or network."
                )
            architecture = find_architecture(reference)
        settings = self.settings(table)
        dataset, data = find_dataset(settings.data), self.data(settings)
        objectives = find_objectives(settings, dataset)
        if transferring(objectives):
            raise WrongInputError("an ablation measures no transfer attack: one arm would train the surrogates of all.")
        for each, objective in objectives.items():
            with user_input(f"objective {each!r}"):
                objective.check_classes(len(data.classes))
        picks: dict[str, Value] = {}
        if architecture is None:
            architecture, picks = _only(find_space(settings, data.input, data.outputs), where)
        architecture = fitted(replace(architecture, input=data.input), data.outputs).canonical()
        trainer = find_trainer(settings, dataset)
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
            if self.plan.split == "test":
                data = replace(data, validation=samples_of_test(settings))
            self.loaded[key] = data
        return self.loaded[key]


def merged(table: Table, own: Mapping[str, Any], where: str) -> Table:
    """The tables of a study with those of an arm on top; ``choices`` are ``space.choices``.

    A choice that the arm names without its group replaces those of all groups. Another data set takes none of the
    options of the one before, another trainer none of its settings.
    """
    found = deepcopy(table)
    for key in ("space", "data", "training"):
        given = check_type(Table, own.get(key, {}), f"{where}.{key}")
        before = check_type(Table, found.get(key, {}), key)
        if key == "data" and given.get("name", before.get("name")) != before.get("name"):
            before = {name: value for name, value in before.items() if name in DATA_KEYS}
        if given or before:
            found[key] = before | given
    choices = {
        **own.get("space", {}).get("choices", {}),
        **check_type(Table, own.get("choices", {}), f"{where}.choices"),
    }
    if choices:
        before = dotted(table.get("space", {}).get("choices", {}))
        named = dotted(choices)
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


def check_design(design: Design) -> None:
    """Makes sure that the arms can be compared, and that what is expected can be found out.

    Raises:
        WrongInputError: saying why not.
    """
    arms, plan = list(design.arms.values()), design.plan
    tasks = {find_dataset(arm.settings.data).poses().name: arm.name for arm in arms}
    if len(tasks) > 1:
        told = ", ".join(f"{arm} learns {task}" for task, arm in tasks.items())
        raise WrongInputError(f"arms must learn the same task to be compared: {told}.")
    known: dict[str, str] = {}
    for arm in arms:
        other = known.setdefault(arm.recipe(None, plan.split), arm.name)
        if other != arm.name:
            raise WrongInputError(
                f"arms {other!r} and {arm.name!r} are one network with one recipe: they would differ by nothing. "
                "Change what varies in one of them, or remove it."
            )
    for cost, share in plan.iso.items():
        if cost not in COSTS:
            raise WrongInputError(f"iso: {unknown('cost', cost, COSTS)}")
        if not 0 <= share < 1:
            raise WrongInputError(f"iso.{cost} must be a share from 0 to less than 1, got {share:g}.")
        least, most = min(arms, key=lambda a: a.costs[cost]), max(arms, key=lambda a: a.costs[cost])
        if most.costs[cost] > (1 + share) * least.costs[cost]:
            raise WrongInputError(
                f"iso.{cost} says that {cost} differ by at most {share:.1%}, but {most.name!r} has "
                f"{most.costs[cost]:,} and {least.name!r} {least.costs[cost]:,}. Change the arms, or what is claimed."
            )
    if design.expectations and plan.seeds < ENOUGH:
        raise WrongInputError(
            f"seeds must be at least {ENOUGH} where something is expected, got {plan.seeds}: fewer say nothing of how "
            "much a seed changes. Raise seeds, or remove [[expect]]."
        )

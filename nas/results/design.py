"""The design of an ablation, from its file: arms, seeds, what is expected; and what makes it a wrong one.

The file is a study file without what only a search has, and with ``seeds``, ``[arm.NAME]``, ``[[expect]]`` and
``[iso]``. An arm is the study with a few keys changed; it is checked and built as a study is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nas.errors import WrongInputError, user_input
from nas.problem import find_dataset
from nas.results.arms import COSTS, Arm, Making
from nas.results.contrasts import ENOUGH, TERM, Contrast, Expectation, Relation
from nas.settings import Settings, Table, check_type, construct, read_table, set_key
from nas.store.confirmations import Split
from nas.store.records import trial_seed
from searchspaces.registry import unknown

FOREIGN = ("trials", "search", "bounds", "reference", "prefer", "export")
"""Keys of a study that only a search has."""
OWN = ("seeds", "split", "baseline", "network", "arm", "expect", "iso", "claim")
"""Keys that only an ablation has."""


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
            set_key(table, text)
    for key in FOREIGN:
        if key in table:
            raise WrongInputError(f"an ablation has no {key}: it searches nothing. Remove it.")
    plan = construct(Plan, {key: table[key] for key in OWN if key in table}, "")
    table = {key: value for key, value in table.items() if key not in OWN}
    making = Making(plan.network, plan.split, table, [text for text in overrides if not _is_own(text)], path.parent)
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

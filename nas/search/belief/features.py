"""Numbers by which networks are compared: of the canonical network, never of the picks that led to it.

A network is described by categories (kind of an operator, freeze pattern) and numbers (kernel, depth, logarithms of
exact costs). Its stages are told apart by resolution, so that networks of different depth line up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from nas.pricing import Price
from searchspaces import Architecture, Cost, Part
from searchspaces.architecture import Spec, Stage

SCALE = math.sqrt(0.5)
"""Of all columns: two networks in different categories of a group are at a squared distance of 1."""


@dataclass(frozen=True)
class Traits:
    """One network before it is made a row of numbers.

    Args:
        categories: name -> one of finitely many values.
        numbers: name -> a number.
    """

    categories: Mapping[str, str]
    numbers: Mapping[str, float]


class Encoder:
    """Turns traits into rows whose columns are in groups: the one-hot columns of a category, or one number.

    Args:
        sample: traits of random networks, in whose standard deviations numbers are measured. What all of them share
            makes no column.

    Attributes:
        groups: (columns,) number of the group that each column belongs to.
    """

    def __init__(self, sample: Sequence[Traits]) -> None:
        self._columns: dict[tuple[str, str], int] = {}
        self._categories: list[str] = []
        self._numbers: dict[str, tuple[int, float, float]] = {}
        groups: list[int] = []
        told: set[tuple[str | float, ...]] = set()

        def new(values: Sequence[str] | Sequence[float]) -> bool:
            """Whether these values tell networks apart, and none before them told the same."""
            if len(set(values)) == 1 or tuple(values) in told:
                return False
            told.add(tuple(values))
            return True

        for name in sorted({name for traits in sample for name in traits.categories}):
            values = [traits.categories.get(name, "") for traits in sample]
            if new(values):
                self._categories.append(name)
                group = 1 + max(groups, default=-1)
                for value in sorted(set(values)):
                    self._columns[name, value] = len(groups)
                    groups.append(group)
        for name in sorted({name for traits in sample for name in traits.numbers}):
            seen = np.array([traits.numbers[name] for traits in sample if name in traits.numbers])
            mean, deviation = float(seen.mean()), float(seen.std())
            if deviation > 1e-9 * (1 + abs(mean)) and new([traits.numbers.get(name, mean) for traits in sample]):
                self._numbers[name] = len(groups), mean, SCALE / deviation
                groups.append(1 + max(groups, default=-1))
        self.groups = np.array(groups, dtype=int)

    def rows(self, networks: Sequence[Traits]) -> np.ndarray:
        """(n, columns) one row for each network; a number that a network lacks is the mean, an unseen category none."""
        made = np.zeros((len(networks), len(self.groups)))
        for row, traits in zip(made, networks, strict=True):
            for name in self._categories:
                column = self._columns.get((name, traits.categories.get(name, "")))
                if column is not None:
                    row[column] = SCALE
            for name, value in traits.numbers.items():
                if name in self._numbers:
                    column, mean, scale = self._numbers[name]
                    row[column] = (value - mean) * scale
        return made


def traits_of(architecture: Architecture, priced: Price) -> Traits:
    """What is to be told apart of a canonical architecture with its exact costs."""
    categories: dict[str, str] = {}
    numbers: dict[str, float] = {}

    def add(place: str, node: Spec) -> None:
        own = _placed(place, node)
        categories.update(own.categories)
        numbers.update(own.numbers)

    add("stem", architecture.stem)
    add("head", architecture.head)
    for number, level in enumerate(_levels(architecture, priced.parts), 1):
        stages = [stage for stage, _ in level]
        depth = sum(stage.depth for stage in stages)
        numbers[f"level {number}.depth"] = math.log2(depth)
        _add_cost(numbers, f"level {number}", [part.cost for _, part in level])
        if stages[0].downsample is not None:
            add(f"downsample {number}", stages[0].downsample)
        for half in (1, 2):  # where the first and the second half of its blocks differ, as in dense-then-depthwise
            add(f"level {number}.{half}", _block_at(stages, depth * (2 * half - 1) / 4))
    _add_cost(numbers, "all", [priced.total])
    return Traits(categories, numbers)


def _levels(architecture: Architecture, parts: Sequence[Part]) -> list[list[tuple[Stage, Part]]]:
    """The stages with their costs, in groups of one resolution and width."""
    levels: list[list[tuple[Stage, Part]]] = []
    before = None
    priced = [part for part in parts if part.name.startswith("stage ")]
    for stage, part in zip(architecture.stages, priced, strict=True):
        if not levels or stage.downsample is not None or part.output != before:
            levels.append([])
        levels[-1].append((stage, part))
        before = part.output
    return levels


def _block_at(stages: Sequence[Stage], place: float) -> Spec:
    """The block that stands after ``place`` blocks."""
    for stage in stages:
        if (place := place - stage.depth) < 0:
            break
    return stage.block


def _add_cost(numbers: dict[str, float], place: str, costs: Sequence[Cost]) -> None:
    numbers[f"{place}.macs"] = math.log10(1 + sum(cost.macs for cost in costs))
    numbers[f"{place}.parameters"] = math.log10(1 + sum(cost.parameters for cost in costs))
    numbers[f"{place}.trained"] = math.log10(1 + sum(cost.trainable_parameters for cost in costs))


@lru_cache(maxsize=100_000)  # networks of a search share most of their nodes
def _placed(place: str, node: Spec) -> Traits:
    """Traits of a node and of those inside it, by dotted name below its place."""
    categories, numbers = {f"{place}.kind": node.kind}, dict[str, float]()
    for field in fields(node):
        name, value = f"{place}.{field.name}", getattr(node, field.name)
        if isinstance(value, Spec):
            own = _placed(name, value)
            categories.update(own.categories)
            numbers.update(own.numbers)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[name] = math.copysign(math.log2(1 + abs(value)), value)
        else:
            categories[name] = str(value)
    return Traits(categories, numbers)

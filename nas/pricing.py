"""What candidates cost before training, and whether they keep the bounds; nothing is allocated or trained.

Closed forms where every node has one, counting on the meta device where one has none.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from nas.errors import WrongInputError, user_input
from objectives import Candidate, Objective, as_settings, as_value
from objectives.costs import Count
from objectives.counting import Counts, Kept, count, kept
from objectives.memory import OfBatch
from searchspaces import Architecture, Cost, Part, SearchSpace, Shape, Value, build, parts
from searchspaces.architecture import Spec

DRAWS = 1000
"""Random architectures among which the dearest is looked for; a tenth if each must be built on the meta device."""
LARGEST = 10**15
"""Largest figure of a network that is priced: beyond it nothing can be built, and floats are no longer exact."""


@dataclass(frozen=True)
class Price:
    """Parts of a network with their costs.

    Args:
        parts: in order of execution.
        counted: kinds of the nodes that have no closed form and were counted instead; their ``macs`` are those that are
            executed.
        uncounted: operations in them that no rule covers; the figures leave them out.
    """

    parts: tuple[Part, ...]
    counted: tuple[str, ...]
    uncounted: tuple[str, ...]

    @property
    def total(self) -> Cost:
        """Cost of the whole network."""
        return sum((part.cost for part in self.parts), Cost())

    @property
    def counts(self) -> Counts:
        """The total in the form in which objectives take it."""
        total = self.total
        return Counts(
            macs=total.macs,
            transform_flops=total.transforms,
            elementwise_flops=total.elementwise_flops,
            parameters=total.parameters,
            trainable_parameters=total.trainable_parameters,
            checkpoint_bytes=total.checkpoint_bytes,
            uncounted=self.uncounted,
        )

    @property
    def kept(self) -> Kept:
        """What training keeps; more than it does where one part keeps what the next one keeps too."""
        total = self.total
        return Kept(4 * total.activations, 4 * total.kept_once)


def price(architecture: Architecture) -> Price:
    """Cost of an architecture, part by part, without allocating anything.

    Raises:
        ValueError: if a node cannot take the shape that reaches it, with the values that it can take, or the network
            is too large for anything.
    """
    counted: set[str] = set()
    uncounted: set[str] = set()

    def by_counting(node: Spec, shape: Shape) -> Cost:
        with torch.device("meta"):
            module = node.build(shape)
        found, held = count(module, shape), kept(module, shape)
        counted.update(_unpriced(node, shape))
        uncounted.update(found.uncounted)
        return Cost(
            macs=found.macs,
            macs_executed=found.macs,
            transform_flops=found.transform_flops,
            elementwise_flops=found.elementwise_flops,
            parameters=found.parameters,
            trainable_parameters=found.trainable_parameters,
            buffer_bytes=found.checkpoint_bytes - 4 * found.parameters,
            activations=held.per_image // 4,
            kept_once=held.once // 4,
        )

    found = tuple(parts(architecture.canonical(), by_counting))
    for name, figure in asdict(sum((part.cost for part in found), Cost())).items():
        if figure > LARGEST:
            raise ValueError(f"the network has {name} = {float(figure):.2g}, more than 10^15: it cannot be built.")
    return Price(found, tuple(sorted(counted)), tuple(sorted(uncounted)))


def _unpriced(node: Spec, shape: Shape) -> Iterator[str]:
    """The nodes inside ``node``, or itself, that have no closed form."""
    inner = [value for value in vars(node).values() if isinstance(value, Spec)]
    named = [kind for child in inner for kind in _unpriced(child, shape)]
    if named:
        yield from named
        return
    cost: Callable[[Shape], Cost] = node.cost
    try:
        cost(shape)
    except NotImplementedError:
        yield node.kind


def excess(value: float, bound: float) -> float:
    """Share by which a cost exceeds its bound: 0.5 for half as much again, negative if the bound is kept."""
    return value / bound - 1


@dataclass(frozen=True)
class Probe:
    """Exact costs of the candidates of a space, and its bounds.

    Args:
        objectives: of the study, by name; those that need ``shapes`` only are the costs.
        bounds: largest value of a cost, by name.
        closed: find what training keeps by closed forms, in a thousandth of the time; too much where parts share it.
    """

    space: SearchSpace
    objectives: dict[str, Objective]
    bounds: dict[str, float]
    closed: bool = False

    @cached_property
    def costs(self) -> dict[str, Objective]:
        """The objectives that shapes alone decide."""
        return {name: o for name, o in self.objectives.items() if o.needs == "shapes"}

    def measure(self, architecture: Architecture) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
        """Value and settings of every cost of an architecture, by name."""
        if not self.costs:
            return {}, {}
        model: nn.Module = nn.Identity()
        priced = price(architecture)
        if not all(map(self.known, self.costs.values())):
            with torch.device("meta"):  # a user's own objective of shapes may need the module itself
                model = build(architecture)
        candidate = Candidate(
            model, architecture.input, known=priced.counts, known_kept=priced.kept if self.closed else None
        )
        values, settings = {}, {}
        for name, objective in self.costs.items():
            with user_input(""):
                values[name] = as_value(name, objective, objective.measure(candidate))
                settings[name] = as_settings(name, objective.settings(candidate))
        return values, settings

    def known(self, objective: Objective) -> bool:
        """Whether closed forms are all that an objective needs."""
        return isinstance(objective, Count) or (self.closed and isinstance(objective, OfBatch))

    def violations(self, values: Mapping[str, float]) -> dict[str, float]:
        """Bound -> by what share it is exceeded, for the bounds that are."""
        return {name: excess(values[name], bound) for name, bound in self.bounds.items() if values[name] > bound}

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

    def dearest(self, name: str) -> float:
        """Largest cost ``name`` that is found by `extreme` and in `DRAWS` random architectures."""
        only = replace(self, objectives={name: self.costs[name]}, closed=True)
        most, generator = only.extreme(name, largest=True), random.Random(0)
        for _ in range(DRAWS if only.known(self.costs[name]) else DRAWS // 10):
            with contextlib.suppress(ValueError, WrongInputError):  # a combination that cannot be built costs nothing
                most = max(most, only.measure(self.space.decode(self.space.draw(generator)))[0][name])
        return most

    def check_options(self) -> None:
        """Prices an architecture with each option of each choice, so that an impossible one is found before training.

        Raises:
            ValueError: of the node that cannot be built, with the values that can.
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

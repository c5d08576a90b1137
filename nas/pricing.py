"""What candidates cost before training, and whether they keep the bounds; nothing is allocated or trained.

Closed forms where every node has one, counting on the meta device where one has none.
"""

import contextlib
import math
import random
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn

from nas.errors import WrongInputError, user_input
from objectives import Candidate, Objective, as_settings, as_value
from objectives.costs import Count
from objectives.counting import Counts, Kept, count, kept
from objectives.memory import OfBatch
from searchspaces import Architecture, Choice, Cost, Part, SearchSpace, Shape, Value, build, parts
from searchspaces.architecture import Spec

DRAWS = 1000
"""Random architectures among which the dearest is looked for; a tenth if each must be built on the meta device."""
TRIES = 64
"""Random candidates among which those are looked for that can be built, and that use a choice."""
FIGURES = tuple(field.name for field in fields(Cost))
LARGEST = 10**15
"""Largest figure of a network that is priced: beyond it nothing can be built, and floats are no longer exact."""
NO_MODEL: nn.Module = nn.Identity()
"""What costs by closed forms are measured on, which look at no module."""


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

    @cached_property
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
        cost, kinds, unknown = _counted(node, shape)
        counted.update(kinds)
        uncounted.update(unknown)
        return cost

    found = tuple(parts(architecture.canonical(), by_counting))
    priced = Price(found, tuple(sorted(counted)), tuple(sorted(uncounted)))
    for name in FIGURES:
        if (figure := getattr(priced.total, name)) > LARGEST:
            raise ValueError(f"the network has {name} = {float(figure):.2g}, more than 10^15: it cannot be built.")
    return priced


@lru_cache(maxsize=10_000)  # it takes a thousand times as long as a closed form
def _counted(node: Spec, shape: Shape) -> tuple[Cost, tuple[str, ...], tuple[str, ...]]:
    """Cost of a node by counting, the kinds in it without closed form, and the operations that no rule covers."""
    with torch.device("meta"):
        module = node.build(shape)
    found, held = count(module, shape), kept(module, shape)
    cost = Cost(
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
    return cost, tuple(_unpriced(node, shape)), tuple(found.uncounted)


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


def _is_refused(architecture: Architecture) -> bool:
    """Whether a network cannot be priced."""
    try:
        price(architecture)
    except ValueError:
        return True
    return False


def _until_none(reasons: Iterable[str | None]) -> Iterator[str | None]:
    """The reasons up to the first that is None, with it."""
    for reason in reasons:
        yield reason
        if reason is None:
            return


def excess(value: float, bound: float) -> float:
    """Share by which a cost exceeds its bound: 0.5 for half as much again, negative if the bound is kept."""
    return value / bound - 1


def violations(values: Mapping[str, float], bounds: Mapping[str, float]) -> dict[str, float]:
    """Bound -> by what share it is exceeded, for the bounds that are; a value that is not known exceeds none."""
    return {name: excess(values[name], bound) for name, bound in bounds.items() if values.get(name, -math.inf) > bound}


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
        candidate = self._candidate(architecture, price(architecture))
        with user_input(""):
            settings = {name: as_settings(name, o.settings(candidate)) for name, o in self.costs.items()}
        return self._values(candidate), settings

    def values(self, architecture: Architecture, priced: Price) -> dict[str, float]:
        """Value of every cost of an architecture that was priced already, by name."""
        return self._values(self._candidate(architecture, priced))

    def _candidate(self, architecture: Architecture, priced: Price) -> Candidate:
        """What costs are measured on."""
        model = NO_MODEL
        if not all(map(self.known, self.costs.values())):
            with torch.device("meta"):  # a user's own objective of shapes may need the module itself
                model = build(architecture)
        held = priced.kept if self.closed else None
        return Candidate(model, architecture.input, known=priced.counts, known_kept=held)

    def _values(self, candidate: Candidate) -> dict[str, float]:
        with user_input(""):
            return {name: as_value(name, o, o.measure(candidate)) for name, o in self.costs.items()}

    def known(self, objective: Objective) -> bool:
        """Whether closed forms are all that an objective needs."""
        return isinstance(objective, Count) or (self.closed and isinstance(objective, OfBatch))

    def violations(self, values: Mapping[str, float]) -> dict[str, float]:
        """Bound -> by what share it is exceeded, for the bounds that are."""
        return violations(values, self.bounds)

    def extreme(self, name: str, *, largest: bool) -> float:
        """Cost ``name`` of the dearest (or cheapest) architecture found by improving one choice at a time.

        Exact where the choices act monotonically, as those of a cost do; a bound on it otherwise.
        """
        sign = -1 if largest else 1
        picks = self.buildable()
        seen: dict[str, float] = {}

        def value(picks: Mapping[str, Value]) -> float:
            architecture = self.space.network(picks)
            if architecture is None:
                return math.inf
            if architecture.key not in seen:
                try:
                    seen[architecture.key] = sign * self.measure(architecture)[0][name]
                except WrongInputError:
                    raise
                except ValueError:
                    seen[architecture.key] = math.inf
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

    def refusal(self, picks: Mapping[str, Value]) -> str | None:
        """Why a candidate cannot be built, None if it can: it is decoded and priced."""
        try:
            price(self.space.decode(picks))
        except ValueError as error:
            return str(error)
        return None

    def buildable(self) -> dict[str, Value]:
        """Picks of a candidate that can be built: the first options, or random ones.

        Raises:
            ValueError: if none is found, with the option for which the first ones cannot be built, and the reason.
        """
        if (reason := self.refusal(self.space.first)) is None:
            return self.space.first
        generator = random.Random(0)
        for _ in range(TRIES):
            if self.refusal(picks := self.space.draw(generator)) is None:
                return picks
        blamed = self.space.blamed(self.space.first, _is_refused)
        raise ValueError(f"{blamed} = {self.space.first[blamed]} cannot be built: {reason}" if blamed else reason)

    def check_options(self) -> tuple[dict[str, dict[Value, str]], dict[tuple[str, str], str]]:
        """Prices every option of every choice, alone and with each option of the choices that are used beside it.

        Returns:
            The options with which nothing can be built, by choice, with the reason; and by pair of choices the reason
            that two of their options cannot be built together. Candidates of such a pair are refused in the search.

        Raises:
            ValueError: if no candidate at all can be built.
        """
        base, generator = self.buildable(), random.Random(0)
        drawn = [self.space.draw(generator) for _ in range(TRIES)]
        places = [base, *(picks for picks in drawn if self.refusal(picks) is None)]
        used_in = [(picks, self.space.used(picks)) for picks in places]
        dead: dict[str, dict[Value, str]] = {}
        pairs: dict[tuple[str, str], str] = {}
        for number, choice in enumerate(self.space.choices):
            using = [picks for picks, used in used_in if choice.name in used]
            for option in choice.options:
                reasons = (self.refusal({**picks, choice.name: option}) for picks in using)
                tried = [(picks, reason) for picks, reason in zip(using, _until_none(reasons), strict=False)]
                if tried and tried[-1][1] is not None:
                    place, reason = {**tried[0][0], choice.name: option}, str(tried[0][1])
                    blamed = self.space.blamed(place, _is_refused) or choice.name
                    with_it = "" if blamed == choice.name else f"with {blamed} = {place[blamed]}, "
                    dead.setdefault(choice.name, {})[option] = with_it + reason
                elif tried and option != tried[-1][0][choice.name]:
                    place = {**tried[-1][0], choice.name: option}
                    pairs |= self._refused_beside(tried[-1][0], place, choice, self.space.choices[number + 1 :], pairs)
        return dead, pairs

    def _refused_beside(
        self,
        before: Mapping[str, Value],
        picks: Mapping[str, Value],
        choice: Choice,
        others: Iterable[Choice],
        known: Container[tuple[str, str]],
    ) -> dict[tuple[str, str], str]:
        """The other choices with an option that cannot be built beside this option, and the reason of each.

        Args:
            before: ``picks`` with another option of the choice; what cannot be built there either is not its fault.
        """
        found, used = {}, self.space.used(picks)
        for other in others:
            if other.name not in used or (choice.name, other.name) in known:
                continue
            for option in other.options:
                reason = None if option == picks[other.name] else self.refusal({**picks, other.name: option})
                if reason is not None and self.refusal({**before, other.name: option}) is None:
                    pair = f"{choice.name} = {picks[choice.name]} with {other.name} = {option}"
                    found[choice.name, other.name] = f"{pair}: {reason}"
                    break
        return found

    def check_bounds(self) -> None:
        """Makes sure that some architecture of the space keeps the bounds.

        Raises:
            WrongInputError: if none is found, naming the bound that is hit and the cheapest cost seen.
        """
        generator = random.Random(0)
        hits = dict.fromkeys(self.bounds, 0)
        for _ in range(64 if self.bounds else 0):
            picks = self.space.draw(generator)
            if self.refusal(picks) is not None:
                continue
            violated = self.violations(self.measure(self.space.decode(picks))[0])
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

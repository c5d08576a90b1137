"""A search space: a flat list of choices and one pure function from picks to an `Architecture`.

Flat because Optuna's genetic samplers do not evolve conditional parameters: every choice is always picked, and picks
that the architecture does not use are dropped by ``decode``, so equal networks have equal keys.
"""

import contextlib
import itertools
import math
import random
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

from searchspaces.architecture import Architecture, Value
from searchspaces.registry import not_one_of, register, unknown

Picks = Mapping[str, Value]

F = TypeVar("F", bound=Callable[..., "SearchSpace"])

SEARCH_SPACES: dict[str, Callable[..., "SearchSpace"]] = {}
"""Name -> function ``(input: Shape, classes: int, **settings) -> SearchSpace``.

One that takes ``outputs: Shape | None`` as well is told what networks return that have no classes.
"""


def search_space(name: str) -> Callable[[F], F]:
    """Decorator that registers a function that returns a `SearchSpace`; its keyword-only arguments are settings."""

    def add(function: F) -> F:
        register(SEARCH_SPACES, "search space", name)(function)
        return function

    return add


@dataclass(frozen=True)
class Choice:
    """One decision of a search space.

    Args:
        name: ``choice``, or ``group.choice`` where several groups make the same choice.
        options: values that are searched by default; all of one type, because to Optuna ``True`` and ``1`` are equal.
        allowed: every value that a study may ask for.
        help: one sentence with the unit.
        tied: made once for all groups, so that the name has none.
        presets: name -> the options for which it stands where a study names options.
        check: raises ValueError, with the reason, for a value that nothing can be made of whatever else is picked.
        unset: while it is off it has no value, not that of ``options``.
    """

    name: str
    options: tuple[Value, ...]
    allowed: Container[Value]
    help: str
    tied: bool = False
    presets: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    check: Callable[[Value], object] = field(default=lambda value: None, compare=False)
    unset: bool = False

    @property
    def takes(self) -> str:
        """What a study may ask for, in words."""
        sets = (f"{name} (all of {_listed(options)})" for name, options in self.presets.items())
        return "; ".join([describe(self.allowed), *sets])

    @property
    def short(self) -> str:
        """The name without its group."""
        return self.name if self.tied else self.name.partition(".")[2] or self.name

    def narrow(self, values: Sequence[Value]) -> "Choice":
        """The choice with ``values`` as its options; whole numbers may stand for any numbers, a preset for its options.

        Raises:
            ValueError: if there are none, or one is repeated or not allowed.
        """
        if type(self.options[0]) is float:
            values = [float(value) if type(value) is int else value for value in values]
        if not values:
            raise ValueError(f"choice {self.name!r} needs at least one option. Allowed: {self.takes}.")
        for i, value in enumerate(values):
            if value in list(values)[:i]:
                raise ValueError(f"choice {self.name!r} names the option {value!r} twice.")
            if type(value) is not type(self.options[0]) or not (value in self.allowed or value in self.presets):
                raise ValueError(f"choice {self.name!r} cannot be {value!r} ({self.help}). Allowed: {self.takes}.")
            try:
                self.check(value)
            except ValueError as error:
                raise ValueError(f"choice {self.name!r} cannot be {value!r}: {error}") from None
        options = [option for value in values for option in self.presets.get(str(value), (value,))]
        return replace(self, options=tuple(dict.fromkeys(options)))


@dataclass(frozen=True)
class Distinct:
    """A number of different architectures; ``exact`` if it was counted, False if it was estimated."""

    count: int
    exact: bool


class _Read(Mapping[str, Value]):
    """Picks that note in ``names`` which of them are read."""

    def __init__(self, picks: Picks) -> None:
        self.picks, self.names = picks, set[str]()

    def __getitem__(self, name: str) -> Value:
        value = self.picks[name]
        self.names.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.picks  # to look whether there is a pick is not to use it

    def __iter__(self) -> Iterator[str]:
        self.names.update(self.picks)
        return iter(self.picks)

    def __len__(self) -> int:
        return len(self.picks)


class _Tied(Mapping[str, Value]):
    """Picks in which each of the tied choices has the pick that stands for all of them."""

    def __init__(self, picks: Picks, standing: Mapping[str, str]) -> None:
        self.picks, self.standing = picks, standing

    def __getitem__(self, name: str) -> Value:
        return self.picks[self.standing.get(name, name)]

    def __contains__(self, name: object) -> bool:
        return (name if name not in self.standing else self.standing[str(name)]) in self.picks

    def __iter__(self) -> Iterator[str]:
        yield from self.standing
        yield from (name for name in self.picks if name not in self.standing.values())

    def __len__(self) -> int:
        return len(self.picks) + len(self.standing) - len(set(self.standing.values()))


def _no_facts(picks: Picks) -> dict[str, Value]:
    return {}


@dataclass(frozen=True)
class SearchSpace:
    """Choices and the pure function that turns picks into an architecture.

    Args:
        name: as registered.
        choices: in the order in which they are shown.
        to_architecture: pure function of a value for every choice, and for those of ``more`` that a study names.
        more: choices that are searched only if a study names them; without them the space stays small.
        facts: what is worth recording of a candidate and not plain from its picks.
        moved: former choice -> what a study says in its place.
        before: the space as it was before options were named.
    """

    name: str
    choices: tuple[Choice, ...]
    to_architecture: Callable[[Picks], Architecture]
    more: tuple[Choice, ...] = ()
    facts: Callable[[Picks], dict[str, Value]] = _no_facts
    moved: Mapping[str, str] = field(default_factory=dict)
    before: "SearchSpace | None" = None

    @property
    def size(self) -> int:
        """Exact number of assignments: the product of the numbers of options."""
        return math.prod(len(choice.options) for choice in self.choices)

    @property
    def first(self) -> dict[str, Value]:
        """The first option of every choice, an assignment to start from."""
        return {choice.name: choice.options[0] for choice in self.choices}

    def decode(self, picks: Picks) -> Architecture:
        """Architecture of one assignment; picks that it does not use make no difference.

        Raises:
            ValueError: if a choice is missing or unknown, or a value is not among its options.

        Example: ``space.decode(space.first)``.
        """
        self.check(picks)
        return self.to_architecture(picks).canonical()

    def network(self, picks: Picks) -> Architecture | None:
        """As `decode`, but None for picks with which no network can be made."""
        try:
            return self.decode(picks)
        except ValueError:
            return None

    def used(self, picks: Picks) -> set[str]:
        """Names of the choices that `decode` reads for ``picks``, as far as it gets; the others make no difference."""
        read = _Read(picks)
        with contextlib.suppress(ValueError):
            self.to_architecture(read)
        return read.names

    def check(self, picks: Picks) -> None:
        """Makes sure that picks are an option for every choice, and nothing else.

        Raises:
            ValueError: if a choice is missing or unknown, or a value is not among its options.
        """
        known = self._options
        for name, value in picks.items():
            if name not in known:
                raise ValueError(unknown("choice", name, known))
            if value not in known[name]:  # inline, because samplers decode many thousands of picks
                raise ValueError(not_one_of(f"choice {name!r}", value, known[name]))
        if missing := known.keys() - picks.keys():
            raise ValueError(f"picks lack {', '.join(sorted(missing))}.")

    @cached_property
    def _options(self) -> dict[str, tuple[Value, ...]]:
        return {choice.name: choice.options for choice in self.choices}

    def narrow(self, options: Mapping[str, Value | Sequence[Value]]) -> "SearchSpace":
        """The space with other options for the named choices; one value fixes a choice.

        ``kernel`` names every choice ``<group>.kernel`` at once; the full name ``s1.kernel`` overrides it. A choice of
        ``more`` that is named is searched from then on.

        Example: ``space.narrow({"kernel": [3, 5], "depth": 4})``.

        Raises:
            ValueError: if a name is unknown or a value not allowed.
        """
        every = (*self.choices, *self.more)
        names = {choice.name for choice in every} | {choice.short for choice in every}
        for name in options:
            if name not in names:
                raise ValueError(self._unknown(name, names))

        def narrowed(choice: Choice) -> Choice:
            values = options.get(choice.name, options.get(choice.short))
            if values is None:
                return choice
            return choice.narrow([values] if isinstance(values, str | int | float) else values)

        added = [choice for choice in self.more if choice.name in options or choice.short in options]
        return replace(
            self,
            choices=tuple(narrowed(choice) for choice in (*self.choices, *added)),
            more=tuple(choice for choice in self.more if choice not in added),
            before=self.before or self,
        )

    def blamed(self, picks: Picks, refused: Callable[[Architecture], bool]) -> str | None:
        """The choice whose pick makes ``picks`` a network that is refused; None if it is none.

        From the first options of the space as it was before, the choices take their picks one after the other.
        """
        base, blamed = self.before or self, None
        taken = base.first
        for choice in self.choices:
            group = (c.name for c in (*base.choices, *base.more) if choice.name == (c.short if choice.tied else c.name))
            taken |= dict.fromkeys(group, picks[choice.name])
            try:
                bad = refused(base.to_architecture(taken).canonical())
            except ValueError:
                bad = True
            blamed = (blamed or choice.name) if bad else None
        return blamed

    def remove(self, names: Sequence[str]) -> "SearchSpace":
        """The space without the named choices: each stays at its first option.

        Raises:
            ValueError: if a name is unknown.
        """
        first = self.first
        return self.narrow({choice.name: first[choice.name] for name in names for choice in self._named(name)})

    def tie(self, names: Sequence[str]) -> "SearchSpace":
        """The space in which all groups share one pick of each named choice, whose name loses its group.

        Example: ``resnet.tie(["freeze"])`` has one choice ``freeze`` in place of ``s1.freeze`` to ``s4.freeze``.

        Raises:
            ValueError: if a name is unknown or of a single choice, or the options of the groups differ.
        """
        standing: dict[str, str] = {}
        choices = list(self.choices)
        for name in names:
            group = self._named(name)
            if len(group) < 2 or any(choice.name in standing for choice in group):
                raise ValueError(f"{name!r} is one choice already: there is nothing to tie.")
            for other in group[1:]:
                if other.options != group[0].options:
                    raise ValueError(
                        f"choices that are tied need equal options: {group[0].name} has {_listed(group[0].options)}, "
                        f"{other.name} has {_listed(other.options)}. Give {name!r} the options of all."
                    )
            choices[choices.index(group[0])] = replace(group[0], name=name, tied=True)
            choices = [choice for choice in choices if choice not in group]
            standing |= {choice.name: name for choice in group}
        decoded, known = self.to_architecture, self.facts
        return replace(
            self,
            choices=tuple(choices),
            to_architecture=lambda picks: decoded(_Tied(picks, standing)),
            facts=lambda picks: known(_Tied(picks, standing)),
        )

    def _named(self, name: str) -> list[Choice]:
        """The choices with this name, in full or without its group.

        Raises:
            ValueError: if there is none.
        """
        found = [choice for choice in self.choices if name in (choice.name, choice.short)]
        if not found:
            raise ValueError(self._unknown(name, {choice.name for choice in self.choices}))
        return found

    def _unknown(self, name: str, known: Iterable[str]) -> str:
        """The message for a name that no choice has."""
        if name in self.moved:
            return f"there is no choice {name!r} any more. {self.moved[name]}"
        return unknown("choice", name, known)

    def effective(self, picks: Picks) -> set[str]:
        """Names of the choices that make a difference to the network of ``picks``, changed one at a time.

        Raises:
            ValueError: see `check`.
        """
        self.check(picks)
        read = _Read(picks)
        network = self.to_architecture(read).canonical()
        return {
            choice.name
            for choice in self.choices
            if choice.name in read.names  # one that is never read makes none
            and any(
                self.network({**picks, choice.name: option}) != network
                for option in choice.options
                if option != picks[choice.name]
            )
        }

    def distinct(self, enumerable: int = 50_000) -> "Distinct":
        """Number of different architectures: counted in spaces of at most ``enumerable`` assignments, else estimated.

        The estimate weights random assignments by how many others make the same network, one choice changed at a time.
        """
        if self.size <= enumerable:
            return Distinct(len({network.key for network in self._networks(self.assignments())}), exact=True)
        generator, shares = random.Random(0), []
        for _ in range(100):
            picks = self.draw(generator)
            if (network := self.network(picks)) is None:
                shares.append(Fraction(0))
                continue
            same = 1
            for choice in self.choices:
                others = ({**picks, choice.name: option} for option in choice.options if option != picks[choice.name])
                same *= 1 + sum(other == network for other in self._networks(others))
            shares.append(Fraction(1, same))
        return Distinct(int(self.size * sum(shares) / len(shares)), exact=False)

    def _networks(self, assignments: Iterable[Picks]) -> Iterator[Architecture]:
        """The networks of those assignments that make one."""
        return (network for network in map(self.network, assignments) if network is not None)

    def assignments(self) -> Iterator[dict[str, Value]]:
        """Every assignment of the space, `size` in number."""
        names = [choice.name for choice in self.choices]
        for values in itertools.product(*(choice.options for choice in self.choices)):
            yield dict(zip(names, values, strict=True))

    def draw(self, generator: random.Random) -> dict[str, Value]:
        """One uniformly random assignment."""
        return {choice.name: generator.choice(choice.options) for choice in self.choices}


class Numbers:
    """Container of the numbers from ``low`` to ``high``."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


def describe(values: Container[Value]) -> str:
    """The allowed values in words: ``1 to 64``, or the values one by one."""
    if isinstance(values, range):
        step = f" in steps of {values.step}" if values.step != 1 else ""
        return f"{values.start} to {values[-1]}{step}"
    return ", ".join(map(str, values)) if isinstance(values, Sequence | Mapping) else str(values)


def _listed(options: Iterable[Value]) -> str:
    return ", ".join(map(str, options))

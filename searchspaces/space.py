"""A search space: a flat list of choices and one pure function from picks to an `Architecture`.

Flat because Optuna's genetic samplers do not evolve conditional parameters: every choice is always picked, and picks
that the architecture does not use are dropped by ``decode``, so equal networks have equal keys.
"""

import itertools
import math
import random
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

from searchspaces.architecture import Architecture, Value
from searchspaces.registry import not_one_of, register, unknown

Picks = Mapping[str, Value]

F = TypeVar("F", bound=Callable[..., "SearchSpace"])

SEARCH_SPACES: dict[str, Callable[..., "SearchSpace"]] = {}
"""Name -> function ``(input: Shape, classes: int, **settings) -> SearchSpace``."""


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
    """

    name: str
    options: tuple[Value, ...]
    allowed: Container[Value]
    help: str

    def narrow(self, values: Sequence[Value]) -> "Choice":
        """The choice with ``values`` as its options.

        Raises:
            ValueError: if there are none, or one is repeated or not allowed.
        """
        if not values:
            raise ValueError(f"choice {self.name!r} needs at least one option. Allowed: {describe(self.allowed)}.")
        for i, value in enumerate(values):
            if value in list(values)[:i]:
                raise ValueError(f"choice {self.name!r} names the option {value!r} twice.")
            if type(value) is not type(self.options[0]) or value not in self.allowed:
                raise ValueError(
                    f"choice {self.name!r} cannot be {value!r} ({self.help}). Allowed: {describe(self.allowed)}."
                )
        return replace(self, options=tuple(values))


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
        self.names.add(name)
        return self.picks[name]

    def __iter__(self) -> Iterator[str]:
        self.names.update(self.picks)
        return iter(self.picks)

    def __len__(self) -> int:
        return len(self.picks)


@dataclass(frozen=True)
class SearchSpace:
    """Choices and the pure function that turns picks into an architecture.

    Args:
        name: as registered.
        choices: in the order in which they are shown.
        to_architecture: pure function of a value for every choice.
    """

    name: str
    choices: tuple[Choice, ...]
    to_architecture: Callable[[Picks], Architecture]

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

        ``kernel`` names every choice ``<group>.kernel`` at once; the full name ``s1.kernel`` overrides it.

        Example: ``space.narrow({"kernel": [3, 5], "depth": 4})``.

        Raises:
            ValueError: if a name is unknown or a value not allowed.
        """
        names = {choice.name for choice in self.choices} | {choice.name.split(".")[-1] for choice in self.choices}
        for name in options:
            if name not in names:
                raise ValueError(unknown("choice", name, names))

        def narrowed(choice: Choice) -> Choice:
            values = options.get(choice.name, options.get(choice.name.split(".")[-1]))
            if values is None:
                return choice
            return choice.narrow([values] if isinstance(values, str | int | float) else values)

        return replace(self, choices=tuple(narrowed(choice) for choice in self.choices))

    def remove(self, names: Sequence[str]) -> "SearchSpace":
        """The space without the named choices: each stays at its first option.

        Raises:
            ValueError: if a name is unknown.
        """
        first = self.first
        return self.narrow({full: first[full] for name in names for full in self._named(name)})

    def _named(self, name: str) -> list[str]:
        """Full names of the choices with this name, in full or without its group.

        Raises:
            ValueError: if there is none.
        """
        full = [choice.name for choice in self.choices if name in (choice.name, choice.name.split(".")[-1])]
        if not full:
            raise ValueError(unknown("choice", name, {choice.name for choice in self.choices}))
        return full

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
                self.to_architecture({**picks, choice.name: option}).canonical() != network
                for option in choice.options
                if option != picks[choice.name]
            )
        }

    def distinct(self, enumerable: int = 50_000) -> "Distinct":
        """Number of different architectures: counted in spaces of at most ``enumerable`` assignments, else estimated.

        The estimate weights random assignments by how many others make the same network, one choice changed at a time.
        """
        if self.size <= enumerable:
            return Distinct(len({self.decode(picks).key for picks in self.assignments()}), exact=True)
        generator, shares = random.Random(0), []
        for _ in range(100):
            picks = self.draw(generator)
            key, same = self.decode(picks).key, 1
            for choice in self.choices:
                changed = [
                    self.decode({**picks, choice.name: o}).key for o in choice.options if o != picks[choice.name]
                ]
                same *= 1 + changed.count(key)
            shares.append(Fraction(1, same))
        return Distinct(int(self.size * sum(shares) / len(shares)), exact=False)

    def assignments(self) -> Iterator[dict[str, Value]]:
        """Every assignment of the space, `size` in number."""
        names = [choice.name for choice in self.choices]
        for values in itertools.product(*(choice.options for choice in self.choices)):
            yield dict(zip(names, values, strict=True))

    def draw(self, generator: random.Random) -> dict[str, Value]:
        """One uniformly random assignment."""
        return {choice.name: generator.choice(choice.options) for choice in self.choices}


def describe(values: Container[Value]) -> str:
    """The allowed values in words: ``1 to 64``, or the values one by one."""
    if isinstance(values, range):
        step = f" in steps of {values.step}" if values.step != 1 else ""
        return f"{values.start} to {values[-1]}{step}"
    return ", ".join(map(str, values)) if isinstance(values, Sequence | Mapping) else str(values)

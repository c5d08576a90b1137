"""Tables of names, and the errors for names that are not in them."""

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def register(table: dict[str, T], noun: str, name: str) -> Callable[[T], T]:
    """Decorator that enters the decorated object into ``table`` under ``name``.

    Raises:
        ValueError: if the name is taken; nothing is ever replaced silently.
    """

    def add(entry: T) -> T:
        if name in table:
            raise ValueError(f"{noun} {name!r} is already registered by {table[name]!r}. Choose another name.")
        table[name] = entry
        return entry

    return add


def lookup(table: Mapping[str, T], noun: str, name: str) -> T:
    """Entry of ``table`` called ``name``.

    Raises:
        ValueError: naming the nearest and all known names.
    """
    if not isinstance(name, str) or name not in table:
        raise ValueError(unknown(noun, name, table))
    return table[name]


def unknown(noun: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that does not exist: the name, the nearest known one, all known ones."""
    names, given = sorted(known), brief(name)
    near = get_close_matches(str(name) if len(given) <= 60 else "", names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {noun} {given}.{hint} Known: {', '.join(names) or 'none'}."


def brief(value: object) -> str:
    """A value as a message shows it: its first hundred characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def check_least(value: object, **least: float) -> None:
    """Makes sure that fields of ``value`` are at least so large: ``check_least(self, kernel=1, padding=0)``.

    Raises:
        ValueError: naming the first one that is not, or is not finite.
    """
    for name, bound in least.items():
        if not bound <= getattr(value, name) < math.inf:
            raise ValueError(f"{name} must be at least {bound}, got {getattr(value, name)}.")


def check_positive(value: object, *names: str) -> None:
    """Makes sure that fields of ``value`` are above 0 and finite.

    Raises:
        ValueError: naming the first one that is not.
    """
    for name in names:
        if not 0 < getattr(value, name) < math.inf:
            raise ValueError(f"{name} must be positive, got {getattr(value, name):g}.")


def check_odd(value: object, *names: str) -> None:
    """Makes sure that fields of ``value`` are odd and positive, as sides of centred windows are.

    Raises:
        ValueError: naming the first one that is not, with the odd values next to it.
    """
    for name in names:
        if (side := getattr(value, name)) < 1 or side % 2 == 0:
            near = f"{side - 1} or {side + 1}" if side > 1 else "1 or 3"
            raise ValueError(f"{name} must be odd, got {side}. Take {near}.")


def check_one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    """Makes sure that the field or choice ``name`` has one of the ``allowed`` values.

    Raises:
        ValueError: with all allowed values.
    """
    values = tuple(allowed)
    if value not in values or type(value) not in map(type, values):  # True equals 1
        raise ValueError(not_one_of(name, value, values))


def not_one_of(name: str, value: object, allowed: Iterable[object]) -> str:
    """The message for a field or choice whose value is not allowed."""
    return f"{name} must be one of {', '.join(map(str, allowed))}, got {brief(value)}."

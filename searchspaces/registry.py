"""Tables of names: an entry registers where it is defined, and an unknown name is answered with the nearest ones."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def register(table: dict[str, T], noun: str, name: str) -> Callable[[T], T]:
    """Decorator that enters what it decorates into ``table`` under ``name``.

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
    if name not in table:
        raise ValueError(unknown(noun, name, table))
    return table[name]


def unknown(noun: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that does not exist: what came, the nearest name, all names."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {noun} {name!r}.{hint} Known: {', '.join(names) or 'none'}."

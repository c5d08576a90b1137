"""Expressions that make the parts of a network, as trees: compared, with arguments for what differs, and written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

WIDTH = 120
"""Characters of a line."""
MOST_PERIOD = 8
"""Longest pattern of layers of which repetitions are found."""


@dataclass(frozen=True)
class Leaf:
    """A value.

    Args:
        text: as it is written.
        type: its type, as it is written.
        slot: what it is, the name of an argument that takes its place.
    """

    text: str
    type: str
    slot: str = field(default="value", compare=False)


@dataclass(frozen=True)
class Argument:
    """An argument of a call; left out where it is always ``default``."""

    value: "Tree"
    name: str = ""
    default: Leaf | None = None


@dataclass(frozen=True)
class Call:
    """``function(arguments)``; ``after`` follows, as an attribute."""

    function: str
    arguments: tuple[Argument, ...] = ()
    after: str = ""


@dataclass(frozen=True)
class Items:
    """``(a, b)`` or ``[a, b]``."""

    items: tuple["Tree", ...]
    brackets: str = "[]"


@dataclass(frozen=True)
class Repeat:
    """``body`` several times, in a sequence."""

    times: Leaf
    body: tuple["Tree", ...]
    alone: bool = False
    """Whether it is the only argument of a call."""


@dataclass(frozen=True)
class Raw:
    """A text as it is."""

    text: str


Tree = Leaf | Call | Items | Repeat | Raw


def leaf(value: Any, slot: str = "value") -> Leaf:
    """A number, text, None, type of numbers, or tuple of these."""
    return Leaf(_written(value), _type(value), slot)


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_written, value))}{',' * (len(value) == 1)})"
    if isinstance(value, str):
        return '"' + repr("'" + value)[2:-1].replace('"', '\\"') + '"'
    if isinstance(value, float) and value in (float("inf"), -float("inf")):
        return f'float("{value}")'
    return str(value) if isinstance(value, torch.dtype) else repr(value)


def _type(value: Any) -> str:
    if isinstance(value, torch.dtype):
        return "torch.dtype"
    if not isinstance(value, tuple):
        return "None" if value is None else type(value).__name__
    kinds = list(map(_type, value))
    if len(set(kinds)) == 1:
        return f"tuple[{kinds[0]}, ...]"
    return f"tuple[{', '.join(kinds) or '()'}]"


def compressed(items: Sequence[Tree]) -> tuple[Tree, ...]:
    """The items with repetitions found: ``a b b b`` as a and three times b, ``a b a b`` as twice a and b."""
    found: list[Tree] = []
    place = 0
    while place < len(items):
        best = (1, 1)
        for period in range(1, MOST_PERIOD + 1):
            part, times = items[place : place + period], 1
            while items[place + times * period : place + (times + 1) * period] == part and len(part) == period:
                times += 1
            if times > 1 and (times - 1) * period > (best[1] - 1) * best[0]:
                best = (period, times)
        period, times = best
        part = items[place : place + period]
        found += [Repeat(leaf(times, "depth"), tuple(part))] if times > 1 else part
        place += period * times
    return tuple(found)


def leaves(tree: Tree) -> Iterator[Leaf]:
    """The values in a tree, from left to right."""
    if isinstance(tree, Leaf):
        yield tree
    elif isinstance(tree, Call):
        for argument in tree.arguments:
            yield from leaves(argument.value)
    elif isinstance(tree, Items):
        for item in tree.items:
            yield from leaves(item)
    elif isinstance(tree, Repeat):
        yield tree.times
        for item in tree.body:
            yield from leaves(item)


def skeleton(tree: Tree) -> Tree:
    """The tree with the type alone of each value."""
    if isinstance(tree, Leaf):
        return Leaf("", tree.type, tree.slot)
    if isinstance(tree, Call):
        return replace(tree, arguments=tuple(replace(a, value=skeleton(a.value)) for a in tree.arguments))
    if isinstance(tree, Items):
        return replace(tree, items=tuple(map(skeleton, tree.items)))
    if isinstance(tree, Repeat):
        return Repeat(Leaf("", "int"), tuple(map(skeleton, tree.body)), tree.alone)
    return tree


def filled(tree: Tree, values: Iterator[Leaf]) -> Tree:
    """The tree with other values, from left to right."""
    if isinstance(tree, Leaf):
        return next(values)
    if isinstance(tree, Call):
        return replace(tree, arguments=tuple(replace(a, value=filled(a.value, values)) for a in tree.arguments))
    if isinstance(tree, Items):
        return replace(tree, items=tuple(filled(item, values) for item in tree.items))
    if isinstance(tree, Repeat):
        times = next(values)
        return Repeat(times, tuple(filled(item, values) for item in tree.body), tree.alone)
    return tree


def written(tree: Tree, indent: int, used: int = 0, after: int = 0) -> str:
    """The expression.

    Args:
        indent: of the statement it is in.
        used: characters before it on its line, ``after`` behind it.
    """
    line = _line(tree)
    if used + len(line) + after <= WIDTH:
        return line
    opening, parts, closing = _parts(tree)
    if not parts:
        return line
    inner = indent + 4
    if _is_generator(tree):
        rows = [" " * inner + _wrapped(part, prefix, inner) for prefix, part in parts]
        return "\n".join([opening, *rows, " " * indent + closing])
    together = ", ".join(prefix + _line(part) for prefix, part in parts)
    if inner + len(together) <= WIDTH and isinstance(tree, Call):
        return f"{opening}\n{' ' * inner}{together}\n{' ' * indent}{closing}"
    comma = "" if len(parts) == 1 and isinstance(tree, Call) else ","  # as ruff formats them
    rows = [f"{' ' * inner}{_wrapped(part, prefix, inner)}{comma}" for prefix, part in parts]
    return "\n".join([opening, *rows, " " * indent + closing])


def _wrapped(part: Tree, prefix: str, indent: int) -> str:
    return prefix + written(part, indent, indent + len(prefix), 1)


def _parts(tree: Tree) -> tuple[str, list[tuple[str, Tree]], str]:
    if isinstance(tree, Call):
        shown = [argument for argument in tree.arguments if argument.value != argument.default]
        if _is_generator(tree):
            return f"{tree.function}(", _parts(shown[0].value)[1], ")"
        return f"{tree.function}(", [(f"{a.name}=" if a.name else "", a.value) for a in shown], ")" + tree.after
    if isinstance(tree, Items):
        return tree.brackets[0], [("", item) for item in tree.items], tree.brackets[1]
    if isinstance(tree, Repeat):
        if len(tree.body) == 1:
            return "*(", [("", tree.body[0]), ("", Raw(f"for _ in range({tree.times.text})"))], ")"
        rows = [Raw("layer"), Raw(f"for _ in range({tree.times.text})")]
        return "*(", [*(("", row) for row in rows), ("for layer in ", Items(tree.body, "()"))], ")"
    return "", [], ""


def _is_generator(tree: Tree) -> bool:
    """Whether an expression is written with ``for``, or is a call with such a one as its argument."""
    if isinstance(tree, Call) and len(tree.arguments) == 1:
        tree = tree.arguments[0].value
        return isinstance(tree, Repeat) and tree.alone
    return isinstance(tree, Repeat)


def _line(tree: Tree) -> str:
    if isinstance(tree, Leaf | Raw):
        return tree.text
    opening, parts, closing = _parts(tree)
    if _is_generator(tree):
        return opening + " ".join(prefix + _line(part) for prefix, part in parts) + closing
    comma = "," if isinstance(tree, Items) and tree.brackets == "()" and len(parts) == 1 else ""
    return opening + ", ".join(prefix + _line(part) for prefix, part in parts) + comma + closing


def argument_names(columns: Sequence[tuple[Leaf, ...]], taken: set[str]) -> dict[tuple[Leaf, ...], str]:
    """Column of values that differ, one for each instance -> name of the argument that holds it."""
    found: dict[tuple[Leaf, ...], str] = {}
    for column in columns:
        if column in found or len(set(column)) == 1:
            continue
        name, number = column[0].slot, 1
        while name in taken or name in found.values():
            number += 1
            name = f"{column[0].slot}{number}"
        found[column] = name
    return found


def argument_types(columns: Mapping[tuple[Leaf, ...], str]) -> list[tuple[str, str]]:
    """Name and type of each argument."""
    return [(name, column[0].type) for column, name in columns.items()]

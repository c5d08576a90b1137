"""What there is to search and to start from: search spaces with their choices, published networks."""

import random
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from nas.bill import parse_shape
from nas.errors import user_input
from nas.pricing import price
from searchspaces import SEARCH_SPACES, Architecture
from searchspaces.known import KNOWN
from searchspaces.registry import lookup
from searchspaces.space import describe


def describe_spaces(name: str | None, shape: str, classes: int) -> dict[str, dict[str, Any]]:
    """Size, number of different architectures, choices and an example of one search space, or of all.

    Raises:
        WrongInputError: if there is none of that name.
    """
    found = {}
    with user_input(""):
        names = [name] if name else sorted(SEARCH_SPACES)
        for each in names:
            space = lookup(SEARCH_SPACES, "search space", each)(parse_shape(shape), classes)
            distinct = space.distinct()
            example = space.decode(space.draw(random.Random(0)))
            found[each] = {
                "size": str(space.size),
                "distinct": str(distinct.count),
                "distinct_is_exact": distinct.exact,
                "choices": {
                    c.name: {"options": list(c.options), "allowed": describe(c.allowed), "help": c.help}
                    for c in space.choices
                },
                "example": example.to_json(),
            }
    return found


def spaces_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Search spaces, one a row."""
    table = Table()
    table.add_column("space")
    for column in ("assignments", "different networks", "choices"):
        table.add_column(column, justify="right")
    for name, space in found.items():
        table.add_row(name, f"{int(space['size']):.3g}", _distinct(space), str(len(space["choices"])))
    return table


def space_table(name: str, space: Mapping[str, Any]) -> Table:
    """The choices of one search space, one a row."""
    size = f"{int(space['size']):,} assignments, {_distinct(space)} different networks"
    example = Architecture.from_json(space["example"]).label()
    table = Table(title=f"{name}: {size}", title_justify="left", caption=f"example: {example}", caption_justify="left")
    for column in ("choice", "options", "allowed", "meaning"):
        table.add_column(column, overflow="fold")
    for choice, values in space["choices"].items():
        table.add_row(choice, ", ".join(map(str, values["options"])), values["allowed"], values["help"])
    return table


def _distinct(space: Mapping[str, Any]) -> str:
    return ("" if space["distinct_is_exact"] else "about ") + f"{int(space['distinct']):.3g}"


def describe_known() -> dict[str, dict[str, Any]]:
    """Input, classes and counts of every published network."""
    found = {}
    for name, make in KNOWN.items():
        architecture = make()
        total = price(architecture).total
        found[name] = {
            "input": list(architecture.input),
            "classes": architecture.classes,
            "parameters": total.parameters,
            "macs": total.macs,
        }
    return found


def known_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Published networks, one a row."""
    table = Table()
    table.add_column("known:NAME")
    for column in ("input", "classes", "parameters", "MACs"):
        table.add_column(column, justify="right")
    for name, row in found.items():
        size = "x".join(map(str, row["input"]))
        table.add_row(name, size, f"{row['classes']:,}", f"{row['parameters']:,}", f"{row['macs']:,}")
    return table

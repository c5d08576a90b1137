"""What there is to search and to start from: search spaces with their choices, published networks, data sets."""

import os
import random
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from nas.errors import user_input
from nas.pricing import price
from nas.show.architecture import parse_shape
from searchspaces import SEARCH_SPACES, Architecture, Choice
from searchspaces.freezing import FREEZE_PATTERNS
from searchspaces.known import KNOWN, OPTION
from searchspaces.registry import lookup
from trainers import DATASETS


def space_figures(name: str | None, shape: str, classes: int, *, every: bool = False) -> dict[str, dict[str, Any]]:
    """Size, number of different architectures, choices and an example of one search space, or of all.

    Args:
        every: with ``more``, the choices that are searched only if a study names them.

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
                "choices": _figures(space.choices),
                **({"more": _figures(space.more)} if every else {}),
                "example": example.to_json(),
            }
    return found


def _figures(choices: Iterable[Choice]) -> dict[str, dict[str, Any]]:
    return {
        c.name: {"options": [] if c.unset else list(c.options), "allowed": c.takes, "help": c.help} for c in choices
    }


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
    for column in ("choice", "options", "meaning", "allowed"):  # the widest last: a pipe gets no padding behind it
        table.add_column(column, overflow="fold")
    for choice, values in space["choices"].items():
        table.add_row(choice, ", ".join(map(str, values["options"])), values["help"], values["allowed"])
    if "more" in space:
        table.add_section()
        for short, values in _by_short_name(space["more"]).items():
            off = ": ".join(["off", *map(str, values["options"])])
            table.add_row(short, off, values["help"], values["allowed"])
    return table


def _by_short_name(more: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The choices of all stages as one row each, ``sN.NAME``; those of one stage do not differ from another's."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, values in more.items():
        found.setdefault(re.sub(r"^s\d+\.", "sN.", name), values)
    return found


def _distinct(space: Mapping[str, Any]) -> str:
    return ("" if space["distinct_is_exact"] else "about ") + f"{int(space['distinct']):.3g}"


def known_figures() -> dict[str, dict[str, Any]]:
    """Input, classes (or the shape of other outputs) and counts of every published network."""
    found = {}
    for name, make in KNOWN.items():
        architecture = make()
        total = price(architecture).total
        found[name] = {
            "input": list(architecture.input),
            "classes": architecture.outputs if isinstance(architecture.outputs, int) else None,
            "outputs": None if isinstance(architecture.outputs, int) else list(architecture.outputs),
            "parameters": total.parameters,
            "macs": total.macs,
        }
    return found


def known_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Published networks, one a row."""
    patterns = " or ".join(f"{OPTION}={pattern}" for pattern in FREEZE_PATTERNS if pattern != "full")
    table = Table(caption=f"known:NAME,{patterns} trains one kind of mixing alone", caption_justify="left")
    table.add_column("known:NAME")
    for column in ("input", "classes", "parameters", "MACs"):
        table.add_column(column, justify="right")
    for name, row in found.items():
        size = "x".join(map(str, row["input"]))
        returned = "x".join(map(str, row["outputs"])) if row["outputs"] else f"{row['classes']:,}"
        table.add_row(name, size, returned, f"{row['parameters']:,}", f"{row['macs']:,}")
    return table


def data_figures() -> list[dict[str, Any]]:
    """Every data set: whether and where it is on this machine, and where to get it."""
    rows = []
    for name, kind in DATASETS.items():
        where, origin = kind().found(), kind.origin
        origin += f" Or: nas data --download {name}" if kind.files else ""
        rows.append({"name": name, "here": where is not None, "where": where, "takes": kind.takes, "origin": origin})
    return rows


def data_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Data sets, one a row."""
    table = Table(caption=f"NAS_DATA is {os.environ.get('NAS_DATA') or 'not set'}", caption_justify="left")
    for column in ("name", "on this machine", "where it is, or comes from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        takes = row["takes"]
        here = "yes" if row["here"] else "yours" if takes else "no"
        table.add_row(f"{row['name']}:{takes}" if takes else row["name"], here, row["where"] or row["origin"])
    return table

"""What two trials do not have in common, as tables."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from nas.show.console import printable
from nas.show.trials import number
from objectives import Goal


def difference_table(figures: Mapping[str, Any], objectives: Mapping[str, Goal]) -> Table:
    """Choices, facts and values of `differences`, a row each."""
    table = Table(title="what differs", title_justify="left")
    table.add_column("")
    for trial in figures["trials"]:
        table.add_column(f"trial {trial}", justify="right")
    for name, pair in {**figures["picks"], **figures["facts"]}.items():
        table.add_row(printable(name), *("-" if value is None else printable(str(value)) for value in pair))
    table.add_section()
    for name, goal in objectives.items():
        pair = figures["measured"].get(name, [None, None])
        table.add_row(printable(name), *("-" if value is None else number(value, goal.scale) for value in pair))
    return table


def similarity_table(figures: Mapping[str, Any]) -> Table:
    """CKA of each layer of one trial with each of the other."""
    first, second = figures["trials"]
    found = figures["cka"]
    mean = "" if found["diagonal"] is None else f"mean of the diagonal {found['diagonal']:.3f}"
    table = Table(title="linear CKA", title_justify="left", caption=mean, caption_justify="left")
    table.add_column(f"trial {first} \\ {second}")
    for name in found["columns"]:
        table.add_column(name, justify="right")
    for name, values in zip(found["rows"], found["values"], strict=True):
        table.add_row(name, *(f"{value:.2f}" for value in values))
    return table

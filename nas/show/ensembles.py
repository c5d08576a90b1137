"""Several networks as one, beside its members."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def paired_table(figures: Mapping[str, Any]) -> Table:
    """What `nas pair` has written: values of the members and of the whole."""
    how = "linear probe"
    if figures["kind"] == "smoothing":
        first, second = figures["temperatures"]
        how = f"alpha {figures['alpha']:g}, temperatures {first:g} and {second:g}"
    size = f"{figures['macs']:,} MACs, {figures['parameters']:,} parameters"
    table = Table(title=f"{how}: {size}", title_justify="left")
    table.add_column("on validation")
    for member in figures["members"]:
        table.add_column(f"trial {member['trial']}", justify="right")
    table.add_column("together", justify="right")
    for name, value in figures["measured"].items():
        table.add_row(name, *(f"{m['measured'][name]:.4f}" for m in figures["members"]), f"{value:.4f}")
    return table

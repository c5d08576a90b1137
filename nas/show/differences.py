"""What two trials do not have in common, as tables."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.errors import printable
from nas.figures import MARK, si, value_text
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
        pair = zip(figures["measured"].get(name, [None] * 2), figures["errors"].get(name, [None] * 2), strict=True)
        shown = ("-" if value is None else value_text(value, goal.scale, error) for value, error in pair)
        marks = (MARK if words else "" for words in figures["flags"].get(name, [[], []]))
        table.add_row(printable(name), *(text + mark for text, mark in zip(shown, marks, strict=True)))
    return table


def mcnemar_line(figures: Mapping[str, Any]) -> str:
    """What `differences` says of the images that only one of the two classifies correctly; empty if it says nothing."""
    if not (test := figures["mcnemar"]):
        return ""
    first, second = figures["trials"]
    return (
        f"of {test['images']:,} images only trial {first} classifies {test['first']} correctly, only trial {second} "
        f"{test['second']}: p = {test['p']:.2g} (McNemar's exact test)"
    )


def print_chain(figures: Mapping[str, Any], objectives: Mapping[str, Goal], console: Console) -> None:
    """Prints `nas.results.differences.chain`: a step a paragraph."""
    cost, unit = figures["cost"], si(figures["unit"], 3)
    console.print(f"the front from trial {figures['first']}, by {printable(cost)}", soft_wrap=True)
    for step in figures["steps"]:
        told = []
        for name, change in step["difference"].items():
            goal, error, buys = objectives[name], step["error"][name], step["buys"].get(name)
            if name == cost:
                continue
            sign = "+" if change >= 0 else "-"
            marked = any(figures["flags"].get(str(step[end]), {}).get(name) for end in ("from", "to"))
            shown = f"{printable(name)} {sign}{value_text(abs(change), goal.scale, error)}{MARK if marked else ''}"
            told.append(shown if buys is None else f"{shown} ({'+' if buys >= 0 else '-'}{_rate(abs(buys), goal)})")
        console.print(
            f"-> trial {step['to']}: {printable(cost)} +{si(step['cost'], 3)}; {', '.join(told)}", soft_wrap=True
        )
        console.print(f"   {printable('; '.join(step['changes'])) or 'the same choices'}", soft_wrap=True)
    console.print(f"in brackets: for each {unit} of {printable(cost)} more", soft_wrap=True)


def _rate(value: float, goal: Goal) -> str:
    return f"{value:.4f}" if goal.scale == "fraction" else si(value, 3)


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

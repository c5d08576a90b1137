"""`nas explain`, drawn: shares of variance beside each other, and what the options of the first choices do."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from nas.errors import printable
from nas.show.rows import Rows
from objectives import Goal

FIRST = 3
"""Choices of an objective whose options are shown."""


def print_explained(figures: Mapping[str, Any], goals: Mapping[str, Goal], console: Console) -> None:
    """Prints what `nas.results.explain.explain` returned."""
    found = figures["objectives"]
    known = {name: one for name, one in found.items() if "shares" in one}
    for name, one in found.items():
        console.print(f"{printable(name)}: {_source(one, figures['assignments'])}", soft_wrap=True)
    if not known:
        return
    order = sorted(figures["choices"], key=lambda choice: -max(one["shares"][choice] for one in known.values()))
    cells = [
        [printable(choice), f"{100 * figures['choices'][choice]:.0f} %"]
        + [_share(one[which][choice]) for one in known.values() for which in ("shares", "good")]
        for choice in order
    ]
    columns = [
        "choice",
        "in effect",
        *(c for name in known for c in (printable(name), f"{printable(name)}, best 25 %")),
    ]
    console.print("\nshare of the variance, in all networks and among the best quarter", soft_wrap=True)
    Rows(columns, frozenset(columns[1:]), cells, narrow=console.is_terminal).print(console)
    for name, one in known.items():
        _print_effects(name, one, goals[name], figures["cost"], console)


def _source(one: Mapping[str, Any], assignments: int) -> str:
    if one["source"] == "priced":
        return f"exact, from {assignments:,} priced networks; no trial is needed"
    told = f"a forest fitted to {one['trials']} trials"
    if "quality" in one:
        told += f" predicts {100 * max(0.0, one['quality']):.0f} % of the variance of trials that it has not seen"
    return f"{told}; that is too little: it takes {one['refused']}" if "refused" in one else told


def _share(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "-"


def _print_effects(name: str, one: Mapping[str, Any], goal: Goal, cost: str | None, console: Console) -> None:
    """Prints what the options of the first choices do."""
    which = "at_equal_cost" if "at_equal_cost" in one else "effects"
    equal = f" at equal {printable(cost)}" if which == "at_equal_cost" and cost else ""
    console.print(f"\n{printable(name)}{equal}, against the mean of what uses the choice", soft_wrap=True)
    shares = one["shares"]
    for choice in sorted(shares, key=lambda choice: -shares[choice])[:FIRST]:
        options = sorted(one[which].get(choice, {}).items(), key=lambda pair: -pair[1])
        told = ", ".join(f"{printable(option)} {_effect(value, goal)}" for option, value in options)
        if shares[choice] >= 0.0005 and told:
            console.print(f"  {printable(choice)}: {told}", soft_wrap=True)


def _effect(value: float, goal: Goal) -> str:
    return f"x {10**value:.3g}" if goal.scale == "count" else f"{value:+.4f}"

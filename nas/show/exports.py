"""Exports side by side, for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from nas.errors import printable
from nas.figures import MARK, si, value_text
from nas.results.exports import CALIBRATION
from nas.show.rows import Rows
from objectives import OBJECTIVES

BESIDE = 2
"""Attacks in the first table; further ones have a table of their own, so that no line is longer than 80 characters."""
IN_A_ROW = 7
"""Attacks in any other table."""


def print_compared(figures: Mapping[str, Any], console: Console) -> None:
    """Prints what `nas.results.exports.compare_exports` returned: exports, their forms, attacks, McNemar's test."""
    for number, one in enumerate(figures["exports"], start=1):
        trials = ", ".join(map(str, one["trials"]))
        what = f"{one['study']}, trial{'s' if len(one['trials']) > 1 else ''} {trials}"
        size = f"{si(one['parameters'])} parameters, {si(one['macs'])} MACs"
        console.print(f"{number}  {one['out']}: {what}, {size}", soft_wrap=True)
    console.print("")
    attacks = list(figures["attacks"])
    _forms(figures, attacks[:BESIDE]).print(console)
    for start in range(BESIDE, len(attacks), IN_A_ROW):
        console.print("")
        _attacked(figures, attacks[start : start + IN_A_ROW], start).print(console)
    console.print("")
    for line in _legend(figures):
        console.print(line, soft_wrap=True)


def _forms(figures: Mapping[str, Any], attacks: list[str]) -> Rows:
    """A form a row: values, latency, size."""
    measure = figures["measure"]
    names = [measure, "calibr. error", *(f"attack {number}" for number, _ in enumerate(attacks, start=1))]
    names += [*(f"ms, batch {batch}" for batch in figures["batches"]), "MB on disk"]
    cells = []
    for number, one in enumerate(figures["exports"], start=1):
        for form in one["forms"]:
            values = [_value(form, name) for name in (measure, CALIBRATION, *attacks)]
            times = [f"{form['latency_ms'][str(batch)]:.3g}" for batch in figures["batches"]]
            cells.append([f"{number} {form['form']}", *values, *times, f"{form['bytes'] / 1e6:.3f}"])
    return Rows(["form", *names], frozenset(names), cells, narrow=True)


def _attacked(figures: Mapping[str, Any], attacks: list[str], start: int) -> Rows:
    """An export a row: values under further attacks."""
    names = [f"attack {start + number}" for number, _ in enumerate(attacks, start=1)]
    cells = [
        [str(number), *(_value(one["forms"][0], name) for name in attacks)]
        for number, one in enumerate(figures["exports"], start=1)
    ]
    return Rows(["form", *names], frozenset(names), cells, narrow=True)


def _value(form: Mapping[str, Any], name: str) -> str:
    value = form["measured"][name]
    if value is None:
        return "-"
    kind = OBJECTIVES.get(name)
    return value_text(value, kind.scale if kind else "fraction") + (MARK if form["flags"].get(name) else "")


def _legend(figures: Mapping[str, Any]) -> list[str]:
    """What the tables do not say."""
    what = f"{figures['samples']:,} {figures['split']} {figures['things']} of {figures['data']}"
    lines = [f"on {what}; noted in evaluations.jsonl of each"]
    owns = [one["forms"][0] for one in figures["exports"]]
    errors = [error for own in owns for name, error in own["errors"].items() if error and name != CALIBRATION]
    if errors:
        lines[0] += f"; standard errors up to {max(errors):.2g}"
    for number, (name, settings) in enumerate(figures["attacks"].items(), start=1):
        told = ", ".join(f"{key} {_brief(value)}" for key, value in settings.items() if value is not None)
        lines.append(f"attack {number}: {name} ({told})")
    for number, one in enumerate(figures["exports"], start=1):
        lines += [f"{number} {form} not run: {reason}" for form, reason in one["left_out"].items()]
        for name, flags in one["forms"][0]["flags"].items():
            lines.append(f"{MARK} {number} {name}: {', '.join(flags)}")
    lines.append("ms: least of several turns that all forms take, one thread of the CPU")
    for test in figures["mcnemar"]:
        one, other = (index + 1 for index in test["exports"])
        lines.append(
            f"of {test['images']:,} {figures['things']} {one} alone has {test['first']} right, {other} alone "
            f"{test['second']}: p = {test['p']:.2g} (McNemar's exact test)"
        )
    return [printable(line) for line in lines]


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""`nas pareto`: the members of a front one a line, with what changes from each to the next, and a small scatter."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Self

import numpy as np
from rich.console import Console

from nas.errors import printable
from nas.figures import MARK, value_text
from nas.results.differences import changes
from nas.results.study import Study
from nas.show.rows import Rows
from nas.show.trials import flags_of, print_confirmation, print_flags, why
from nas.store.records import TrialRecord
from objectives import Goal

COLOURED = 200
"""Rows up to which cells are coloured by rank."""
LEAST = 16
"""Characters that are kept for the change to the line above."""
ACROSS, DOWN = 60, 12
"""Characters of the scatter."""


def print_front(study: Study, records: Sequence[TrialRecord], console: Console) -> None:
    """Prints trials one a line: values with errors, the knee marked, and the change to the line above in words.

    On a terminal the changes are cut to what fits, by whole ones, and a scatter stands below.
    """
    members = {record.number for record in study.front}
    inside = [record for record in records if record.number in members]
    knee = study.pick("knee").number if study.front else None
    print_title(study, records, inside, console)
    others = any(record.status != "complete" for record in records)
    known = study.confirmation
    columns = ["", "trial", *(["state"] if others else []), *study.objectives]
    columns += ["seeds", "on front"] if known else []
    cells = []
    for record in records:
        row = ["*" if record.number == knee else "", str(record.number)]
        row += [record.state] if others else []
        row += [_value(study, record, name, goal) for name, goal in study.objectives.items()]
        if known:
            count = known.count(record.number)
            row += [str(count) if count else "-", f"{known.chance(record.number):.2f}"]
        cells.append(row)
    right = frozenset({"trial", "seeds", "on front", *study.objectives})
    room = console.width - Rows(columns, right, cells, narrow=True).width - 2 if console.is_terminal else None
    room = room and max(room, LEAST)
    above: TrialRecord | None = None
    for row, record in zip(cells, records, strict=True):
        told = "" if record.status == "complete" else _cut(printable(why(record)), room)
        if record.number in members:
            told = printable(_fitting(changes(study, above, record) or ["the same choices"], room)) if above else ""
            above = record
        row.append(told)
    last = "change to the member above" if inside else "reason"
    styles = _ranks(study, records, len(columns) - len(study.objectives) - (2 if known else 0))
    styles = styles if len(records) <= COLOURED else {}
    Rows([*columns, last], right, cells, styles, narrow=console.is_terminal).print(console)
    if console.is_terminal and inside:
        console.print()
        for line in scatter(study, knee):
            console.print(line, soft_wrap=True)
    print_flags(records, console, known)
    print_confirmation(study, console)


def print_title(study: Study, records: Sequence[TrialRecord], inside: Sequence[TrialRecord], console: Console) -> None:
    """Prints what the rows are."""
    of = f"{len(study.front)} members of the front" if len(inside) == len(records) else f"{len(study.records)} trials"
    shown = f"{len(records)} of " if len(records) != len(study.front if of.endswith("front") else study.records) else ""
    what = f"{study.settings.name}: {shown}{of}, of {len(study.complete)} complete trials; * is the knee"
    goals = study.objectives.items()
    units = [f"{name} in {unit}" for name, goal in goals if (unit := goal.unit_beside(name))]
    console.print(printable("; ".join([what, *units])), soft_wrap=True)


def _value(study: Study, record: TrialRecord, name: str, goal: Goal) -> str:
    """A value with its error, marked where it may not mean what it says; ``-`` where there is none."""
    if name not in record.measured:
        return "-"
    mark = MARK if flags_of(record, study.confirmation).get(name) else ""
    if record.status != "complete":
        return value_text(record.measured[name], goal.scale) + mark
    return value_text(study.value(record, name), goal.scale, study.error(record, name)) + mark


def _cut(text: str, room: int | None) -> str:
    """The beginning of a text that fits."""
    return text if room is None or len(text) <= room else f"{text[: room - 3]}..."


def _fitting(words: Sequence[str], room: int | None) -> str:
    """As many of the words as fit, and how many more there are."""
    for shown in range(len(words), 0, -1):
        more = f"; +{len(words) - shown} more" if shown < len(words) else ""
        text = "; ".join(words[:shown]) + more
        if room is None or len(text) <= room:
            return text
    return f"{len(words)} choices" if words else ""


def _ranks(study: Study, records: Sequence[TrialRecord], first: int) -> dict[tuple[int, int], str]:
    """Styles of the values: the best third of the complete trials that are shown bold, the worst third dim."""
    rows = [row for row, record in enumerate(records) if record.status == "complete"]
    styles = {}
    if len(rows) >= 3:
        costs = study.costs([records[row] for row in rows])
        for column in range(costs.shape[1]):
            low, high = np.quantile(costs[:, column], [1 / 3, 2 / 3])
            for row, cost in zip(rows, costs[:, column].tolist(), strict=True):
                style = "bold bright_blue" if cost <= low else "dim" if cost > high else ""
                styles[row, first + column] = style
    return styles


def scatter(study: Study, knee: int | None = None) -> list[str]:
    """Two objectives of all complete trials in characters: ``*`` the knee, ``o`` the front, a dot what is dominated.

    The first objective upwards over the first cost, if there is one, else over the second; counts by their logarithm.
    """
    y, *others = study.objectives
    x = next((name for name in others if study.objectives[name].scale == "count"), (others or [y])[0])
    members = {record.number for record in study.front}
    across, down = (_Axis.of(study, name, steps) for name, steps in ((x, ACROSS), (y, DOWN)))
    grid = [[" "] * ACROSS for _ in range(DOWN)]
    for record in sorted(study.complete, key=lambda r: (r.number in members) + 2 * (r.number == knee)):
        mark = "*" if record.number == knee else "o" if record.number in members else "\u00b7"
        grid[DOWN - 1 - down.step(study.value(record, y))][across.step(study.value(record, x))] = mark
    left = [down.high, *[""] * (DOWN - 2), down.low]
    room = max(map(len, left))
    lines = [f"{label:>{room}} |{''.join(row).rstrip()}" for label, row in zip(left, grid, strict=True)]
    below = f"{across.low}{across.high:>{ACROSS - len(across.low)}}"
    return [printable(y), *lines, f"{'':{room}} +{'-' * ACROSS}", f"{'':{room}}  {below}  {printable(x)}"]


@dataclass(frozen=True)
class _Axis:
    """An axis of a scatter, from the smallest to the largest value of the complete trials."""

    scale: str
    least: float
    most: float
    steps: int

    @classmethod
    def of(cls, study: Study, name: str, steps: int) -> Self:
        values = [study.value(record, name) for record in study.complete]
        return cls(study.objectives[name].scale, min(values), max(values), steps)

    def step(self, value: float) -> int:
        low, high, at = (log10(v) if self.scale == "count" else v for v in (self.least, self.most, value))
        return round((self.steps - 1) * (at - low) / (high - low)) if high > low else 0

    @property
    def low(self) -> str:
        return value_text(self.least, self.scale)

    @property
    def high(self) -> str:
        return value_text(self.most, self.scale)

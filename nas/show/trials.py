"""Trials as data, as rows and as a table; the state of a study."""

import csv
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from nas.problem import network_of
from nas.results.study import Study
from nas.store.records import TrialRecord
from objectives import Objective


def number(value: float, scale: str) -> str:
    """A fraction with four digits, a count with thousands separators."""
    return f"{value:.4f}" if scale == "fraction" else f"{value:,.0f}"


def running_line(row: Mapping[str, Any]) -> str:
    """One running trial in one line, from a row of `Live.table`."""
    if row.get("since") is None:
        return f"trial {row['number']}: waits for a worker"
    line = f"trial {row['number']}: {timedelta(seconds=round(time.time() - row['since']))} on {row.get('host')}"
    if row.get("attempt", 1) > 1:
        line += f", attempt {row['attempt']}"
    if epoch := row.get("epoch"):
        line += f", epoch {epoch['number']} of {epoch['total']}, loss {epoch['loss']:.4f}"
    return line


def trial_figures(records: Iterable[TrialRecord]) -> list[dict[str, Any]]:
    """Trials as JSON, in the form of the log."""
    return [record.to_json() for record in records]


def write_csv(study: Study, records: Iterable[TrialRecord], file: IO[str]) -> None:
    """Writes trials as CSV: status, objectives, picks, key and seconds, a row a trial."""
    records = list(records)
    choices = list(dict.fromkeys(name for record in records for name in record.picks))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "status", *study.objectives, *choices, "key", "seconds"])
    for record in records:
        values = [record.measured.get(name, "") for name in study.objectives]
        picks = [record.picks.get(name, "") for name in choices]
        seconds = round(sum(record.seconds.values()), 3)
        writer.writerow([record.number, record.status, *values, *picks, record.key, seconds])


def in_one_line(record: TrialRecord, objectives: Mapping[str, Objective]) -> str:
    """One trial in one line."""
    if record.status == "complete":
        values = ", ".join(f"{name} {number(record.measured[name], o.scale)}" for name, o in objectives.items())
        return f"trial {record.number}: {values}"
    reasons = [f"{name} over its bound by {100 * share:.0f} %" for name, share in record.violations.items()]
    if record.failure:
        reasons.append(f"{record.failure}: {record.reason}")
    if record.copied_from is not None:
        reasons.append(f"as trial {record.copied_from}")
    return f"trial {record.number}: {record.status} ({'; '.join(reasons)})"


def print_trials(study: Study, records: Iterable[TrialRecord], console: Console) -> None:
    """Prints trials as a table: objectives, then a column for every open choice, else, where narrow, the architecture.

    A choice that every stage makes is one column, its picks joined by ``/``; a pick without effect is a dot.
    """
    records = list(records)
    picks = {record.number: _picks(study, record) for record in records}
    columns = list(dict.fromkeys(name for row in picks.values() for name in row))
    wide = _trials_table(study, records, columns, picks)
    if Console(width=10_000).measure(wide).maximum <= console.width:
        console.print(wide)
        return
    labels = {r.number: {"architecture": network_of(r).label()} for r in records}
    console.print(_trials_table(study, records, ["architecture"], labels))
    note = (
        f"{len(columns)} choices do not fit beside each other in {console.width} columns: widen the terminal, or --csv."
    )
    console.print(note, style="dim", highlight=False)


def _trials_table(
    study: Study, records: list[TrialRecord], columns: list[str], cells: Mapping[int, Mapping[str, str]]
) -> Table:
    table = Table(title=f"{study.settings.name}: {len(records)} trials", title_justify="left")
    table.add_column("trial", justify="right")
    other = any(record.status != "complete" for record in records)
    if other:
        table.add_column("status")
    for name in study.objectives:
        table.add_column(name, justify="right")
    for name in columns:
        table.add_column(name, overflow="fold")
    for record in records:
        values = [
            number(record.measured[name], o.scale) if name in record.measured else "-"
            for name, o in study.objectives.items()
        ]
        state = [record.failure or record.status] if other else []
        table.add_row(str(record.number), *state, *values, *(cells[record.number][c] for c in columns))
    return table


def _picks(study: Study, record: TrialRecord) -> dict[str, str]:
    """Picks of the choices that the study leaves open, by the name of the choice without its stage."""
    choices = study.space.choices
    effective = study.space.effective(record.picks)
    joined: dict[str, list[str]] = {}
    for choice in choices:
        shown = str(record.picks[choice.name]) if choice.name in effective else "\u00b7"
        joined.setdefault(choice.name.split(".", 1)[-1], []).append(shown)
    open_choices = {choice.name.split(".", 1)[-1] for choice in choices if len(choice.options) > 1}
    return {name: "/".join(values) for name, values in joined.items() if name in open_choices}


def status_table(status: Mapping[str, Any], objectives: Mapping[str, Objective]) -> Table:
    """The figures of `Study.status` as a table."""
    table = Table(show_header=False, title=status["name"], title_justify="left")
    counts = ", ".join(f"{count} {name}" for name, count in status["trials"].items()) or "none yet"
    rows = {"trials": f"{status['ended']} of {status['wanted']} ({counts})"}
    for name, value in status["best"].items():
        rows[f"best {name}"] = number(value, objectives[name].scale)
    for row in status["running"]:
        rows[f"running {row['number']}"] = running_line(row).partition(": ")[2]
    rows["weights"] = f"{status['artifact_bytes'] / 1e6:.1f} MB"
    rows["front"] = f"{status['front_size']} members, hypervolume {status['hypervolume']:.4f}"
    if status["trials_per_minute"]:
        rows["pace"] = f"{status['trials_per_minute']:.1f} trials a minute"
        rows["time left"] = str(timedelta(seconds=round(status["seconds_left"])))
    for name, value in rows.items():
        table.add_row(name, value)
    return table

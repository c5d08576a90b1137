"""What a person sees in the terminal: live progress, tables of trials, one architecture block by block."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live as Screen
from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from nas.live import Live
from nas.problem import Problem
from nas.records import TrialRecord
from nas.study import Study
from nas.tally import Tally
from objectives import Objective
from searchspaces import Architecture
from trainers import Epoch

if TYPE_CHECKING:
    from nas.training import Trained

SHOWN = 16
"""Running trials listed below the changing line."""


def number(value: float, scale: str) -> str:
    """A fraction with four digits, a count with thousands separators."""
    return f"{value:.4f}" if scale == "fraction" else f"{value:,.0f}"


class Progress:
    """Live state of a search: one line that changes on a terminal, a line for every ended trial elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.screen: Screen | None = None
        self.shown = 0
        self.before: int | None = None
        self.started = self.updated = 0.0

    def begin(self, problem: Problem, directory: Path) -> None:
        """Prints what is searched and starts the clock."""
        settings = problem.settings
        self.problem, self.objectives = problem, {n: problem.objectives[n] for n in settings.objectives}
        self.console.print(
            f"[bold]{settings.name}[/bold]: {settings.trials} trials of {problem.space.name} "
            f"({problem.space.size:,} assignments) on {settings.data.name} "
            f"({len(problem.data.train):,} training, {len(problem.data.validation):,} validation images), "
            f"{settings.search.sampler}, seed {settings.seed}, {settings.execution.workers} worker(s) -> {directory}",
            highlight=False,
            soft_wrap=True,
        )
        self.started = time.monotonic()
        if self.console.is_terminal:
            self.screen = Screen(console=self.console, refresh_per_second=4, transient=True)
            self.screen.start()

    def update(self, tally: Tally, live: Live, artifact_bytes: int) -> None:
        """Shows the state after a change; on a terminal four times a second at most."""
        ended = tally.counts.total()
        if self.before is None:
            self.before, self.shown = tally.ended, ended
        now = time.monotonic()
        if self.screen:
            if now - self.updated > 0.25 or not live.running:
                running = [f"\n  {running_line(row)}" for row in live.table()[:SHOWN]]
                more = len(live.running) - SHOWN
                text = self._line(tally, live, artifact_bytes) + "".join(running)
                self.screen.update(Text(text + (f"\n  and {more} more" if more > 0 else "")))
                self.updated = now
        elif ended > self.shown and tally.last:
            line = f"{describe(tally.last, self.objectives)}  |  {self._line(tally, live, artifact_bytes)}"
            print(line, file=self.console.file, flush=True)  # rich takes half a millisecond for the same
        self.shown = ended

    def say(self, message: str) -> None:
        """Prints a note."""
        self.console.print(message, style="yellow", highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Takes the changing line away."""
        if self.screen:
            self.screen.stop()

    def _line(self, tally: Tally, live: Live, artifact_bytes: int) -> str:
        ended, wanted = tally.ended, self.problem.settings.trials
        pace = (ended - (self.before or 0)) / max(time.monotonic() - self.started, 1e-9)
        left = str(timedelta(seconds=round((wanted - ended) / pace))) if pace > 0 else "-"
        states = "".join(f", {count} {status}" for status, count in tally.counts.items() if status != "complete")
        return (
            f"{ended}/{wanted} trials, {len(live.running)} running{states} | {60 * pace:.1f}/min, {left} left | "
            f"front {len(tally.front)}, hypervolume {tally.hypervolume:.4f} | {artifact_bytes / 1e6:.1f} MB"
        )


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


class Trainings:
    """Progress of full trainings: a bar with loss, accuracy and time left on a terminal, a line an epoch elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        columns = (
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            "{task.fields[state]}",
            TimeRemainingColumn(),
        )
        self.bar = Bars(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def say(self, message: str) -> None:
        """Prints a note."""
        self.console.print(message, style="yellow", highlight=False, soft_wrap=True)

    def watch(self, seed: int) -> Callable[[Epoch, float], None]:
        """Shows the epochs of the training of one seed."""
        task = self.bar.add_task(f"seed {seed}", total=None, state="")

        def show(epoch: Epoch, accuracy: float) -> None:
            state = f"loss {epoch.loss:.4f}, accuracy {accuracy:.4f}"
            self.bar.update(task, total=epoch.total, completed=epoch.number, state=state)
            if self.bar.disable:
                line = f"seed {seed}: epoch {epoch.number} of {epoch.total}, {state}, {epoch.seconds:.1f} s"
                self.console.print(line, highlight=False, soft_wrap=True)

        return show

    def summary(self, done: "Sequence[Trained]") -> None:
        """Prints the values of every seed, and their mean and standard deviation."""
        for split, measured in done[0].measured.items():
            for name in measured:
                values = [trained.measured[split][name] for trained in done]
                spread = f", mean {mean(values):.4f}, standard deviation {stdev(values):.4f}" if len(values) > 1 else ""
                shown = ", ".join(f"{value:.4f}" for value in values)
                self.console.print(f"{split} {name} {shown}{spread}", highlight=False, soft_wrap=True)
        self.console.print(f"written to {', '.join(str(trained.directory) for trained in done)}", soft_wrap=True)


def describe(record: TrialRecord, objectives: Mapping[str, Objective]) -> str:
    """One trial in one line."""
    if record.status == "complete":
        values = ", ".join(f"{name} {number(record.measured[name], o.scale)}" for name, o in objectives.items())
        return f"trial {record.number}: {values}"
    reasons = [f"{name} over its bound by {100 * share:.0f} %" for name, share in record.violations.items()]
    if record.failure:
        reasons.append(f"{record.failure}: {(record.error or '').strip().splitlines()[-1]}")
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
    labels = {r.number: {"architecture": Architecture.from_json(r.architecture).label()} for r in records}
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
    space = study.space(record)
    effective = space.effective(record.picks)
    joined: dict[str, list[str]] = {}
    for choice in space.choices:
        shown = str(record.picks[choice.name]) if choice.name in effective else "\u00b7"
        joined.setdefault(choice.name.split(".", 1)[-1], []).append(shown)
    open_choices = {choice.name.split(".", 1)[-1] for choice in space.choices if len(choice.options) > 1}
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

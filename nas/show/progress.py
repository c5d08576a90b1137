"""Live progress of searches and trainings in a terminal, or line by line elsewhere."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Self

from rich.console import Console
from rich.live import Live as Screen
from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from nas.errors import printable
from nas.export.train import Trained
from nas.figures import value_text
from nas.problem import Problem
from nas.search.standing import Standing
from nas.show.status import running_line
from nas.show.trials import in_one_line
from nas.store.live import Live
from objectives import Goal
from trainers import Epoch

SHOWN = 16
"""Running trials that have a line of their own."""


BAR, SPARKS = 24, 24
"""Characters of the bar, and of the course of the hypervolume."""
LEVELS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def block(standing: Standing, live: Live, head: str, course: Sequence[float], rows: int) -> list[str]:
    """The state of a search in lines, always ``4 + rows`` of them: head, states, front, best values, running trials.

    Args:
        course: hypervolume after each change of it.
        rows: running trials that have a line; the last one says how many more there are.
    """
    total = standing.counts.total()
    kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in standing.failures.items())
    states = [
        f"{count} {status} ({100 * count / total:.0f} %{f': {kinds}' if status == 'failed' and kinds else ''})"
        for status, count in standing.counts.items()
    ]
    states += [f"{len(live.running)} running"] + ([f"{standing.redrawn} redrawn"] if standing.redrawn else [])
    best = [f"{name} {value_text(value, goal.scale)}" for name, (value, goal) in _best(standing).items()]
    running = [f"  {running_line(row)}{_epochs(row)}" for row in live.table()]
    if len(running) > rows:
        running[rows - 1 :] = [f"  and {len(running) - rows + 1} more"]
    return [
        head,
        ", ".join(states),
        f"front {len(standing.front)}, hypervolume {standing.hypervolume:.4f} {sparkline(course)}".rstrip(),
        f"best {', '.join(best)}" if best else "no complete trial yet",
        *running,
        *[""] * (rows - len(running)),
    ]


def _best(standing: Standing) -> dict[str, tuple[float, Goal]]:
    """The best value of each objective; none before the first complete trial."""
    found = {}
    for name, kind in standing.objectives.items():
        values = [record.measured[name] for record in standing.front]
        goal = kind if isinstance(kind, Goal) else Goal.of(kind)
        if values:
            found[name] = (max(values) if goal.direction == "maximize" else min(values), goal)
    return found


def _epochs(row: Mapping[str, Any]) -> str:
    """A bar of the epochs of a running trial."""
    epoch = row.get("epoch")
    return f" {bar(epoch['number'], epoch['total'], 10)}" if epoch else ""


def bar(done: float, whole: float, width: int = BAR) -> str:
    """``[####----]``."""
    filled = round(width * min(1.0, done / whole)) if whole else 0
    return f"[{'#' * filled}{'-' * (width - filled)}]"


def sparkline(values: Sequence[float], width: int = SPARKS) -> str:
    """The course of some values in so many characters at most; empty for fewer than two."""
    if len(values) < 2:
        return ""
    step = max(1.0, len(values) / width)
    chosen = [values[min(len(values) - 1, int((i + 1) * step) - 1)] for i in range(min(width, len(values)))]
    low, high = min(chosen), max(chosen)
    return "".join(LEVELS[round(7 * (value - low) / (high - low)) if high > low else 0] for value in chosen)


class Progress:
    """Live state of a search: a block that does not jump on a terminal, a line for every ended trial elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.screen: Screen | None = None
        self.shown = 0
        self.before: int | None = None
        self.course: list[float] = []
        self.started = self.updated = 0.0

    def begin(self, problem: Problem, directory: Path) -> None:
        """Prints what is searched and starts the clock."""
        settings = problem.settings
        self.problem, self.objectives = problem, {n: problem.goals[n] for n in settings.objectives}
        self.console.print(
            f"{settings.name}: {settings.trials} trials of {problem.space.name} "
            f"({problem.space.size:,} assignments) on {settings.data.label} "
            f"({len(problem.data.train):,} training, {len(problem.data.validation):,} validation "
            f"{problem.data.things}), "
            f"{settings.search.sampler}, seed {settings.seed}, {settings.execution.workers} worker(s) -> {directory}",
            soft_wrap=True,
        )
        self.started = time.monotonic()
        if self.console.is_terminal:
            self.screen = Screen(console=self.console, refresh_per_second=4, transient=True)
            self.screen.start()

    def update(self, standing: Standing, live: Live, artifact_bytes: int) -> None:
        """Shows the state after a change; on a terminal at most four times a second."""
        ended = standing.counts.total()
        if self.before is None:
            self.before, self.shown = standing.ended, ended
        now = time.monotonic()
        if self.screen:
            if now - self.updated > 0.25 or not live.running:
                if not self.course or self.course[-1] != standing.hypervolume:
                    self.course.append(standing.hypervolume)
                settings = self.problem.settings
                rows = min(settings.execution.workers, SHOWN, max(1, self.console.height - 6))
                head = f"{bar(standing.ended, settings.trials)} {self._pace(standing)} | {artifact_bytes / 1e6:.1f} MB"
                lines = block(standing, live, head, self.course, rows)
                text = Text("\n".join(printable(line) for line in lines), no_wrap=True, overflow="ellipsis")
                self.screen.update(text)
                self.updated = now
        elif ended > self.shown and standing.last:
            line = f"{in_one_line(standing.last, self.objectives)}  |  {self._line(standing, live, artifact_bytes)}"
            print(printable(line), file=self.console.file, flush=True)  # rich needs half a millisecond for the same
        self.shown = ended

    def say(self, message: str) -> None:
        """Prints a note."""
        self.console.print(message, style="yellow", soft_wrap=True)

    def close(self) -> None:
        """Removes the block."""
        if self.screen:
            self.screen.stop()

    def _line(self, standing: Standing, live: Live, artifact_bytes: int) -> str:
        states = "".join(f", {count} {status}" for status, count in standing.counts.items() if status != "complete")
        states += f", {standing.redrawn} redrawn" if standing.redrawn else ""
        done, _, pace = self._pace(standing).partition(", ")
        return (
            f"{done}, {len(live.running)} running{states} | {pace} | "
            f"front {len(standing.front)}, hypervolume {standing.hypervolume:.4f} | {artifact_bytes / 1e6:.1f} MB"
        )

    def _pace(self, standing: Standing) -> str:
        """Trials that have ended, how many a minute, and the time left."""
        ended, wanted = standing.ended, self.problem.settings.trials
        pace = (ended - (self.before or 0)) / max(time.monotonic() - self.started, 1e-9)
        left = str(timedelta(seconds=round((wanted - ended) / pace))) if pace > 0 else "-"
        return f"{ended}/{wanted} trials, {60 * pace:.1f}/min, {left} left"


class Trainings:
    """Progress of full trainings: a bar with loss, value and time left on a terminal, a line an epoch elsewhere."""

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
        self.console.print(message, style="yellow", soft_wrap=True)

    def watch(self, seed: int) -> Callable[[Epoch, Mapping[str, float]], None]:
        """Shows the epochs of the training of one seed."""
        task = self.bar.add_task(f"seed {seed}", total=None, state="")

        def show(epoch: Epoch, measured: Mapping[str, float]) -> None:
            state = ", ".join(f"{name} {value:.4f}" for name, value in {"loss": epoch.loss, **measured}.items())
            self.bar.update(task, total=epoch.total, completed=epoch.number, state=state)
            if self.bar.disable:
                line = f"seed {seed}: epoch {epoch.number} of {epoch.total}, {state}, {epoch.seconds:.1f} s"
                self.console.print(line, soft_wrap=True)

        return show

    def summary(self, done: Sequence[Trained]) -> None:
        """Prints the values of every seed, and their mean and standard deviation."""
        for split, measured in done[0].measured.items():
            for name in measured:
                values = [trained.measured[split][name] for trained in done]
                spread = f", mean {mean(values):.4f}, standard deviation {stdev(values):.4f}" if len(values) > 1 else ""
                shown = ", ".join(f"{value:.4f}" for value in values)
                self.console.print(f"{split} {name} {shown}{spread}", soft_wrap=True)
        self.console.print(f"written to {', '.join(str(trained.directory) for trained in done)}", soft_wrap=True)

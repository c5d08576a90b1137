"""The front of a study as a picture for a paper: every pair of objectives, with intervals."""

import io
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.errors import WrongInputError, user_input
from nas.results.study import Study
from nas.show.console import printable
from nas.store.files import write_atomically
from nas.store.records import TrialRecord

PAIRS = 10
"""Pairs of objectives that are drawn: all of five."""
STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,  # letters, not outlines: publishers ask for them
    "svg.fonttype": "none",
    "svg.hashsalt": "nas",  # the same picture is the same file
}
FRONT, KNEE, OTHERS = "#0072b2", "#d55e00", "0.6"
"""Colours that most who do not tell red from green tell apart."""


def plot(study: Study, path: Path) -> None:
    """Writes a picture of all complete trials over every pair of objectives: the front filled and numbered, a star
    the knee, bars standard errors.

    Counts are on logarithmic scales, costs on x axes.

    Raises:
        WrongInputError: if there is nothing to draw, or the file's ending names no kind of picture.
        StoppedError: if the file cannot be written.
    """
    if not study.front:
        raise WrongInputError(f"{study.directory} has no complete trial to draw. Run nas search first.")
    names = sorted(study.objectives, key=lambda name: study.objectives[name].scale != "count")
    pairs = list(itertools.combinations(names if len(names) > 1 else names * 2, 2))[:PAIRS]
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    drawn = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * columns, 2.7 * rows + 0.3), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, pair in itertools.zip_longest(grid.flat, pairs):
            if pair is None:
                axes.remove()
            else:
                _draw(study, axes, *pair)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)
        figure.suptitle(
            f"{_plain(study.settings.name)}: {len(study.front)} of {len(study.complete)} trials on the front",
            fontsize=9,
            ha="left",
            x=0.01,
        )
        with user_input(f"--plot {path}"):
            kind = path.suffix.lstrip(".") or "png"
            dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
            figure.savefig(drawn, format=kind, dpi=200, metadata=dated)
    write_atomically(path, drawn.getvalue())


def _draw(study: Study, axes: Axes, x: str, y: str) -> None:
    """Draws one pair of objectives."""
    members = {record.number for record in study.front}
    knee = study.pick("knee")
    dominated = [record for record in study.complete if record.number not in members]

    def values(name: str, records: Iterable[TrialRecord]) -> list[float]:
        return [study.value(record, name) for record in records]

    def errors(name: str) -> list[float]:
        return [study.error(record, name) or 0.0 for record in study.front]

    if dominated:
        rest = values(x, dominated), values(y, dominated)
        axes.scatter(rest[0], rest[1], s=10, facecolors="none", edgecolors=OTHERS, linewidths=0.6, label="dominated")
    front = values(x, study.front), values(y, study.front)
    axes.errorbar(front[0], front[1], xerr=errors(x), yerr=errors(y), fmt="none", ecolor=FRONT, elinewidth=0.6)
    axes.scatter(front[0], front[1], s=22, color=FRONT, label="front", zorder=3)
    axes.scatter(values(x, [knee]), values(y, [knee]), s=70, marker="*", color=KNEE, label="knee", zorder=4)
    for record in study.front:
        at = (study.value(record, x), study.value(record, y))
        axes.annotate(str(record.number), at, (3, 3), textcoords="offset points", fontsize=6)
    for name, set_label, set_scale in ((x, axes.set_xlabel, axes.set_xscale), (y, axes.set_ylabel, axes.set_yscale)):
        set_label(_named(study, name))
        if study.objectives[name].scale == "count":
            set_scale("log")
    axes.grid(alpha=0.3, linewidth=0.5)


def _named(study: Study, name: str) -> str:
    """The name of an axis, with its unit and where it is better."""
    goal = study.objectives[name]
    unit = f" [{_plain(goal.unit)}]" if goal.unit and goal.unit.lower() != name.lower() else ""
    return f"{_plain(name)}{unit} ({'higher' if goal.direction == 'maximize' else 'lower'} is better)"


def _plain(text: str) -> str:
    """Text without formulas."""
    return printable(text).replace("$", r"\$")

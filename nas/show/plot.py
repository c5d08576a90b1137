"""The front of a study as a picture for a paper: every pair of objectives, with intervals."""

import io
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from nas.errors import WrongInputError, printable, user_input
from nas.results.study import Study
from nas.store.files import write_atomically
from nas.store.records import TrialRecord
from objectives import Goal

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
GHOSTS = {"dominated": "o", "infeasible": "^", "truncated": "s", "failed": "x"}
"""Symbols of trials off the front."""
LABEL = 6
"""Size of the numbers of members, in points; a digit is 0.64 of it wide."""
PLACES = [(4, 3), (-4, 3), (4, -9), (-4, -9), (0, 6), (0, -13), (9, 9), (-9, 9), (9, -15), (-9, -15)]
"""Where the number of a member may stand, in points from its centre; to the left it ends there, at 0 it is centred."""


def plot(study: Study, path: Path, *, everything: bool = False) -> None:
    """Writes a picture of all complete trials over every pair of objectives: the front filled and numbered, a star
    the knee, bars standard errors.

    Where replicates tell, the fill of a trial says how likely it is on the front. A number that would lie on another is
    left out. Counts are on logarithmic scales, costs on x axes.

    Args:
        everything: draw infeasible, truncated and failed trials too: those without a value of the y axis on its foot.

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
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * columns, 2.7 * rows + 0.3), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, pair in itertools.zip_longest(grid.flat, pairs):
            if pair is None:
                axes.remove()
            else:
                _draw(study, axes, pair, everything=everything)
        known = {n: h for axes in grid.flat for h, n in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(known.values(), known.keys(), loc="outside upper right", ncols=len(known), frameon=False)
        figure.suptitle(
            f"{plain(study.settings.name)}: {len(study.front)} of {len(study.complete)} trials on the front",
            fontsize=9,
            ha="left",
            x=0.01,
        )
        figure.draw_without_rendering()  # only now it is known where everything lies
        for axes, pair in zip(grid.flat, pairs, strict=False):
            _number(study, axes, *pair)
        write_figure(figure, path)


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a picture in the kind that the file's ending names; the same picture is the same file.

    Raises:
        WrongInputError: if it names none.
        StoppedError: if the file cannot be written.
    """
    drawn = io.BytesIO()
    with user_input(f"--plot {path}"):
        kind = path.suffix.lstrip(".") or "png"
        dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
        figure.savefig(drawn, format=kind, dpi=200, metadata=dated)
    write_atomically(path, drawn.getvalue())


def _draw(study: Study, axes: Axes, pair: tuple[str, str], *, everything: bool) -> None:
    """Draws one pair of objectives, but for the numbers of the members."""
    x, y = pair
    members, knee = {record.number for record in study.front}, study.pick("knee")

    def values(name: str, records: Iterable[TrialRecord]) -> list[float]:
        return [study.value(r, name) if r.status == "complete" else r.measured[name] for r in records]

    def errors(name: str) -> list[float]:
        return [study.error(record, name) or 0.0 for record in study.front]

    def fills(records: Sequence[TrialRecord]) -> list[tuple[str, float]]:
        known = study.confirmation
        return [(FRONT, known.chance(r.number) if known else float(r.number in members)) for r in records]

    for group, symbol in GHOSTS.items():
        if not (everything or group == "dominated"):
            continue
        rest = [r for r in study.records if _ghost(r, members) == group and x in r.measured]
        known = [r for r in rest if y in r.measured]
        lacking = [r for r in rest if y not in r.measured]
        look: dict[str, Any] = {"s": 12, "marker": symbol, "linewidths": 0.6, "label": group}
        look |= {"color": OTHERS} if symbol == "x" else {"edgecolors": OTHERS, "facecolors": "none"}
        if lacking:
            foot = axes.get_xaxis_transform()
            axes.scatter(values(x, lacking), [0.02] * len(lacking), transform=foot, clip_on=False, **look)
        if known:
            look |= {"facecolors": fills(known)} if group == "dominated" else {}
            axes.scatter(values(x, known), values(y, known), **look)
    front = values(x, study.front), values(y, study.front)
    axes.errorbar(front[0], front[1], xerr=errors(x), yerr=errors(y), fmt="none", ecolor=FRONT, elinewidth=0.6)
    look = {"s": 22, "edgecolors": FRONT, "facecolors": fills(study.front), "label": "front", "zorder": 3}
    axes.scatter(front[0], front[1], **look)
    axes.scatter(values(x, [knee]), values(y, [knee]), s=70, marker="*", color=KNEE, label="knee", zorder=4)
    for name, set_label, set_scale in ((x, axes.set_xlabel, axes.set_xscale), (y, axes.set_ylabel, axes.set_yscale)):
        set_label(named(study.objectives[name], name))
        if study.objectives[name].scale == "count":
            set_scale("log")
    axes.grid(alpha=0.3, linewidth=0.5)


def _ghost(record: TrialRecord, members: set[int]) -> str | None:
    """The group of a trial off the front."""
    if record.number in members:
        return None
    return "dominated" if record.status == "complete" else record.status


def _number(study: Study, axes: Axes, x: str, y: str) -> None:
    """Numbers the members, the knee first, each where it lies on no other number, on no member and within the axes."""
    knee = study.pick("knee").number
    records = sorted(study.front, key=lambda record: record.number != knee)
    scale = 72 / axes.figure.dpi  # points a pixel
    at = axes.transData.transform([(study.value(r, x), study.value(r, y)) for r in records]) * scale
    taken = [Bbox.from_bounds(left - 2, low - 2, 4, 4) for left, low in at]
    inside = Bbox(axes.bbox.get_points() * scale)
    for record, (left, low) in zip(records, at, strict=True):
        width = 0.64 * LABEL * len(str(record.number))
        for right, up in PLACES:
            start = left + right - (0 if right > 0 else width if right else width / 2)
            box = Bbox.from_bounds(start - 1, low + up, width + 2, LABEL)
            if box.count_overlaps(taken) or not (inside.x0 < box.x0 and box.x1 < inside.x1):
                continue
            taken.append(box)
            offset = (start - left, up)
            axes.annotate(
                str(record.number),
                (study.value(record, x), study.value(record, y)),
                offset,
                textcoords="offset points",
                fontsize=LABEL,
            )
            break


def named(goal: Goal, name: str) -> str:
    """The name of an axis, with its unit and where it is better."""
    unit = f" [{plain(unit)}]" if (unit := goal.unit_beside(name)) else ""
    return f"{plain(name)}{unit} ({'higher' if goal.direction == 'maximize' else 'lower'} is better)"


def plain(text: str) -> str:
    """Text without formulas."""
    return printable(text).replace("$", r"\$")

"""The front of a study as a picture."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from nas.errors import WrongInputError, user_input
from nas.results.study import Study
from nas.show.console import printable
from nas.store.files import write_atomically
from nas.store.records import TrialRecord


def plot(study: Study, path: Path) -> None:
    """Writes a picture of all complete trials, those of the front filled, numbered and coloured by the third objective.

    A cost is on the x axis if there is one, on a logarithmic scale. Means of replicates have their standard errors.

    Raises:
        WrongInputError: if there is nothing to draw, or the file's ending names no kind of picture.
        StoppedError: if the file cannot be written.
    """
    if not study.front:
        raise WrongInputError(f"{study.directory} has no complete trial to draw. Run nas search first.")
    names = sorted(study.objectives, key=lambda name: study.objectives[name].scale != "count")
    x, y, *others = names if len(names) > 1 else names * 2
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    dominated = [record for record in study.complete if record not in study.front]
    rest = [[study.value(record, name) for record in dominated] for name in (x, y)]
    axes.scatter(rest[0], rest[1], s=18, facecolors="none", edgecolors="0.6", label="dominated")
    front = sorted(study.front, key=lambda record: study.value(record, x))
    colours = {"c": [study.value(record, others[0]) for record in front], "cmap": "viridis"} if others else {"c": "C0"}
    places = [(study.value(record, x), study.value(record, y)) for record in front]
    dots = axes.scatter([a for a, _ in places], [b for _, b in places], s=46, label="front", **colours)
    for record, place in zip(front, places, strict=True):
        errors = [_error(study, record, name) for name in (x, y)]
        axes.errorbar(*place, xerr=errors[0], yerr=errors[1], color="0.4", linewidth=0.8, zorder=0)
        axes.annotate(str(record.number), place, (4, 4), textcoords="offset points", fontsize=8)
    if others:
        figure.colorbar(dots, label=printable(others[0]).replace("$", r"\$"))
    for name, set_label, set_scale in ((x, axes.set_xlabel, axes.set_xscale), (y, axes.set_ylabel, axes.set_yscale)):
        set_label(printable(name).replace("$", r"\$"))
        if study.objectives[name].scale == "count":
            set_scale("log")
    title = printable(study.settings.name).replace("$", r"\$")  # no formula
    axes.set_title(f"{title}: {len(front)} of {len(study.complete)} trials on the front", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    drawn = io.BytesIO()
    with user_input(f"--plot {path}"):
        figure.savefig(drawn, format=path.suffix.lstrip(".") or "png", dpi=130)
    write_atomically(path, drawn.getvalue())


def _error(study: Study, record: TrialRecord, name: str) -> float | None:
    """Standard error of the mean of its replicates; None without any."""
    mean = study.confirmation.value(record.number, name) if study.confirmation else None
    return None if mean is None else mean.standard_error

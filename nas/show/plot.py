"""The front of a study as a picture."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from nas.errors import WrongInputError, user_input
from nas.results.study import Study
from nas.show.console import printable
from nas.store.files import write_atomically


def plot(study: Study, path: Path) -> None:
    """Writes a picture of all complete trials, those of the front filled, numbered and coloured by the third objective.

    A cost is on the x axis if there is one, on a logarithmic scale.

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
    rest = [[record.measured[name] for record in dominated] for name in (x, y)]
    axes.scatter(rest[0], rest[1], s=18, facecolors="none", edgecolors="0.6", label="dominated")
    front = sorted(study.front, key=lambda record: record.measured[x])
    colours = {"c": [record.measured[others[0]] for record in front], "cmap": "viridis"} if others else {"c": "C0"}
    dots = axes.scatter([r.measured[x] for r in front], [r.measured[y] for r in front], s=46, label="front", **colours)
    for record in front:
        axes.annotate(
            str(record.number), (record.measured[x], record.measured[y]), (4, 4), textcoords="offset points", fontsize=8
        )
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

"""A network's time part by part as a picture for a paper."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from nas.errors import printable
from nas.figures import si
from nas.show.plot import FRONT, KNEE, OTHERS, STYLE, write_figure


def plot_profile(reference: str, figures: Mapping[str, Any], path: Path) -> None:
    """Writes a picture of `nas.export.profile.profile`: a bar for each part, the slowest marked, and the overhead.

    Raises:
        WrongInputError: if the file's ending names no kind of picture.
        StoppedError: if the file cannot be written.
    """
    parts = figures["parts"]
    names = [*(part["name"] for part in parts), "overhead"]
    times = [*(part["milliseconds"] for part in parts), figures["overhead_ms"]]
    colours = [KNEE if part["name"] == figures["slowest"] else FRONT for part in parts]
    words = [
        f"{part['milliseconds']:.3g} ms, {100 * part['share']:.0f} %, {si(part['macs'], 3)} MACs" for part in parts
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 0.26 * len(names) + 0.9), layout="constrained")
        axes = figure.subplots()
        drawn = axes.barh(names, times, color=[*colours, OTHERS])
        axes.bar_label(drawn, [*words, f"{figures['overhead_ms']:.3g} ms"], padding=3, fontsize=7)
        axes.invert_yaxis()  # the first part on top
        axes.margins(x=0.45)  # room for the words
        axes.set_xlabel(f"milliseconds of a batch of {figures['batch']}, one thread of the CPU")
        axes.spines[["top", "right"]].set_visible(False)
        title = f"{printable(reference)}: {figures['milliseconds']:.3g} ms".replace("$", r"\$")
        figure.suptitle(title, fontsize=9, ha="left", x=0.01)
        write_figure(figure, path)

"""A network's time and memory part by part, for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from nas.figures import si
from nas.show.rows import Rows

WIDTH = 8
"""Of the longest bar, in characters."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
COLUMNS = ("part", "ms", "share", "", "MB out", "MB peak", "MACs", "param.", "images /s")


def print_profile(reference: str, figures: Mapping[str, Any], console: Console, *, trained: bool) -> None:
    """Prints what `nas.export.profile.profile` returned: a row with a bar for each part.

    Args:
        reference: by which the user named the network.
        trained: whether it has the weights of a training.
    """
    size = "x".join(map(str, figures["input"]))
    what = f"{reference}{'' if trained else ' (untrained)'}, batches of {figures['batch']} of {size}"
    console.print(f"{what}: {figures['milliseconds']:.3g} ms, {si(figures['images_per_second'], 3)} images/s\n")
    longest = max(part["milliseconds"] for part in figures["parts"])
    cells = [
        [
            f"{part['name']}",
            f"{part['milliseconds']:.3g}",
            f"{100 * part['share']:.0f} %",
            bar(part["milliseconds"] / longest),
            f"{part['output_bytes'] / 1e6:.3g}",
            f"{part['peak_bytes'] / 1e6:.3g}",
            si(part["macs"], 3),
            si(part["parameters"], 3),
            si(part["images_per_second"], 3),
        ]
        for part in figures["parts"]
    ]
    share = figures["overhead_ms"] / figures["milliseconds"]
    cells.append(["overhead", f"{figures['overhead_ms']:.3g}", f"{100 * share:.0f} %", *[""] * 6])
    Rows(COLUMNS, frozenset({*COLUMNS} - {"part", ""}), cells, narrow=True).print(console)
    console.print(
        f"\n{figures['slowest']} takes the longest. Time: least of several turns, one thread of the CPU; overhead: "
        "what the parts leave of the whole. MB peak: input, output and all that is alive at once. MACs: of one image.",
        soft_wrap=True,
    )


def bar(share: float) -> str:
    """A bar for a share of the longest one, in eighths of a character.

    Example: ``bar(0.5)`` is half as long as ``bar(1)``, and ``bar(1)`` is ``WIDTH`` characters long.
    """
    full, rest = divmod(round(8 * WIDTH * share), 8)
    return EIGHTHS[8] * full + (EIGHTHS[rest] if rest else "")

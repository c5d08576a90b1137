"""A network's time and memory part by part, for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from nas.figures import si
from nas.show.rows import Rows

WIDTH = 8
"""Of the longest bar, in characters."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
COLUMNS = ("part", "ms", "share", "", "bytes out", "bytes peak", "MACs", "param.", "images /s")


def print_profile(reference: str, figures: Mapping[str, Any], console: Console, *, trained: bool) -> None:
    """Prints what `nas.export.profile.profile` returned: a row with a bar for each part.

    Args:
        reference: by which the user named the network.
        trained: whether it has the weights of a training.
    """
    size = "x".join(map(str, figures["input"]))
    what = f"{reference}{'' if trained else ' (untrained)'}, batches of {figures['batch']} of {size}"
    console.print(
        f"{what}: {figures['milliseconds']:.3g} ms, {si(figures['images_per_second'], 3)} images/s\n", soft_wrap=True
    )
    longest = max(part["milliseconds"] for part in figures["parts"])
    cells = [
        [
            part["name"],
            _shown(part["milliseconds"]),
            f"{100 * part['share']:.0f} %",
            bar(part["milliseconds"] / longest),
            si(part["output_bytes"], 3),
            si(part["peak_bytes"], 3),
            si(part["macs"], 3),
            si(part["parameters"], 3),
            si(part["images_per_second"], 3),
        ]
        for part in figures["parts"]
    ]
    share = figures["overhead_ms"] / figures["milliseconds"]
    cells.append(["overhead", _shown(figures["overhead_ms"]), f"{100 * share:.0f} %", *[""] * 6])
    Rows(COLUMNS, frozenset({*COLUMNS} - {"part", ""}), cells, narrow=True).print(console)
    told = (
        f"\n{figures['slowest']} takes the longest. Time: least of several turns, one thread of the CPU; overhead: "
        "what the parts leave of the whole.",
        "Bytes at the peak: input, output and all that is alive with them. MACs are of one image.",
    )
    console.print("\n".join(told), soft_wrap=True)


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.{3 if abs(milliseconds) < 10 else 1}f}"


def bar(share: float) -> str:
    """A bar for a share of the longest one, in eighths of a character.

    Example: ``bar(0.5)`` is half as long as ``bar(1)``, and ``bar(1)`` is ``WIDTH`` characters long.
    """
    full, rest = divmod(round(8 * WIDTH * share), 8)
    return EIGHTHS[8] * full + (EIGHTHS[rest] if rest else "")

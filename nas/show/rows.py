"""A table of any number of rows, drawn as `rich.table.Table` draws it.

Rich needs a minute for 20,000 rows of five columns, this half a second: it knows neither styles in cells nor several
columns that fold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.box import HEAVY_HEAD
from rich.cells import cell_len, chop_cells
from rich.console import Console

LEAST = 10
"""Characters that the last column keeps, however narrow the terminal is."""


@dataclass(frozen=True)
class Rows:
    """A table.

    Args:
        columns: their names.
        right: names of those whose cells stand at the right.
        cells: a row each; the cells of the last column are folded where the terminal is narrow.
    """

    title: str
    columns: Sequence[str]
    right: frozenset[str]
    cells: Sequence[Sequence[str]]

    @cached_property
    def widths(self) -> list[int]:
        """Of the columns, in characters of a terminal."""
        columns = zip(self.columns, *self.cells, strict=True)
        return [max(map(len if "".join(column).isascii() else cell_len, column)) for column in columns]

    @property
    def width(self) -> int:
        """Of the whole table, if nothing is folded."""
        return sum(self.widths) + 3 * len(self.widths) + 1

    def print(self, console: Console) -> None:
        """Prints it."""
        last = max(LEAST, self.widths[-1] - max(0, self.width - console.width))
        widths = [*self.widths[:-1], min(last, self.widths[-1])]
        box = HEAVY_HEAD.substitute(console.options)
        padded = [width + 2 for width in widths]
        header = self._lines([self.columns], widths, (box.head_left, box.head_vertical, box.head_right))
        body = self._lines(self.cells, widths, (box.mid_left, box.mid_vertical, box.mid_right))
        plain: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}
        console.print(self.title, style="table.title", **plain)
        console.print(box.get_top(padded), **plain)
        console.print("\n".join(header), style="table.header", **plain)
        console.print(box.get_row(padded, "head"), **plain)
        print("\n".join([*body, box.get_bottom(padded)]), file=console.file)

    def _lines(
        self, rows: Sequence[Sequence[str]], widths: Sequence[int], edges: tuple[str, str, str]
    ) -> Iterator[str]:
        """Rows as they are printed, each one line, or several where its last cell is folded."""
        left, between, end = edges
        sides = [">" if name in self.right else "<" for name in self.columns]
        last = widths[-1]
        pattern = left + between.join(f" {{:{side}{width}}} " for side, width in zip(sides, widths, strict=True)) + end
        below = f"{left}{between.join(' ' * (width + 2) for width in widths[:-1])}{between} {{:<{last}}} {end}"
        for row in rows:
            if not "".join(row).isascii():
                yield from self._wide_lines(row, widths, edges)
            elif len(row[-1]) <= last:
                yield pattern.format(*row)
            else:
                first, *more = _folded(row[-1], last)
                yield pattern.format(*row[:-1], first)
                yield from map(below.format, more)

    def _wide_lines(self, row: Sequence[str], widths: Sequence[int], edges: tuple[str, str, str]) -> Iterator[str]:
        """As `_lines`, for a row whose characters may take two columns of a terminal: ``format`` counts them as one."""
        left, between, end = edges
        cells = list(row[:-1])
        for part in chop_cells(row[-1], widths[-1]):
            padded = []
            for name, cell, width in zip(self.columns, [*cells, part], widths, strict=True):
                room = " " * (width - cell_len(cell))
                padded.append(f" {room}{cell} " if name in self.right else f" {cell}{room} ")
            yield f"{left}{between.join(padded)}{end}"
            cells = [""] * len(cells)


def _folded(text: str, width: int) -> Iterator[str]:
    """Lines of at most ``width`` characters, cut between words where there are any."""
    while len(text) > width:
        cut = text.rfind(" ", 1, width + 1)
        yield text[:cut] if cut > 0 else text[:width]
        text = text[cut + 1 :] if cut > 0 else text[width:]
    yield text

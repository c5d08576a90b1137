"""Aligned columns of any number of rows, one line each, without a box: to be read, and to be read by other programs.

Rich needs a minute for 20,000 rows of five columns, this half a second; it is asked only where cells have colours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from nas.errors import printable


@dataclass(frozen=True)
class Rows:
    """A table.

    Args:
        columns: their names.
        right: names of those whose cells stand at the right.
        cells: a row each; nothing is cut or folded.
        styles: (row, column) -> style of a cell on a terminal.
        narrow: write a name in two lines where that makes its column narrower.
    """

    columns: Sequence[str]
    right: frozenset[str]
    cells: Sequence[Sequence[str]]
    styles: Mapping[tuple[int, int], str] = field(default_factory=dict)
    narrow: bool = False

    @cached_property
    def _needed(self) -> list[int]:
        """Characters that the cells of each column need."""
        if not self.cells:
            return [0] * len(self.columns)
        return [
            max(map(len if "".join(column).isascii() else cell_len, column)) for column in zip(*self.cells, strict=True)
        ]

    @cached_property
    def header(self) -> list[tuple[str, str]]:
        """The names of the columns, in two lines."""
        if not self.narrow:
            return [("", name) for name in self.columns]
        return [_in_two(name, needed) for name, needed in zip(self.columns, self._needed, strict=True)]

    @cached_property
    def widths(self) -> list[int]:
        """Of the columns, in characters of a terminal."""
        return [max(needed, *map(cell_len, name)) for needed, name in zip(self._needed, self.header, strict=True)]

    @property
    def width(self) -> int:
        """Of the whole table."""
        return sum(self.widths) + 2 * (len(self.widths) - 1)

    def print(self, console: Console) -> None:
        """Prints the names and the rows."""
        heads = [line for line in zip(*self.header, strict=True) if any(line)]
        console.print("\n".join(map(self._line, heads)), style="bold", soft_wrap=True)
        if not (self.styles and console.is_terminal):
            lines = [self._line(row) for row in self.cells]
            print(printable("\n".join(lines)), end="\n" if lines else "", file=console.file)
            return
        for number, row in enumerate(self.cells):
            parts = [
                (self._padded(cell, column), self.styles.get((number, column), "")) for column, cell in enumerate(row)
            ]
            text = Text.assemble(*(part for pair in parts for part in (pair, "  ")))
            text.rstrip()
            console.print(text, soft_wrap=True)

    def _line(self, row: Sequence[str]) -> str:
        return "  ".join(self._padded(cell, column) for column, cell in enumerate(row)).rstrip()

    def _padded(self, cell: str, column: int) -> str:
        room = " " * (self.widths[column] - (len(cell) if cell.isascii() else cell_len(cell)))
        return room + cell if self.columns[column] in self.right else cell + room


def _in_two(name: str, needed: int) -> tuple[str, str]:
    """A name in two lines, cut behind an underscore or a space, if it is longer than its cells; else in the second."""
    cuts = [i + 1 for i, letter in enumerate(name[:-1]) if letter in "_ "]
    if cell_len(name) <= needed or not cuts:
        return "", name
    cut = min(cuts, key=lambda i: max(i, len(name) - i))
    return name[:cut].rstrip(), name[cut:]

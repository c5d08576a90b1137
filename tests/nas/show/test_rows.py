"""The table of many rows looks as rich's own does."""

import io
import random

import pytest
from rich.console import Console
from rich.table import Table

from nas.show.rows import Rows

COLUMNS = ["trial", "accuracy", "architecture"]
WORDS = ["patch", "2/2", "conv5", "+", "channel_mlp", "x1", "|", "a_word_that_is_longer_than_its_column"]


def by_rich(cells: list[list[str]], console: Console) -> None:
    table = Table(title="a study", title_justify="left")
    for name in COLUMNS[:2]:
        table.add_column(name, justify="right")
    table.add_column(COLUMNS[2], overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table)


def ours(cells: list[list[str]], console: Console) -> None:
    Rows("a study", COLUMNS, frozenset(COLUMNS[:2]), cells).print(console)


def lines(draw: object, cells: list[list[str]], width: int) -> list[str]:
    file = io.StringIO()
    draw(cells, Console(file=file, width=width))  # type: ignore[operator]
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [38, 50, 80, 200])
def test_rows_are_aligned_and_folded_as_by_rich(width: int) -> None:
    generator = random.Random(width)
    labels = [" ".join(generator.choices(WORDS[:7], k=generator.randint(1, 12))) for _ in range(30)]
    cells = [[str(7**i), f"{i / 7:.4f}", label] for i, label in enumerate(labels[:9])]
    assert lines(ours, cells, width) == lines(by_rich, cells, width)


def test_characters_that_take_two_columns_of_a_terminal_are_aligned() -> None:
    cells = [["1", "0.5", "畳み込み"], ["22", "-", "·/dot"]]
    assert lines(ours, cells, 80) == lines(by_rich, cells, 80)


def test_a_word_longer_than_its_column_is_cut() -> None:
    text = "\n".join(lines(ours, [["1", "0.5", WORDS[-1]]], 38))
    assert WORDS[-1] not in text
    assert WORDS[-1] in "".join(line.split("│")[3].strip() for line in text.splitlines() if line.startswith("│"))

"""Aligned columns, one line a row."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from nas.show.rows import Rows


def lines(rows: Rows, *, terminal: bool = False) -> list[str]:
    file = io.StringIO()
    rows.print(Console(file=file, width=20, force_terminal=terminal, no_color=True))
    return file.getvalue().splitlines()


def test_columns_are_aligned_and_nothing_is_cut_or_folded() -> None:
    cells = [["1", "0.5", "a word that is wider than the terminal"], ["22", "-", "b"]]
    assert lines(Rows(["trial", "accuracy", "change"], frozenset({"trial"}), cells)) == [
        "trial  accuracy  change",
        "    1  0.5       a word that is wider than the terminal",
        "   22  -         b",
    ]


def test_a_name_longer_than_its_cells_stands_in_two_lines() -> None:
    assert lines(Rows(["robust_accuracy", "macs"], frozenset(), [["0.5", "3"]], narrow=True)) == [
        "robust_",
        "accuracy  macs",
        "0.5       3",
    ]


@pytest.mark.parametrize("styles", [{}, {(0, 0): "bold", (1, 1): "dim"}])
def test_characters_that_take_two_columns_are_aligned_with_colours_and_without(
    styles: dict[tuple[int, int], str],
) -> None:
    cells = [["畳み込み", "1"], ["·", "2"]]
    first, second = lines(Rows(["space", "n"], frozenset(), cells, styles))[1:]
    assert cell_len(first) == cell_len(second)


def test_colours_are_for_terminals_and_control_characters_for_none() -> None:
    rows = Rows(["n"], frozenset(), [["\x1b[2J"], ["2"]], {(1, 0): "bold red"})
    assert "\x1b" not in "".join(lines(rows))
    assert "\\x1b[2J" in "".join(lines(rows))


def test_no_rows_are_a_header() -> None:
    assert lines(Rows(["trial", "macs"], frozenset(), [])) == ["trial  macs"]

"""Rows for notebooks: as a pandas frame, which is optional, and as an HTML table of text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import WrongInputError
from nas.store.traces import read_curve

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Sequence[Mapping[str, Any]], index: str) -> "DataFrame":
    """Rows as a frame.

    Args:
        index: name of the column that is one.

    Raises:
        WrongInputError: if pandas is not installed.
    """
    try:
        from pandas import DataFrame
    except ModuleNotFoundError:
        raise WrongInputError("frames need pandas, which is optional: pip install pandas.") from None
    found: DataFrame = DataFrame(rows)
    return found.set_index(index) if len(found) else found


def curve_rows(directory: Path, numbers: Iterable[int]) -> list[dict[str, float]]:
    """The epochs of the trainings that left a curve: ``trial``, ``epoch``, ``loss`` and what else was tracked."""
    rows = []
    for number in numbers:
        for row in read_curve(directory, number):
            rows.append({"trial": number, **{name: math.nan if v is None else v for name, v in row.items()}})
    return rows


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are text, whatever they look like."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

"""A study in a notebook."""

from pathlib import Path

import pytest

import nas
from nas.results.frames import html_table


def test_the_front_is_a_frame_and_a_table(searched: Path) -> None:
    pytest.importorskip("pandas")
    study = nas.open(searched)
    frame = study.frame()
    assert list(frame.index) == [record.number for record in study.front]
    assert frame["accuracy"].tolist() == [study.value(record, "accuracy") for record in study.front]
    assert len(study.frame(study.records)) == len(study.records)
    assert set(study.curves.index) == set(frame.index)
    assert study.curves["epoch"].max() == 1
    assert study._repr_html_().count("<tr>") == 1 + len(study.front)


def test_text_that_looks_like_markup_stays_text() -> None:
    table = html_table("<script>", ["<b>"], [["<img src=x onerror=alert(1)>"]])
    assert "<script>" not in table
    assert "<img" not in table
    assert "&lt;img" in table

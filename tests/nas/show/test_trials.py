"""Tables of trials: a value that may not mean what it says is marked wherever it stands."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import nas
from nas.results.study import Study
from nas.show.console import PlainConsole
from nas.show.status import status_table
from nas.show.trials import in_one_line, number, print_trials, write_csv

Draw = Callable[[PlainConsole], None]


@pytest.fixture
def flagged(searched: Path, tmp_path: Path) -> Study:
    """A study whose every robust accuracy is flagged."""
    shutil.copytree(searched, tmp_path / "run")
    log = tmp_path / "run" / "trials.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    flags = {"flags": {"robust_accuracy": ["zero_gradients"]}}
    log.write_text("".join(json.dumps({**line, **flags}) + "\n" for line in lines))
    return nas.open(tmp_path / "run")


def drawn(draw: Draw) -> str:
    out = io.StringIO()
    draw(PlainConsole(file=out, width=200))
    return out.getvalue()


LEGEND = "! robust_accuracy may not mean what it says, zero_gradients: trial 0, 1, 2"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.41234, "0.412"),
        (1.0, "1"),
        (12.345, "12.3"),
        (4_516_480.0, "4,516,480"),
        (1234.5, "1,234"),
        (1e300, "1e+300"),
    ],
)
def test_a_count_is_shown_with_the_digits_that_say_something(value: float, shown: str) -> None:
    assert number(value, "count") == shown


def test_a_flagged_value_is_marked_in_the_table_with_a_legend(flagged: Study) -> None:
    record = flagged.records[0]
    table = drawn(lambda console: print_trials(flagged, flagged.records, console))
    assert f" {record.measured['robust_accuracy']:.4f}! " in table
    assert f" {record.measured['accuracy']:.4f} " in table
    assert table.count(LEGEND) == 1


def test_a_truncated_trial_says_how_short_it_was_and_its_values(flagged: Study) -> None:
    record = replace(flagged.records[0], status="truncated", fidelity={"epochs": 2, "data": 0.25}, flags={})
    state = f"trial {record.number}: truncated at 2 on 25% of the data"
    robust = f"robust_accuracy {record.measured['robust_accuracy']:.4f}"
    assert in_one_line(record, flagged.objectives).startswith(state)
    assert robust in in_one_line(record, flagged.objectives)
    assert in_one_line(replace(record, measured={}), flagged.objectives) == state


def test_a_flagged_value_is_marked_in_the_status_and_in_one_line(flagged: Study) -> None:
    record, figures = flagged.records[0], flagged.status()
    assert f"robust_accuracy {record.measured['robust_accuracy']:.4f}!," in in_one_line(record, flagged.objectives)
    assert figures["flags"] == {"robust_accuracy": ["zero_gradients"]}
    shown = drawn(lambda console: console.print(status_table(figures)))
    assert f"{figures['best']['robust_accuracy']:.4f}!" in shown
    assert "! robust_accuracy" in shown


def test_flags_are_a_column_of_the_csv(flagged: Study) -> None:
    out = io.StringIO()
    write_csv(flagged, flagged.records, out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row["flags"] for row in rows] == ["robust_accuracy:zero_gradients"] * 3


def test_without_flags_there_is_no_mark(searched: Path) -> None:
    study = nas.open(searched)
    assert "!" not in drawn(lambda console: print_trials(study, study.records, console))
    assert "!" not in drawn(lambda console: console.print(status_table(study.status())))

"""What a terminal shows while a search runs."""

from pathlib import Path

import numpy as np
import pytest

from nas.search.standing import Standing
from nas.show.progress import bar, block, sparkline
from nas.store.live import Live, Report
from nas.store.records import TrialRecord
from objectives import Goal
from trainers import Epoch

GOALS = {"accuracy": Goal("maximize", "fraction"), "macs": Goal("minimize", "count")}


def test_the_block_has_the_same_number_of_lines_whatever_happens(tmp_path: Path) -> None:
    standing, live = Standing(GOALS, np.array([1.0, 7.0])), Live(tmp_path)
    assert len(block(standing, live, "head", [], 2)) == 6
    for number in range(4):
        live.start(number)
    live.report(Report(0, 0, started=True))
    live.report(Report(0, 0, Epoch(3, 10, 0.25, 1e-3, 0.1)))
    lines = block(standing, live, "head", [], 2)
    assert len(lines) == 6
    assert "[###-------]" in lines[4]
    assert lines[5] == "  and 3 more"


def test_a_running_trial_shows_its_accuracy_where_that_is_tracked_and_else_its_loss(tmp_path: Path) -> None:
    standing, live = Standing(GOALS, np.array([1.0, 7.0])), Live(tmp_path)
    live.start(0)
    live.report(Report(0, 0, started=True))
    live.report(Report(0, 0, Epoch(3, 10, 0.25, 0.1)))
    assert block(standing, live, "head", [], 1)[4].endswith("epoch 3 of 10, loss 0.2500 [###-------]")
    live.report(Report(0, 0, Epoch(4, 10, 0.25, 0.1, measured={"accuracy": 0.5})))
    assert block(standing, live, "head", [], 1)[4].endswith("epoch 4 of 10, accuracy 0.5000 [####------]")


def test_the_block_says_states_kinds_of_failures_and_best_values(tmp_path: Path) -> None:
    standing = Standing(GOALS, np.array([1.0, 7.0]))
    for number, accuracy in enumerate((0.5, 0.75, 0.25)):
        standing.add(TrialRecord(number, "complete", {}, {}, "", 0, measured={"accuracy": accuracy, "macs": 5e4}))
    standing.add(TrialRecord(3, "failed", {}, {}, "", 0, failure="out_of_memory", error="no"))
    lines = block(standing, Live(tmp_path), "head", [0.1, 0.2], 1)
    assert lines[1] == "3 complete (75 %), 1 failed (25 %: 1 out of memory), 0 running"
    assert lines[2].startswith(f"front 1, hypervolume {standing.hypervolume:.4f} ")
    assert lines[3] == "best accuracy 0.7500, macs 50.00 k"


@pytest.mark.parametrize(
    ("values", "shown"), [([], ""), ([1.0], ""), ([0.0, 1.0], "\u2581\u2588"), ([2.0, 2.0], "\u2581\u2581")]
)
def test_a_sparkline_runs_from_the_least_to_the_most(values: list[float], shown: str) -> None:
    assert sparkline(values) == shown


def test_a_long_course_fits_and_ends_with_its_last_value() -> None:
    course = sparkline([*[0.0] * 999, 1.0], 24)
    assert len(course) == 24
    assert course[-1] == "\u2588"


def test_a_bar_is_full_at_the_end_and_not_longer() -> None:
    assert (bar(0, 4, 4), bar(2, 4, 4), bar(5, 4, 4), bar(0, 0, 2)) == ("[----]", "[##--]", "[####]", "[--]")

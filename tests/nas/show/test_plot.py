"""The picture of a front, read back from its SVG."""

import random
import re
from itertools import combinations
from pathlib import Path

import pytest
from made_up import Trial, made_up

from nas.results.study import Study
from nas.show.plot import plot


@pytest.fixture(scope="module")
def crowded(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose members lie close together, with a trial that is infeasible and one that is truncated."""

    def change(study: Study, trial: Trial, generator: random.Random) -> Trial:
        at = trial["number"] / 1000
        measured = {"accuracy": 0.5 + at, "robust_accuracy": 0.5 - at, "macs": 1000 * 2 ** trial["number"]}
        if trial["number"] == 38:
            return {"status": "infeasible", "violations": {"macs": 1.0}, "measured": {"macs": 9000.0}}
        return {"measured": measured, "status": "truncated" if trial["number"] == 39 else "complete"}

    return made_up(searched, tmp_path_factory.mktemp("crowded") / "run", 40, change)


def drawn(study: Study, path: Path, *, everything: bool) -> str:
    plot(study, path, everything=everything)
    return path.read_text()


def test_no_number_lies_on_another(crowded: Study, tmp_path: Path) -> None:
    text = drawn(crowded.with_only(["accuracy", "robust_accuracy"]), tmp_path / "front.svg", everything=False)
    found = re.findall(r'<text style="font(?:-size: 6px;|: 6px )[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+)<', text)
    assert len(found) > 10
    boxes = [(float(x), float(y), 3.84 * len(number)) for x, y, number in found]
    for (x, y, width), (u, v, other) in combinations(boxes, 2):
        assert x + width <= u + 0.1 or u + other <= x + 0.1 or abs(y - v) >= 5.9


def test_trials_of_every_state_are_drawn_if_all_are_asked_for(crowded: Study, tmp_path: Path) -> None:
    for everything in (True, False):
        text = drawn(crowded, tmp_path / "front.svg", everything=everything)
        for state in ("infeasible", "truncated"):
            assert (f">{state}<" in text) == everything

"""Bounds on what must be measured: what is beyond ends as a failure, on no front, and the sampler learns of it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import nas
from nas.cli.search import _nothing_complete
from nas.results.status import read_overview
from nas.show.console import PlainConsole
from nas.show.network import print_network
from nas.store.records import TrialRecord

StudyFile = Callable[..., Path]
PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar

from objectives.objective import Candidate, Direction, Needs, Objective, Scale, objective


@objective("heat")
@dataclass(frozen=True)
class Heat(Objective):
    """Numbers that a network holds, as if it took a thermometer."""

    direction: ClassVar[Direction] = "minimize"
    needs: ClassVar[Needs] = "weights"
    scale: ClassVar[Scale] = "count"

    def measure(self, candidate: Candidate) -> float:
        return float(sum(p.numel() for p in candidate.model.parameters()))
'''


@pytest.fixture
def bounded(study_file: StudyFile, tmp_path: Path) -> StudyFile:
    """Writes a study of networks of 300 to 3,000 numbers, of which half may be trained."""
    (tmp_path / "heat.py").write_text(PLUGIN)
    choices = {"dim": [8, 16, 24, 32], "depth": [1, 2, 3], "patch": [2], "kernel": [3, 5]}

    def write(**changes: object) -> Path:
        table = {
            "objectives": ["accuracy", "macs"],
            "objective": None,
            "plugins": [str(tmp_path / "heat.py")],
            "bounds": {"heat": 1200.0},
            "space": {"kind": "convmixer", "choices": choices},
        }
        return study_file(**{**table, "trials": 16, **changes})

    return write


def plain(records: list[TrialRecord]) -> list[TrialRecord]:
    return [replace(record, seconds={}) for record in records]


@pytest.mark.parametrize("sampler", ["front", "tpe", "evolution"])
def test_what_is_beyond_is_not_trained_and_on_no_front_and_a_resumed_study_is_the_same(
    bounded: StudyFile, tmp_path: Path, sampler: str
) -> None:
    path = bounded(search={"sampler": sampler})
    study = nas.search(path, out=tmp_path / "whole")
    assert {record.status for record in study.records} >= {"complete", "failed"}
    for record in study.records:
        if record.status == "failed":
            assert (record.failure, record.measured.keys()) == ("over_bound", {"macs", "heat"})
            assert record.violations == {"heat": record.measured["heat"] / 1200 - 1}
            assert "train" not in record.seconds
        elif record.status == "complete":
            assert record.measured["heat"] <= 1200
    assert all(record.measured["heat"] <= 1200 for record in study.front)
    for trials in (5, 16):
        parts = nas.search(path, trials=trials, out=tmp_path / "parts")
    assert plain(parts.records) == plain(study.records)
    overview = read_overview(study.directory)
    assert overview is not None
    failed = sum(record.status == "failed" for record in study.records)
    assert overview.figures(study.directory)["failures"] == {"over_bound": failed}
    console = PlainConsole(record=True)
    print_network(study, study.complete[0], console)
    assert f"bounded: heat {study.complete[0].measured['heat']:.4g} of 1200" in console.export_text()


def test_a_measured_bound_may_be_on_an_objective_of_the_front(bounded: StudyFile, tmp_path: Path) -> None:
    path = bounded(objectives=["accuracy", "heat"], trials=10)
    study = nas.search(path, out=tmp_path / "run")
    assert study.settings.reference["heat"] == pytest.approx(1212)
    assert study.front
    assert all(record.measured["heat"] <= 1200 for record in study.front)
    assert sum(record.failure == "over_bound" for record in study.records) <= 6


def test_where_nothing_keeps_a_bound_the_last_line_says_what_can_be_done(bounded: StudyFile, tmp_path: Path) -> None:
    study = nas.search(bounded(bounds={"heat": 1.0}, trials=2), out=tmp_path / "run")
    assert re.search(r"2 failed.*bounds\.heat is 1\. Try more --trials, or raise the bound", _nothing_complete(study))

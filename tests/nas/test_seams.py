"""Every seam is open: a file of a user's own adds a member, a study chooses it by name, the contract suite takes it."""

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.pricing import price
from nas.results.study import Study

PLUGINS = Path(__file__).parent / "plugins"
StudyFile = Callable[..., Path]


def gated(study: Study) -> bool:
    return all("left_gate" in str(record.architecture) for record in study.complete)


def attacked(study: Study) -> bool:
    return all(r.settings["robust_accuracy"]["attack"] == "margin_step" for r in study.complete)


def cheap(study: Study) -> bool:
    """Of seven random candidates the first proposal is the cheapest, one at the lower end of the space's four costs."""
    costs = [price(study.space.decode(picks)).total.macs for picks in islice(study.space.assignments(), 0, None, 50)]
    return study.settings.search.options == {"drawn": 7} and study.trial(0).measured["macs"] == min(costs)


def measured(study: Study) -> bool:
    return all(r.measured["certainty"] > 0.1 and r.settings["certainty"]["samples"] == 30 for r in study.complete)


def barred(study: Study) -> bool:
    return study.settings.data.input == (1, 6, 6) and study.settings.data.classes == ["lying", "standing"]


def trained(study: Study) -> bool:
    return study.settings.training["rate"] == 0.25 and all(r.fidelity == {"epochs": 2} for r in study.complete)


SEAMS: dict[str, tuple[dict[str, Any], Callable[[Study], bool]]] = {
    "left_gate": ({"space": {"kind": "mixing", "choices": {"mixer": "left_gate", "depth": [2]}}}, gated),
    "margin_step": ({"objective": {"robust_accuracy": {"attack": "margin_step", "samples": 20}}}, attacked),
    "cheapest_first": ({"search": {"sampler": "cheapest_first", "options": {"drawn": 7}}}, cheap),
    "forked": ({"execution": {"kind": "forked", "workers": 2}}, lambda study: len(study.complete) == 3),
    "certainty": (
        {"objectives": ["certainty", "macs"], "objective": {"certainty": {"samples": 30}}},
        measured,
    ),
    "bars": ({"data": {"name": "bars", "side": 6}}, barred),
    "last_layer": ({"training": {"kind": "last_layer", "epochs": 2, "rate": 0.25}}, trained),
}
"""Plugin -> how a study chooses what it adds, and whether that shows in the finished study."""


def test_the_plugins_are_these_and_short() -> None:
    lines = {path.stem: len(path.read_text().splitlines()) for path in PLUGINS.glob("*.py")}
    assert lines.keys() == SEAMS.keys() | {"contracts"}
    assert max(number for name, number in lines.items() if name != "contracts") <= 40


@pytest.mark.parametrize("name", SEAMS)
def test_a_study_chooses_the_member_of_a_plugin_by_its_name(study_file: StudyFile, tmp_path: Path, name: str) -> None:
    changes, shows = SEAMS[name]
    study = nas.search(study_file(plugins=[str(PLUGINS / f"{name}.py")], trials=3, **changes), out=tmp_path / "run")
    assert len(study.complete) == 3, [record.error for record in study.records]
    assert shows(study)
    assert nas.open(tmp_path / "run").settings == study.settings


def test_the_contract_suites_take_the_members_of_plugins() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", str(PLUGINS / "contracts.py")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^\d+ passed in ", result.stdout, re.M), result.stdout  # and none skipped

"""The runs of MLflow of a study: what each trial was and measured, written once, and text as text."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from made_up import Trial, made_up
from terminal import run

import nas
from nas.results.mlflow_copy import as_name, cut, write_runs
from nas.results.study import Study

BAD = "<script>[red]\x1b[2J\u202e"


def runs(folder: Path) -> dict[str, Any]:
    """Experiment name and number of the trial -> run."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return {
        f"{experiment.name} {one.data.tags['nas.trial']}": one
        for experiment in client.search_experiments()
        for one in client.search_runs([experiment.experiment_id], max_results=1000)
    }


def odd(searched: Path, place: Path) -> Study:
    """A study with a failed trial, and names and errors that a terminal would obey."""

    def change(study: Study, trial: Trial, generator: random.Random) -> Trial:
        if trial["number"] == 1:
            return {"status": "failed", "failure": "bug", "measured": {}, "error": BAD, "seconds": {"total": 2.0}}
        return {"picks": {**trial["picks"], BAD: "x" * 9_000}}

    return made_up(searched, place, 3, change)


def test_a_run_has_the_picks_values_and_curve_of_its_trial_and_a_second_call_adds_none(
    searched: Path, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    study = nas.open(searched)
    assert write_runs(study, tmp_path / "out") == (3, 0)
    found = runs(tmp_path / "out")
    assert len(found) == 3
    for record in study.records:
        data = found[f"small {record.number}"].data
        assert data.params == {name: str(value) for name, value in record.picks.items()} | {"seed": str(record.seed)}
        assert data.metrics["accuracy"] == record.measured["accuracy"]
        assert data.metrics["curve/loss"] > 0
        assert data.tags["status"] == "complete"
    assert write_runs(study, tmp_path / "out") == (0, 3)
    made = made_up(searched, tmp_path / "other", 4, lambda *_: {})
    assert write_runs(made, tmp_path / "out") == (4, 0)  # another study of the same name
    assert set(runs(tmp_path / "out")) == {f"small {i}" for i in range(3)} | {f"small (2) {i}" for i in range(4)}


def test_what_has_changed_is_written_anew_and_text_is_text(searched: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    study = odd(searched, tmp_path / "run")
    write_runs(study, tmp_path / "out")
    found = runs(tmp_path / "out")
    assert found["small 1"].info.status == "FAILED"
    assert found["small 1"].data.tags["error"] == "<script>[red]\\x1b[2J\\u202e"
    assert found["small 0"].data.params[as_name(BAD)].endswith("... (9,000 characters)")
    before = found["small 0"].info.run_id
    log = study.directory / "trials.jsonl"
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text(json.dumps(json.loads(first) | {"seed": 7}) + "\n" + "".join(rest))
    assert write_runs(nas.open(study.directory), tmp_path / "out") == (1, 2)
    found = runs(tmp_path / "out")
    assert len(found) == 3
    assert found["small 0"].info.run_id != before


def test_names_that_mlflow_refuses_are_changed_and_stay_apart() -> None:
    assert as_name("s1.mixer") == "s1.mixer"
    assert as_name("<b>") != as_name("[b]")
    assert all(name and "/" not in name for name in map(as_name, ("../a", "", "..", "a" * 999)))
    assert cut("ab", 9) == "ab"


def test_the_command_says_how_to_look_at_them(searched: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    (tmp_path / "file").write_text("")
    result = run("mlflow", searched, "-o", tmp_path / "file")
    assert result.returncode in (1, 2)
    assert "Traceback" not in result.stderr
    result = run("mlflow", searched, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "written: 3 runs" in result.stdout
    assert "mlflow ui --backend-store-uri sqlite:///" in result.stdout

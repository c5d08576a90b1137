"""Objectives that are measured after the search, on the weights that trials have left."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from terminal import run

import nas
from nas.errors import WrongInputError
from nas.results.measure import measure_study
from nas.show.console import PlainConsole
from nas.show.trials import print_trials, trial_figures
from nas.store.artifacts import weights_path
from nas.store.confirmations import Replicate


def quiet(message: str) -> None:
    pass


@pytest.fixture
def directory(searched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched, tmp_path / "run"))


def test_stored_weights_measure_what_the_search_measured(directory: Path) -> None:
    for name in ("accuracy", "robust_accuracy", "macs"):
        study = measure_study(nas.open(directory), name, pick="all", say=quiet)
        found = {one.trial: one.value for one in study.measurements if one.name == name}
        assert found == {record.number: record.measured[name] for record in study.complete}


def test_a_measurement_says_how_and_how_sure_it_is_and_is_made_once(directory: Path) -> None:
    text = "robust_accuracy,attack=square,samples=30"
    study = measure_study(nas.open(directory), text, pick="trial:1", say=quiet)
    [one] = study.measurements
    assert (one.name, one.trial, one.settings["attack"], one.settings["samples"]) == (text, 1, "square", 30)
    assert one.settings["epsilon"] == pytest.approx(8 / 255)  # that of the study
    assert (one.spread["kind"], one.spread["n"]) == ("binomial", 30)
    log = (directory / "measurements.jsonl").read_bytes()
    measure_study(study, text, pick="trial:1", say=quiet)
    assert (directory / "measurements.jsonl").read_bytes() == log


def test_a_measurement_that_is_there_twice_is_refused(directory: Path) -> None:
    study = measure_study(nas.open(directory), "auc", pick="trial:1", say=quiet)
    log = directory / "measurements.jsonl"
    log.write_text(2 * log.read_text())
    with pytest.raises(WrongInputError, match=r"line 2 is damaged \(auc of trial 1 is recorded twice\)"):
        _ = nas.open(study.directory).measurements


def test_a_measurement_is_one_more_axis_of_the_front(directory: Path) -> None:
    study = measure_study(nas.open(directory), "calibration_error", pick="all", say=quiet)
    view = study.with_objectives(["calibration_error"])
    assert list(view.objectives) == ["accuracy", "robust_accuracy", "macs", "calibration_error"]
    assert {record.number for record in view.front} >= {record.number for record in study.front}
    out = io.StringIO()
    print_trials(view, view.front, PlainConsole(file=out, width=200))
    assert "calibration_error" in out.getvalue()
    assert list(study.objectives) == ["accuracy", "robust_accuracy", "macs"]


def test_a_confirmed_study_shows_means_beside_an_axis_that_was_measured_afterwards(directory: Path) -> None:
    study = measure_study(nas.open(directory), "calibration_error", pick="all", say=quiet)
    record = study.complete[0]
    values = (0.4, 0.6)
    again = [replace(record, measured=record.measured | {"accuracy": value}) for value in values]
    lines = [Replicate(k, study.searched_protocol, 2, one).to_json() for k, one in enumerate(again)]
    (directory / "confirmations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    view = nas.open(directory).with_objectives(["calibration_error"])
    out = io.StringIO()
    print_trials(view, view.complete, PlainConsole(file=out, width=220))
    row = next(line for line in out.getvalue().splitlines() if line.split()[:1] == [str(record.number)])
    once = next(one.value for one in view.measurements if one.trial == record.number)
    assert " 0.5000 ± 0.1000 " in row
    assert f" {once:.4f} " in row
    assert view.hypervolume > 0
    assert "calibration_error" not in trial_figures(view, [view.trial(record.number)])[0]["confirmation"]["values"]


def test_trials_without_a_value_are_no_part_of_such_a_front(directory: Path) -> None:
    study = measure_study(nas.open(directory), "auc", pick="trial:2", say=quiet)
    assert [record.number for record in study.with_objectives(["auc"]).complete] == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuraci", "--objective: unknown objective 'accuraci'. Did you mean 'accuracy'"),
        ("accuracy,samples", "--objective needs NAME,setting=value, as in .* got 'accuracy,samples'"),
        ("accuracy,samples=3", r"\[accuracy\] has an unknown key 'samples'"),
        ("robust_accuracy,attack=fgms", "unknown attack 'fgms'"),
        ("train_seconds", "train_seconds is measured while a training runs"),
    ],
)
def test_what_cannot_be_measured_is_one_message(directory: Path, text: str, message: str) -> None:
    with pytest.raises(WrongInputError, match=message):
        measure_study(nas.open(directory), text, say=quiet)
    assert not (directory / "measurements.jsonl").exists()


def test_a_trial_without_weights_is_named_before_anything_is_measured(directory: Path) -> None:
    weights_path(directory, 2).unlink()
    with pytest.raises(WrongInputError, match="trial 2 has no weights any more"):
        measure_study(nas.open(directory), "auc", pick="all", say=quiet)
    assert nas.open(directory).measurements == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": "0.5"}, "value must be a finite number"),
        ({"scale": "size"}, "scale must be one of fraction, count"),
        ({"flags": "none"}, "flags must be a list of words"),
        ({"key": "other"}, "trial 1 of the study is another network"),
        ({"schema": 9}, "its format is 9"),
    ],
)
def test_a_damaged_line_is_named(directory: Path, change: dict[str, Any], reason: str) -> None:
    measure_study(nas.open(directory), "macs", pick="trial:1", say=quiet)
    path = directory / "measurements.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}) + "\n")
    with pytest.raises(WrongInputError, match=rf"measurements\.jsonl, line 1 is damaged \({reason}"):
        nas.open(directory).measurements  # noqa: B018


def test_the_command_line_measures_and_shows_it(directory: Path) -> None:
    result = run("measure", directory, "--objective", "flops", "--json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert {row["trial"] for row in rows} == {record.number for record in nas.open(directory).front}
    table = run("pareto", directory, "--objective", "flops", "--json")
    assert all(row["measured"]["flops"] > 0 for row in json.loads(table.stdout))
    wrong = run("pareto", directory, "--objective", "flop")
    assert wrong.returncode == 2
    assert "Known: flops" in wrong.stderr

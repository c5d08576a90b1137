"""Exports: whole, read back, measured again, and honest about the test split."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tomli_w
import torch

import nas
from nas.errors import StoppedError, WrongInputError
from nas.export.evaluate import evaluate
from nas.export.export import export
from nas.results.study import Study

StudyFile = Callable[..., Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    """A study directory with three trials."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.toml").write_text(tomli_w.dumps({**small, "trials": 3, "bounds": {"macs": 12_000}}))
    return nas.search(folder / "small.toml", out=folder / "run").directory


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> Study:
    """A copy of the study, to be spoilt."""
    shutil.copytree(trained, tmp_path / "run")
    return nas.open(tmp_path / "run")


def test_an_export_holds_everything_and_measures_what_the_record_says(study: Study, tmp_path: Path) -> None:
    record = study.pick("knee")
    done = export(study.directory, study.settings, record, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "architecture.json",
        "weights.safetensors",
        "README.md",
        "origin.json",
    }
    assert done.measured["accuracy"] == record.measured["accuracy"]
    assert done.measured["robust_accuracy"] == record.measured["robust_accuracy"]
    card = (tmp_path / "out/README.md").read_text()
    assert record.key in card
    assert "nas.load(" in card


def test_a_loaded_network_is_the_trained_one_in_eval_mode(study: Study, tmp_path: Path) -> None:
    record = study.pick("trial:0")
    study.export("trial:0", tmp_path / "out")
    network = nas.load(tmp_path / "out")
    assert not network.training
    weights = safetensors.torch.load_file(study.directory / "artifacts/0/weights.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert record.architecture == json.loads((tmp_path / "out/architecture.json").read_text())


def test_a_study_can_be_copied_and_inspected_elsewhere(study: Study) -> None:
    assert [r.number for r in study.front] == [r.number for r in nas.open(study.directory).front]


def test_an_export_that_does_not_measure_what_the_record_says_is_caught(study: Study, tmp_path: Path) -> None:
    record = study.pick("knee")
    boasting = replace(record, measured={**record.measured, "accuracy": record.measured["accuracy"] + 0.2})
    with pytest.raises(StoppedError, match=rf"measures accuracy = .*, but trial {record.number} recorded"):
        export(study.directory, study.settings, boasting, tmp_path / "out")


def test_only_complete_trials_can_be_exported(study: Study, tmp_path: Path) -> None:
    infeasible = next(r for r in study.records if r.status == "infeasible")
    with pytest.raises(WrongInputError, match="has no weights to export: it ended infeasible"):
        export(study.directory, study.settings, infeasible, tmp_path / "out")


def test_a_folder_of_something_else_is_left_alone(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(WrongInputError, match="is no earlier export"):
        study.export("knee", tmp_path / "out")


def test_exporting_again_replaces_the_export(study: Study, tmp_path: Path) -> None:
    study.export("trial:0", tmp_path / "out")
    study.export("best:macs", tmp_path / "out")
    origin = json.loads((tmp_path / "out/origin.json").read_text())
    assert origin["trial"]["number"] == study.pick("best:macs").number


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: (out / "weights.safetensors").unlink(), "holds no weights.safetensors"),
        (
            lambda out: (out / "weights.safetensors").write_bytes(b"short"),
            "is damaged, or of another network than architecture.json",
        ),
        (lambda out: (out / "architecture.json").unlink(), "architecture.json does not exist"),
        (lambda out: (out / "architecture.json").write_text("{"), "is not an architecture"),
    ],
)
def test_a_damaged_export_is_one_message(
    study: Study, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    study.export("trial:0", tmp_path / "out")
    spoil(tmp_path / "out")
    with pytest.raises(WrongInputError, match=message):
        nas.load(tmp_path / "out")


def test_evaluating_on_the_test_split_is_written_down(study: Study, tmp_path: Path) -> None:
    study.export("trial:0", tmp_path / "out")
    result = evaluate(tmp_path / "out", None, "test")
    (noted,) = [json.loads(line) for line in (tmp_path / "out/evaluations.jsonl").read_text().splitlines()]
    assert noted == result
    assert (noted["split"], noted["samples"]) == ("test", 360)


def test_evaluating_on_validation_gives_the_recorded_values(study: Study, tmp_path: Path) -> None:
    record = study.pick("trial:0")
    study.export("trial:0", tmp_path / "out")
    measured = evaluate(tmp_path / "out", "digits", "validation")["measured"]
    assert measured == {name: record.measured[name] for name in ("accuracy", "robust_accuracy")}


def test_data_that_do_not_fit_are_refused(study: Study, tmp_path: Path) -> None:
    import numpy as np

    images = np.zeros((20, 9, 9), np.uint8)
    np.savez(tmp_path / "other.npz", x_train=images, y_train=np.arange(20) % 2, x_test=images, y_test=np.arange(20) % 2)
    study.export("trial:0", tmp_path / "out")
    with pytest.raises(
        WrongInputError, match=r"has images \(1, 9, 9\) and 2 classes, but the network takes \(1, 8, 8\)"
    ):
        evaluate(tmp_path / "out", f"npz:{tmp_path / 'other.npz'}", "test")
    with pytest.raises(WrongInputError, match="unknown to this export; use --split test"):
        evaluate(tmp_path / "out", f"npz:{tmp_path / 'other.npz'}", "validation")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("knie", "unknown pick 'knie'. Known: knee, trial:NUMBER, best:accuracy"),
        ("best:acuracy", "best: unknown objective 'acuracy'. Did you mean 'accuracy'?"),
        ("trial:99", "has no ended trial 99"),
        ("trial:x", "unknown pick 'trial:x'"),
    ],
)
def test_wrong_picks_are_one_message(study: Study, rule: str, message: str) -> None:
    with pytest.raises(WrongInputError, match=message):
        study.pick(rule)


def test_best_is_the_best_of_its_objective(study: Study) -> None:
    assert study.pick("best:accuracy").measured["accuracy"] == max(r.measured["accuracy"] for r in study.complete)
    assert study.pick("best:macs").measured["macs"] == min(r.measured["macs"] for r in study.complete)


def test_where_keeps_what_keeps_every_condition(study: Study) -> None:
    macs = sorted(r.measured["macs"] for r in study.complete)
    kept = study.where(study.complete, (f"macs<={macs[0]:g}", "accuracy >= 0"))
    assert {r.measured["macs"] for r in kept} == {macs[0]}
    with pytest.raises(WrongInputError, match=r"unknown measured value 'mac'\. Did you mean 'macs'"):
        study.where(study.complete, ("mac<3",))
    with pytest.raises(WrongInputError, match="--where needs NAME<=NUMBER"):
        study.where(study.complete, ("macs=<3",))

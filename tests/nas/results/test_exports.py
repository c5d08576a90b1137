"""Exports compared: worth, latency and size of every form, the same images or none, and no code of strangers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from terminal import run

import nas
from nas.errors import WrongInputError
from nas.export.bundle import SUMS, check_sums
from nas.export.evaluate import Opened
from nas.export.running import OWN, running
from nas.results.exports import compare_exports
from nas.results.study import Study
from objectives.robust_accuracy import RobustAccuracy


@pytest.fixture(scope="module")
def study(searched: Path) -> Study:
    return nas.open(searched)


@pytest.fixture(scope="module")
def outs(study: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two exports of one study, the first with its source beside it."""
    folder = tmp_path_factory.mktemp("outs")
    return study.export("trial:0", folder / "one", formats=["python"]), study.export("trial:1", folder / "two")


@pytest.fixture(scope="module")
def compared(outs: tuple[Path, Path]) -> dict[str, Any]:
    return compare_exports(outs, batches=(1, 4), seconds=0.1, attacks={"noise": RobustAccuracy(attack="noise")})


def test_forms_of_an_export_are_worth_the_same_and_what_the_record_says(study: Study, compared: dict[str, Any]) -> None:
    own, source = compared["exports"][0]["forms"]
    assert (own["form"], source["form"]) == (OWN, "python")
    record = study.trial(0)
    assert own["measured"]["accuracy"] == source["measured"]["accuracy"] == record.measured["accuracy"]
    assert own["measured"]["robust_accuracy"] == record.measured["robust_accuracy"]
    assert own["measured"]["calibration_error"] == pytest.approx(source["measured"]["calibration_error"], abs=1e-6)


def test_attacks_are_of_our_own_form_alone(compared: dict[str, Any]) -> None:
    own, source = compared["exports"][0]["forms"]
    assert list(compared["attacks"]) == ["robust_accuracy", "noise"]  # one study's attack is tried once
    assert all(own["measured"][name] is not None for name in compared["attacks"])
    assert all(source["measured"][name] is None for name in compared["attacks"])


def test_every_form_has_a_latency_for_each_batch_and_the_size_of_its_files(
    outs: tuple[Path, Path], compared: dict[str, Any]
) -> None:
    own, source = compared["exports"][0]["forms"]
    for form in (own, source):
        assert form["latency_ms"].keys() == {"1", "4"}
        assert all(0 < milliseconds < 1000 for milliseconds in form["latency_ms"].values())
    weights = (outs[0] / "model.safetensors").stat().st_size
    assert own["bytes"] == weights + (outs[0] / "config.json").stat().st_size
    assert source["bytes"] == weights + (outs[0] / "model.py").stat().st_size


def test_exports_are_compared_image_by_image_as_trials_are(study: Study, compared: dict[str, Any]) -> None:
    (test,) = compared["mcnemar"]
    wanted = study.compare(0, 1)
    assert (test["images"], test["first"], test["second"], test["p"]) == (
        *(wanted.images, wanted.first, wanted.second, wanted.p),
    )


def test_comparing_on_the_test_split_is_written_down_in_each_export(outs: tuple[Path, Path], tmp_path: Path) -> None:
    copies = [shutil.copytree(out, tmp_path / out.name) for out in outs]
    result = run("compare", *copies, "--split", "test", "--json")
    assert result.returncode == 0, result.stderr
    for copy, one in zip(copies, json.loads(result.stdout)["exports"], strict=True):
        last = json.loads((copy / "evaluations.jsonl").read_text().splitlines()[-1])
        assert last["split"] == "test"
        assert last["measured"] == one["forms"][0]["measured"]
        check_sums(copy)


def test_the_table_is_at_most_80_characters_wide(outs: tuple[Path, Path]) -> None:
    result = run("compare", outs[0], "--batch", "64", "--attack", "noise", "--attack", "fgsm", COLUMNS="80")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    head = next(number for number, line in enumerate(lines) if "accuracy" in line)
    table = lines[head : lines.index("", head)]
    assert [line.split()[:2] for line in table[-2:]] == [["1", "nas"], ["1", "python"]]
    assert max(map(len, table)) <= 80
    assert "attack 3: accuracy under fgsm (epsilon" in result.stdout


def test_a_source_that_somebody_changed_does_not_run(outs: tuple[Path, Path], tmp_path: Path) -> None:
    own = shutil.copytree(outs[0], tmp_path / "own")
    with open(own / "model.py", "a") as file:
        file.write(f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    (own / "random.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (own / SUMS).unlink()  # so that nothing else notices
    with running(Opened.read(own)) as (forms, left_out):
        assert [form.name for form in forms] == [OWN]
        assert "model.py is not what this version writes of the network" in left_out["python"]
    assert not (tmp_path / "ran").exists()


def test_exports_of_other_data_or_classes_are_refused(
    outs: tuple[Path, Path], small: dict[str, Any], tmp_path: Path
) -> None:
    other = {**small, "trials": 1, "seed": 4, "objectives": ["accuracy"]}
    other.pop("objective")
    (tmp_path / "other.toml").write_text(tomli_w.dumps(other))
    out = nas.search(tmp_path / "other.toml", out=tmp_path / "run").export("trial:0", tmp_path / "out")
    with pytest.raises(WrongInputError, match=r"validation images of \S+out are not those of \S+one\. Take --"):
        compare_exports([outs[0], out], seconds=0.1)
    shutil.copytree(outs[1], tmp_path / "renamed")
    origin = json.loads((tmp_path / "renamed/origin.json").read_text())
    origin["study"]["data"]["classes"] = list("abcdefghij")
    (tmp_path / "renamed/origin.json").write_text(json.dumps(origin))
    (tmp_path / "renamed" / SUMS).unlink()
    refused = run("compare", outs[0], tmp_path / "renamed")
    assert refused.returncode == 2
    assert "only exports of the same data and classes can be compared, but the classes of" in refused.stderr

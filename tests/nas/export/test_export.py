"""Exports: whole, read back, measured again, and honest about the test split."""

import io
import json
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import tomli_w
import torch
from terminal import run

import nas
from nas.errors import StoppedError, WrongInputError
from nas.export.bundle import check_sums
from nas.export.evaluate import evaluate
from nas.export.export import Verification, export
from nas.export.weights import train_again
from nas.results.study import Study


def content(folder: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
        "config.json",
        "model.safetensors",
        "measured.json",
        "example.safetensors",
        "network.svg",
        "README.md",
        "origin.json",
        "SHA256SUMS",
    }
    assert done.identical
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
    assert record.architecture == json.loads((tmp_path / "out/config.json").read_text())["architecture"]


def test_a_study_can_be_copied_and_inspected_elsewhere(study: Study) -> None:
    assert [r.number for r in study.front] == [r.number for r in nas.open(study.directory).front]


def test_an_export_that_does_not_measure_what_the_record_says_is_caught(study: Study, tmp_path: Path) -> None:
    record = study.pick("knee")
    boasting = replace(record, measured={**record.measured, "accuracy": record.measured["accuracy"] + 0.2})
    with pytest.raises(StoppedError, match=rf"measure accuracy = .*, but trial {record.number} recorded"):
        export(study.directory, study.settings, boasting, tmp_path / "out")


def test_only_complete_trials_can_be_exported(study: Study, tmp_path: Path) -> None:
    infeasible = replace(study.records[0], status="infeasible")
    with pytest.raises(WrongInputError, match="has no weights: it ended infeasible"):
        export(study.directory, study.settings, infeasible, tmp_path / "out")


def test_a_trial_whose_weights_were_deleted_is_trained_again_to_the_same_bits(study: Study, tmp_path: Path) -> None:
    path, out = study.directory / "artifacts/0/weights.safetensors", tmp_path / "out"
    before = path.read_bytes()
    path.unlink()
    with pytest.raises(WrongInputError, match=r"is missing .*nas export \S+run --pick trial:0 --retrain -o OUT"):
        study.export("trial:0", out)
    result = run("export", study.directory, "--pick", "trial:0", "-o", out, "--retrain", "--format", "none")
    assert result.returncode == 0, result.stderr
    assert "its logits are those of the trial, bit for bit" in result.stdout
    assert path.read_bytes() == before


def test_a_trial_is_trained_in_full_and_its_card_says_which_weights_it_holds(study: Study, tmp_path: Path) -> None:
    out, options = tmp_path / "out", ["--epochs", 3, "--seeds", 2, "--format", "none"]
    given = ["export", study.directory, "--pick", "trial:1", "-o", out, *options]
    refused = run(*given)
    assert (refused.returncode, "--epochs, --preset and --seeds say how --retrain trains" in refused.stderr) == (
        2,
        True,
    )
    done = run(*given, "--retrain")
    assert done.returncode == 0, done.stderr
    assert f"exported to {out / 'seed-1'}: accuracy" in done.stdout
    searched = study.trial(1)
    for seed in (0, 1):
        measured = json.loads((out / f"seed-{seed}/measured.json").read_text())
        assert (measured["trial"], measured["network"], measured["training"]["seed"]) == (1, searched.key, seed)
        assert measured["training"]["epochs"] == 3
        assert measured["weights"]["of"] == "training"
        assert measured["weights"]["search"]["measured"] == searched.measured
        assert measured["bit_for_bit"] is not None
        card = (out / f"seed-{seed}/README.md").read_text()
        assert (
            f"weights: not of a search, but trained in full, 3 epochs with seed {seed}; in the search trial 1" in card
        )
    states = [nas.load(out / f"seed-{seed}").state_dict() for seed in (0, 1)]
    assert any(not torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    study.export("trial:1", tmp_path / "found")
    assert "weights: those of trial 1 of the search" in (tmp_path / "found/README.md").read_text()


def test_a_training_that_leads_to_another_network_is_not_taken_for_the_trial(study: Study) -> None:
    path = study.directory / "artifacts/0/weights.safetensors"
    path.unlink()
    other = replace(study.trial(0), seed=1)
    with pytest.raises(StoppedError, match=r"to another network than it was.*nas train \S+run#0"):
        train_again(study.directory, study.settings, other, say=lambda _: None)
    assert not path.exists()


def test_a_folder_of_something_else_is_left_alone(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(WrongInputError, match="is no earlier export"):
        study.export("knee", tmp_path / "out")


def test_an_earlier_export_is_replaced_only_if_that_is_said(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "out"
    study.export("trial:0", out)
    before = content(out)
    with pytest.raises(WrongInputError, match=r"out holds an earlier export\. .* --force to replace it"):
        study.export("best:macs", out)
    assert content(out) == before
    study.export("best:macs", out, force=True)
    origin = json.loads((out / "origin.json").read_text())
    assert origin["trial"]["number"] == study.pick("best:macs").number
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == ["out"]


def test_what_a_person_put_into_an_export_is_never_deleted(study: Study, tmp_path: Path) -> None:
    study.export("trial:0", tmp_path / "out")
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(WrongInputError, match=r"holds an export, and besides it 'notes\.txt'"):
        study.export("trial:0", tmp_path / "out", force=True)
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


def test_the_use_of_the_test_images_stays_known_when_the_same_network_is_exported_again(
    study: Study, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    study.export("trial:0", out)
    evaluate(out, None, "test")
    study.export("trial:0", out, force=True)
    assert len((out / "evaluations.jsonl").read_text().splitlines()) == 1
    study.export(f"trial:{study.complete[-1].number}", out, force=True)
    assert not (out / "evaluations.jsonl").exists()


def test_frozen_tensors_are_written_out_where_that_is_said_and_it_stays_known_that_test_images_were_used(
    small: dict[str, Any], tmp_path: Path
) -> None:
    choices = {**small["space"]["choices"], "s1.freeze": ["chans"]}
    table = {**small, "trials": 1, "space": {"kind": "convmixer", "choices": choices}}
    (tmp_path / "small.toml").write_text(tomli_w.dumps(table))
    study, out = nas.search(tmp_path / "small.toml", out=tmp_path / "run"), tmp_path / "out"
    study.export("trial:0", out)
    evaluate(out, None, "test")
    assert "frozen tensors are stored as their seeds (splitmix64-1)" in (out / "README.md").read_text()
    before = nas.load(out).state_dict()
    options = ["--materialise", "--format", "none", "--force"]
    done = run("export", study.directory, "--pick", "trial:0", "-o", out, *options)
    assert done.returncode == 0, done.stderr
    assert "frozen" not in json.loads((out / "config.json").read_text())
    assert safetensors.torch.load_file(out / "model.safetensors").keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in nas.load(out).state_dict().items())
    assert (out / "evaluations.jsonl").exists()


def test_the_front_is_never_written_into_an_export(study: Study, tmp_path: Path) -> None:
    study.export("trial:0", tmp_path / "out")
    done = run("export", study.directory, "--pick", "front", "-o", tmp_path / "out", "--force")
    assert done.returncode == 2
    assert "holds an export. Give another folder with -o for those of the front" in done.stderr
    first = run(
        "export", study.directory, "--pick", "front", "-o", tmp_path / "front", "--no-verify", "--format", "none"
    )
    again = run(
        "export", study.directory, "--pick", "front", "-o", tmp_path / "front", "--no-verify", "--format", "none"
    )
    assert (first.returncode, again.returncode, "holds an earlier export" in again.stderr) == (0, 2, True)
    index = json.loads((tmp_path / "front/index.json").read_text())
    assert [row["trial"] for row in index] == [record.number for record in study.front]
    assert all((tmp_path / "front" / row["folder"] / "model.safetensors").exists() for row in index)


def test_an_export_that_is_refused_leaves_the_earlier_one_whole(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "out"
    study.export("trial:0", out)
    before, record = content(out), study.pick("knee")
    boasting = replace(record, measured={**record.measured, "accuracy": record.measured["accuracy"] + 0.2})
    with pytest.raises(StoppedError, match="nothing was exported"):
        export(study.directory, study.settings, boasting, out, force=True)
    assert content(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "out"}


@pytest.mark.parametrize("room", [0, 100, 2_000])
def test_a_full_disk_is_one_message_and_leaves_the_earlier_export_whole(
    study: Study, tmp_path: Path, room: int
) -> None:
    out = tmp_path / "out"
    study.export("trial:0", out)
    before, limits = content(out), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(StoppedError, match=r"out/.* cannot be written \(File too large\)\. What was finished"):
            study.export("trial:0", out, force=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        with pytest.raises(StoppedError, match=r"evaluations\.jsonl cannot be written .*, so this was not noted: "):
            evaluate(out, None, "test")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (out / "evaluations.jsonl").unlink()
    assert content(out) == before


def test_a_folder_that_cannot_be_replaced_as_a_whole_is_refused(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    for out in (Path(), tmp_path / "here", Path("/")):
        with pytest.raises(WrongInputError, match="is a mount point or holds the current folder"):
            study.export("trial:0", out)


@pytest.mark.slow
def test_24_kills_of_an_export_over_an_export_leave_a_whole_one(trained: Path, tmp_path: Path) -> None:
    first = nas.open(trained).complete[0].number
    command = [sys.executable, "-m", "nas", "export", trained, "-o", tmp_path / "out", "--force", "--pick"]

    def begun(rule: str, *forms: str) -> tuple[subprocess.Popen[bytes], float]:
        """An export that has begun to write, and when."""
        process = subprocess.Popen([*command, rule, *forms], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(tmp_path.glob(".out.*")):
            time.sleep(0.002)
        return process, time.monotonic()

    generator, whole, killed = random.Random(0), 0, 0
    for kills, forms in ((2, ()), (22, ("--format", "python"))):  # in all forms it takes five times as long
        process, start = begun(f"trial:{first}", *forms)
        assert process.wait() == 0
        seconds = time.monotonic() - start
        for number in range(kills):
            process, _ = begun("best:macs", *forms)
            # Evenly over all that is written, half of them near its end, where the folders change places.
            time.sleep(generator.uniform(0, seconds) if number % 2 else generator.uniform(0.9, 1.02) * seconds)
            process.kill()
            killed += process.wait() == -signal.SIGKILL
            check_sums(tmp_path / "out")
            assert (tmp_path / "out/model.py").exists()
            whole += isinstance(nas.load(tmp_path / "out"), torch.nn.Module)
    assert (whole, killed > 5) == (24, True)
    subprocess.run([*command, "best:macs", "--format", "python"], check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


FILES = ["config.json", "model.safetensors", "measured.json", "origin.json", "README.md"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_refused(study: Study, tmp_path: Path, name: str) -> None:
    path = study.export("trial:0", tmp_path / "out") / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WrongInputError, match=rf"{name} is damaged: it is not what was exported"):
        nas.load(tmp_path / "out")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: (out / "model.safetensors").unlink(), r"holds no model\.safetensors"),
        (lambda out: (out / "config.json").unlink(), r"holds no config\.json"),
        (lambda out: (out / "SHA256SUMS").write_text("nothing"), "SHA256SUMS is damaged"),
        (
            lambda out: (out / "SHA256SUMS").write_text(f"{'0' * 64}  ../run/study.toml\n"),
            "which is outside the export",
        ),
    ],
)
def test_a_damaged_export_is_one_message(
    study: Study, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    study.export("trial:0", tmp_path / "out")
    spoil(tmp_path / "out")
    with pytest.raises(WrongInputError, match=message):
        nas.load(tmp_path / "out")


def change(out: Path, tensor: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Replaces the floating-point weights of an export."""
    [path] = [path for path in out.glob("*.safetensors") if path.stem in ("model", "weights")]
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({n: tensor(t) if t.is_floating_point() else t for n, t in tensors.items()}, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: (out / "model.safetensors").write_bytes(b"short"), "damaged, or of another network than the arch"),
        (lambda out: (out / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda out: (out / "config.json").unlink(), "config.json does not exist"),
        (lambda out: (out / "config.json").write_text("{"), "is not an architecture"),
        (lambda out: change(out, torch.Tensor.half), r"is float16, the network has float32"),
        (lambda out: change(out, torch.Tensor.double), r"is float64, the network has float32"),
        (lambda out: change(out, lambda t: t / 0), "holds values that are no finite numbers"),
        (lambda out: (out / "origin.json").write_text("[]"), "it is no JSON object"),
        (lambda out: (out / "origin.json").write_text('{"plugins": 3}'), "it must be an object of checksums"),
        (lambda out: (out / "origin.json").write_text('{"plugins": {"no.py": "0"}}'), r"plugins/no\.py does not exist"),
    ],
)
def test_without_checksums_an_export_is_still_checked(
    study: Study, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    study.export("trial:0", tmp_path / "out")
    (tmp_path / "out/SHA256SUMS").unlink()
    nas.load(tmp_path / "out")
    spoil(tmp_path / "out")
    with pytest.raises(WrongInputError, match=message):
        nas.load(tmp_path / "out")


class Ran:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def bomb(size: int) -> bytes:
    """A zip archive of a thousandth of the zeros that it holds."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", bytes(size))
    return file.getvalue()


def saved(value: object) -> bytes:
    """A file of ``torch.save``, a pickle in an archive."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (lambda mark: pickle.dumps(Ran(mark)), r"model\.safetensors is damaged"),
        (lambda mark: saved(Ran(mark)), r"model\.safetensors is damaged"),
        (lambda mark: bomb(20_000_000), r"model\.safetensors is damaged"),
        (lambda mark: (2**62).to_bytes(8, "little") + b"{}", r"model\.safetensors is damaged"),
    ],
    ids=["pickle", "torch.save", "zip bomb", "a header without end"],
)
def test_what_is_no_safetensors_file_is_refused_and_never_run(
    study: Study, tmp_path: Path, hostile: Callable[[Path], bytes], message: str
) -> None:
    out = study.export("trial:0", tmp_path / "out")
    (out / "SHA256SUMS").unlink()
    (out / "model.safetensors").write_bytes(hostile(tmp_path / "mark"))
    with pytest.raises(WrongInputError, match=message):
        nas.load(out)
    assert not (tmp_path / "mark").exists()


def test_an_architecture_that_would_fill_the_memory_is_refused_by_what_it_has_for_weights(
    study: Study, tmp_path: Path
) -> None:
    out = study.export("trial:0", tmp_path / "out")
    (out / "SHA256SUMS").unlink()
    config = json.loads((out / "config.json").read_text())
    config["architecture"]["stem"]["dim"] = 1_000_000
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(WrongInputError, match=r"it holds [\d,]+ numbers, the network has [\d,]{9,} parameters"):
        nas.load(out)


def test_weights_that_are_not_finite_are_not_exported(study: Study, tmp_path: Path) -> None:
    change(study.directory / "artifacts" / "0", lambda tensor: tensor * float("nan"))
    with pytest.raises(WrongInputError, match=r"weights of trial 0 cannot be exported: .* no finite numbers"):
        export(study.directory, study.settings, study.trial(0), tmp_path / "out", verify=Verification(wanted=False))
    assert not (tmp_path / "out").exists()


def test_the_same_images_elsewhere_verify_an_export(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (80, 8, 8), np.uint8), np.arange(80) % 2
    np.savez(tmp_path / "here/my.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    table = {**small, "trials": 2, "data": {"name": "npz:here/my.npz"}}
    (tmp_path / "small.toml").write_text(tomli_w.dumps(table))
    nas.search(tmp_path / "small.toml", out=tmp_path / "run")
    (tmp_path / "there").mkdir()
    shutil.move(tmp_path / "here/my.npz", tmp_path / "there/my.npz")
    study, there = nas.open(tmp_path / "run"), f"npz:{tmp_path / 'there/my.npz'}"
    number = study.complete[0].number

    refused = run("export", tmp_path / "run", "--pick", f"trial:{number}", "-o", tmp_path / "out")
    assert (refused.returncode, "--data NAME:LOCATION" in refused.stderr) == (2, True)
    done = run(
        "export",
        tmp_path / "run",
        "--pick",
        f"trial:{number}",
        "-o",
        tmp_path / "out",
        "--data",
        there,
        "--format",
        "none",
    )
    assert done.returncode == 0, done.stderr
    result = evaluate(tmp_path / "out", there, "validation")
    assert result["measured"]["accuracy"] == study.trial(number).measured["accuracy"]
    np.savez(tmp_path / "there/my.npz", x_train=images + 1, y_train=labels, x_test=images[:20], y_test=labels[:20])
    with pytest.raises(WrongInputError, match="are not those of the study: their checksum is"):
        evaluate(tmp_path / "out", there, "validation")


def test_a_study_whose_data_moved_goes_on_and_says_so(small: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (80, 8, 8), np.uint8), np.arange(80) % 2
    np.savez(tmp_path / "my.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    path = tmp_path / "small.toml"
    path.write_text(tomli_w.dumps({**small, "trials": 2, "data": {"name": "npz", "location": "my.npz"}}))
    nas.search(path, out=tmp_path / "run")
    shutil.move(tmp_path / "my.npz", tmp_path / "moved.npz")
    done = run(
        "search", path, "--set", f"data.location={tmp_path / 'moved.npz'}", "--out", tmp_path / "run", "--trials", 3
    )
    assert done.returncode == 0, done.stderr
    assert f"the data are now read from npz:{tmp_path / 'moved.npz'}; they are the same" in done.stdout
    study = nas.open(tmp_path / "run")
    assert (len(study.complete), study.settings.data.options["location"]) == (3, str(tmp_path / "moved.npz"))

    shutil.copytree(tmp_path / "run", tmp_path / "elsewhere")  # and it is a study file of its own
    again = run("search", tmp_path / "elsewhere/study.toml", "--trials", 4)
    assert again.returncode == 0, again.stderr
    assert len(nas.open(tmp_path / "elsewhere").complete) == 4
    np.savez(tmp_path / "moved.npz", x_train=images + 1, y_train=labels, x_test=images[:20], y_test=labels[:20])
    with pytest.raises(WrongInputError, match=r"holds another study: data\.checksum was"):
        nas.search(tmp_path / "elsewhere/study.toml", trials=5)


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
    images = np.random.default_rng(0).integers(0, 256, (20, 9, 9), np.uint8)
    np.savez(tmp_path / "other.npz", x_train=images, y_train=np.arange(20) % 2, x_test=images, y_test=np.arange(20) % 2)
    study.export("trial:0", tmp_path / "out")
    with pytest.raises(
        WrongInputError, match=r"has images \(1, 9, 9\) and 2 classes, but the network takes \(1, 8, 8\)"
    ):
        evaluate(tmp_path / "out", f"npz:{tmp_path / 'other.npz'}", "test")
    with pytest.raises(WrongInputError, match="are not those of the study: their checksum is"):
        evaluate(tmp_path / "out", f"npz:{tmp_path / 'other.npz'}", "validation")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("knie", "unknown pick 'knie'. Known: knee, trial:NUMBER, best:OBJECTIVE"),
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
    with pytest.raises(WrongInputError, match=r"unknown value 'mac'\. Did you mean 'macs'"):
        study.where(study.complete, ("mac<3",))
    with pytest.raises(WrongInputError, match="--where needs comparisons such as macs<=5e6"):
        study.where(study.complete, ("macs=<3",))

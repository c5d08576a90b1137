"""Surrogates of a study: copied from exports or trained once, kept in its directory, carried by its exports."""

import hashlib
import json
import pickle
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from terminal import run

import nas
from nas.errors import WrongInputError
from nas.export.bundle import load_architecture
from nas.export.evaluate import evaluate
from nas.export.surrogates import keep, read_surrogate
from nas.results.measure import measure_study
from nas.store.records import trial_seed
from nas.store.surrogates import Surrogate
from nas.trial import serialize
from searchspaces import build
from searchspaces.heads import fitted

TRANSFER = {"kind": "robust_accuracy", "attack": "transfer", "samples": 20, "epsilon": "16/255"}


def quiet(message: str) -> None:
    pass


def study(small: dict[str, Any], **transfer: Any) -> str:
    """A study file with an objective under transfer."""
    objective = {**small["objective"], "transfer": {**TRANSFER, **transfer}}
    return tomli_w.dumps({**small, "trials": 2, "objectives": ["accuracy", "transfer", "macs"], "objective": objective})


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    """A folder with an export ``one`` and a study ``run`` whose surrogates are that and a known architecture."""
    folder = tmp_path_factory.mktemp("surrogates")
    (folder / "first.toml").write_text(tomli_w.dumps({**small, "trials": 1, "objectives": ["accuracy", "macs"]}))
    nas.search(folder / "first.toml", out=folder / "first").export("knee", folder / "one")
    (folder / "second.toml").write_text(study(small, surrogates=["./one", "resnet"]))
    nas.search(folder / "second.toml", out=folder / "run")
    return folder


@pytest.fixture
def folder(searched: Path, tmp_path: Path) -> Path:
    """A copy of it, elsewhere."""
    return Path(shutil.copytree(searched, tmp_path / "copy"))


def test_a_value_says_on_which_surrogates_and_all_trials_are_measured_on_the_same(searched: Path) -> None:
    opened = nas.open(searched / "run")
    settings = [record.settings["transfer"] for record in opened.complete]
    digests = {path.name for path in (searched / "run" / "surrogates").iterdir()}
    assert set(settings[0]["surrogates"].values()) == digests
    assert len(digests) == 2
    assert all(other["surrogates"] == settings[0]["surrogates"] for other in settings)
    assert all(record.measured["transfer"] <= 1 for record in opened.complete)


def test_a_trained_surrogate_has_a_seed_that_no_trial_has(searched: Path) -> None:
    [path] = (searched / "run" / "surrogates").glob("*/trained.json")
    seeds = {trial_seed(3, number) for number in range(100)}
    assert json.loads(path.read_text())["seed"] not in seeds


def test_a_study_goes_on_with_the_same_surrogates_where_it_was_moved_and_the_originals_are_gone(folder: Path) -> None:
    moved = folder.parent / "moved"
    shutil.move(folder / "run", moved)
    shutil.rmtree(folder)
    before = {path.name for path in (moved / "surrogates").iterdir()}
    opened = nas.search(moved / "study.toml", trials=3)
    assert len(opened.complete) == 3
    assert {path.name for path in (moved / "surrogates").iterdir()} == before
    assert str(folder) not in (moved / "study.toml").read_text()
    names = [sorted(record.settings["transfer"]["surrogates"].values()) for record in opened.complete]
    assert names == 3 * [sorted(before)]


def test_a_study_goes_on_by_its_own_file_and_refuses_another_surrogate(folder: Path, small: dict[str, Any]) -> None:
    assert len(nas.search(folder / "second.toml", out=folder / "run").complete) == 2
    (folder / "second.toml").write_text(study(small, surrogates=["resnet"]))
    with pytest.raises(WrongInputError, match=r"holds another study: objective\.transfer\.surrogates was"):
        nas.search(folder / "second.toml", out=folder / "run")


def test_an_export_carries_the_surrogates_and_is_evaluated_by_itself(folder: Path) -> None:
    opened = nas.open(folder / "run")
    out = opened.export("trial:0", folder.parent / "taken")
    shutil.rmtree(folder)
    assert len(list((out / "surrogates").iterdir())) == 2
    found = evaluate(out, None, "validation")["measured"]
    assert found["transfer"] == pytest.approx(opened.trial(0).measured["transfer"])


def test_a_study_is_measured_on_its_surrogates_afterwards(folder: Path) -> None:
    measured = measure_study(nas.open(folder / "run"), "transfer", pick="all", say=quiet)
    found = {one.trial: one.value for one in measured.measurements}
    assert found == {record.number: record.measured["transfer"] for record in measured.complete}
    text = "robust_accuracy,attack=transfer,samples=20,surrogates=['resnet','./one']"
    with pytest.raises(WrongInputError, match=r"surrogate one is no export|surrogate \./one is no export"):
        measure_study(nas.open(folder / "run"), text, say=quiet)


def test_members_are_confirmed_by_a_pool_that_is_trained_for_it_once(folder: Path) -> None:
    options = ["--pick", "trial:0", "--seeds", "1"]
    assert run("confirm", folder / "run", *options).returncode == 0
    assert len(list((folder / "run" / "surrogates").iterdir())) == 2


def test_a_training_in_full_is_measured_on_surrogates_that_it_keeps(folder: Path, tmp_path: Path) -> None:
    architecture, settings = folder / "one" / "config.json", ["--set", 'objectives=["accuracy","transfer"]']
    table = json.dumps([str(folder / "one")])
    settings += ["--set", "objective.transfer.kind=robust_accuracy", "--set", "objective.transfer.attack=transfer"]
    settings += ["--set", f"objective.transfer.surrogates={table}", "--set", "data.limit=200"]
    done = run("train", architecture, "--data", "digits", "--epochs", 1, *settings, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "surrogates").iterdir())) == 1
    again = run("train", architecture, "--data", "digits", "--epochs", 1, *settings, "-o", tmp_path / "out")
    assert "holds this training, which has ended" in again.stderr + again.stdout


def test_a_rehearsal_trains_no_surrogate(searched: Path) -> None:
    done = run("search", searched / "second.toml", "--dry-run", "--out", searched / "no")
    assert (done.returncode, (searched / "no").exists()) == (0, False), done.stderr


@pytest.fixture
def unusable(folder: Path) -> Path:
    """The folder with exports that are damaged, of other classes, or need a stranger's operator."""
    for name in ("damaged", "strange"):
        shutil.copytree(folder / "one", folder / name)
    (folder / "damaged" / "model.safetensors").write_bytes(b"other")
    architecture = load_architecture(folder / "one" / "config.json")
    other = fitted(architecture, 3)
    keep(Surrogate(other.to_json(), serialize(build(other))), folder)
    [place] = (folder / "surrogates").iterdir()
    place.rename(folder / "three")

    strange = folder / "strange"
    code = f"from pathlib import Path\nPath({str(folder / 'it ran')!r}).touch()\n".encode()
    (strange / "plugins").mkdir()
    (strange / "plugins" / "mine.py").write_bytes(code)
    origin = json.loads((strange / "origin.json").read_text())
    origin["plugins"] = {"mine.py": hashlib.sha256(code).hexdigest()}
    (strange / "origin.json").write_text(json.dumps(origin))
    document = json.loads((strange / "config.json").read_text())
    document["architecture"]["stages"][0]["block"] = {"kind": "nobodys_gate"}
    (strange / "config.json").write_text(json.dumps(document))
    (strange / "SHA256SUMS").unlink()
    return folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("resnot", r"unknown surrogate 'resnot'\. Did you mean 'resnet'\? .*The path of an export has a slash"),
        ("./nothing", r"surrogate .*/nothing is no export: it holds no config\.json\. Write one with nas export"),
        (f"./{'x' * 300}", r"surrogate .*/xxx.*: .*File name too long"),
        ("./three", r"surrogate .*/three takes \(1, 8, 8\) and has 3 classes, but the data of the study have .* 10 "),
        ("./damaged", r"model\.safetensors is damaged: it is not what was exported"),
        ("./strange", r"'nobodys_gate'.* A surrogate runs none of its own plugins \(mine\.py\); name what it needs in"),
    ],
)
def test_a_surrogate_that_cannot_be_used_is_refused_and_runs_no_code(
    unusable: Path, small: dict[str, Any], given: str, message: str
) -> None:
    (unusable / "new.toml").write_text(study(small, surrogates=[given]))
    with pytest.raises(WrongInputError, match=message):
        nas.search(unusable / "new.toml", out=unusable / "new")
    assert not (unusable / "new").exists()
    assert not (unusable / "it ran").exists()


def test_a_copy_that_is_missing_or_was_changed_is_refused(folder: Path) -> None:
    place = folder / "run" / "surrogates"
    [trained] = (path.parent for path in place.glob("*/trained.json"))
    [copied] = (path for path in place.iterdir() if path != trained)
    shutil.copy(trained / "weights.safetensors", copied / "weights.safetensors")
    shutil.copy(trained / "architecture.json", copied / "architecture.json")
    with pytest.raises(WrongInputError, match=f"{copied.name} is not what was stored there"):
        nas.open(folder / "run").export("trial:0", folder / "taken")
    shutil.rmtree(copied)
    with pytest.raises(WrongInputError, match=f"needs the surrogate 'surrogates/{copied.name}', but .* does not hold"):
        nas.open(folder / "run").export("trial:0", folder / "taken")


def test_a_training_cannot_attack_by_transfer(searched: Path, small: dict[str, Any]) -> None:
    training = {"kind": "adversarial", "attack": "transfer", "epochs": 1}
    (searched / "adversarial.toml").write_text(tomli_w.dumps({**small, "training": training}))
    with pytest.raises(WrongInputError, match="attack 'transfer' makes its images on surrogates; a training attacks"):
        nas.search(searched / "adversarial.toml", out=searched / "no")


def test_the_resolved_study_names_every_surrogate(searched: Path) -> None:
    table = tomllib.loads((searched / "run" / "study.toml").read_text())
    names = table["objective"]["transfer"]["surrogates"]
    assert names[0].startswith("surrogates/")
    assert names[1:] == ["resnet"]


def test_a_surrogate_travels_with_a_plan(searched: Path) -> None:
    [path] = (path.parent for path in (searched / "run" / "surrogates").glob("*/trained.json"))
    travelled = pickle.loads(pickle.dumps(read_surrogate(path)))
    assert travelled.digest == path.name
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(travelled.network()(images), nas.load(path)(images))

"""Forms of an export that run without this framework: proven, private, left out or refused with a reason."""

import getpass
import json
import random
import shutil
import socket
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
import safetensors.torch
import tomli_w
import torch
from click.testing import CliRunner
from PIL import Image
from releases import takes_onnx, takes_pt2

import nas
from nas.cli import cli
from nas.errors import StoppedError, WrongInputError
from nas.export.bundle import write_sums
from nas.export.evaluate import evaluate
from nas.export.export import export
from nas.export.formats import FORMATS, Format, Taken, missing
from nas.export.formats.graph import ExpectedCosts
from nas.export.formats.onnx import content as onnx_content
from nas.export.formats.python import sound_source
from nas.export.forms import Forms
from nas.export.predict import predict
from nas.export.proof import TOLERANCE, Proof, answers, prove, ran
from nas.export.running import OWN
from nas.pricing import price
from nas.results.exports import compare_exports
from nas.results.study import Study
from nas.trial import serialize
from searchspaces import SEARCH_SPACES, Architecture, build
from trainers.audio import LogMel, read_wave


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Study:
    """A study of two trials on an archive in a folder of somebody's."""
    folder = tmp_path_factory.mktemp("home_of_somebody")
    generator = np.random.default_rng(0)
    images, labels = generator.random((60, 1, 8, 8), np.float32), np.arange(60) % 3
    np.savez(folder / "mine.npz", x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    data = {"name": f"npz:{folder / 'mine.npz'}"}
    table = {**small, "trials": 2, "data": data, "objectives": ["accuracy", "macs"], "bounds": {"macs": 12_000}}
    table.pop("objective", None)
    (folder / "small.toml").write_text(tomli_w.dumps(table))
    return nas.search(folder / "small.toml", out=folder / "run")


@pytest.fixture(scope="module")
def out(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of it in every form."""
    return study.export("trial:0", tmp_path_factory.mktemp("out") / "taken", formats=None)


@takes_pt2
def test_every_form_is_proven_on_every_measured_image(study: Study, out: Path) -> None:
    measured = json.loads((out / "measured.json").read_text())
    assert measured["formats"].keys() | measured["left_out"].keys() == {n for n, form in FORMATS.items() if form.usual}
    assert not (out / "model.int8.onnx").exists()
    assert measured["rounded"] == {}
    for proof in measured["formats"].values():
        assert proof["images"] == study.trial(0).settings["accuracy"]["samples"]
        assert proof["batches"] == [size for size in (1, 2, 7, 64) if size <= proof["images"]]
        assert 0 <= proof["largest_difference"] <= TOLERANCE
    total = price(Architecture.from_json(study.trial(0).architecture)).total
    for name, proof in measured["formats"].items():
        known = ("parameters", "macs", "macs_per_image") if name != "onnx" else ("macs_per_image",)
        assert {proof["costs"][key] for key in known if key != "parameters"} == {total.macs_executed}
        assert proof["costs"]["parameters"] in (total.parameters, None)
    assert f"{total.macs:,} multiply-accumulates for one image" in (out / "README.md").read_text()
    assert "pt2" in measured["formats"]  # torch alone
    assert measured["bit_for_bit"]


def test_nothing_in_an_export_says_who_made_it_or_where(study: Study, out: Path) -> None:
    private = [str(study.directory.parent), str(Path.cwd()), "home_of_somebody", "site-packages"]
    private += [socket.gethostname()] if len(socket.gethostname()) > 5 else []  # a short one is part of other words
    private.append(f"/{getpass.getuser()}/")
    for path in (path for path in out.rglob("*") if path.is_file()):
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for word in private:
            assert not any(word.encode() in content for content in contents), (path.name, word)


@takes_pt2
def test_the_archive_of_torch_holds_no_pickle(out: Path) -> None:
    with zipfile.ZipFile(out / "model.pt2") as archive:
        for name in archive.namelist():
            assert not archive.read(name).startswith((b"\x80\x02", b"PK")), name


def test_an_export_is_measured_where_its_data_are_said_to_lie(study: Study, out: Path, tmp_path: Path) -> None:
    own = shutil.copytree(out, tmp_path / "own")
    there = f"npz:{study.directory.parent / 'mine.npz'}"
    assert evaluate(own, there, "test")["samples"] == 9
    with pytest.raises(WrongInputError, match=r"does not say where its data lie\. Give them with --data npz:LOCATION"):
        evaluate(own, None, "test")


def test_the_configuration_says_what_the_network_takes_and_returns(study: Study, out: Path) -> None:
    config = json.loads((out / "config.json").read_text())
    assert config["architecture"] == study.trial(0).architecture
    assert config["input"] == {"of": "images", "layout": "BCHW", "shape": [1, 8, 8], "range": [0, 1]}
    assert config["classes"] == study.settings.data.classes
    assert config["versions"]["torch"] == version("torch")


def test_an_export_of_an_earlier_version_still_loads(study: Study, out: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "architecture.json").write_text(json.dumps(study.trial(0).architecture))
    shutil.copy(out / "model.safetensors", old / "weights.safetensors")
    shutil.copy(out / "origin.json", old / "origin.json")
    write_sums(old)
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(nas.load(old)(images), nas.load(out)(images))
    study.export("trial:1", old, force=True)  # and can be replaced by one of today
    assert (old / "config.json").exists()


def test_an_export_of_another_version_is_refused(out: Path, tmp_path: Path) -> None:
    own = shutil.copytree(out, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"format": 99}))
    with pytest.raises(WrongInputError, match=r"config\.json is damaged"):
        nas.load(own)  # by its checksum
    (own / "SHA256SUMS").unlink()
    with pytest.raises(WrongInputError, match="its format is 99, and this version reads formats 1 to 2"):
        nas.load(own)


def test_an_export_is_attacked_by_what_the_command_names(study: Study, out: Path, tmp_path: Path) -> None:
    own = shutil.copytree(out, tmp_path / "own")
    there = f"npz:{study.directory.parent / 'mine.npz'}"
    command = ["evaluate", str(own), "--data", there, "--attack", "fgsm", "--attack", "noise", "--json"]
    found = json.loads(CliRunner().invoke(cli, [*command, "--epsilon", "8/255"]).stdout)
    plain = found["measured"]["accuracy"]
    assert 0 <= found["measured"]["accuracy under fgsm"] <= found["measured"]["accuracy under noise"] <= plain
    assert found["attacks"]["accuracy under fgsm"]["epsilon"] == pytest.approx(8 / 255)
    for more, message in (
        (["--attack", "fgms"], "Did you mean 'fgsm'?"),
        (["--attack", "fgsm", "--epsilon", "x"], "epsilon"),
        (["--epsilon", "8/255"], "Name one with --attack"),
        (["--attack", "transfer"], "Measure it in a study"),
    ):
        refused = CliRunner().invoke(cli, ["evaluate", str(own), "--data", there, *more])
        assert isinstance(refused.exception, WrongInputError)
        assert message in str(refused.exception)


class Boastful(Format):
    """Another network than it says."""

    name = "boastful"
    files: ClassVar[tuple[str, ...]] = ("model.txt",)
    runner = "def run(images):\n    return np.ones((len(images), 3), np.float32)"

    def write(self, taken: Taken, folder: Path) -> None:
        (folder / "model.txt").write_text("trust me")


@pytest.fixture
def boastful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that is not what it says, among the others."""
    monkeypatch.setitem(FORMATS, "boastful", Boastful)


@pytest.mark.usefixtures("boastful")
def test_a_form_that_is_another_network_is_refused_and_nothing_is_left(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match=r"nothing was exported: model\.txt .* outputs differ by"):
        study.export("trial:0", tmp_path / "out", formats=["boastful"])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("boastful")
def test_where_all_forms_are_written_one_that_fails_is_left_out_and_named(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in FORMATS if name != "boastful"]:
        monkeypatch.delitem(FORMATS, name)
    done = export(study.directory, study.settings, study.trial(0), tmp_path / "out", forms=Forms(None))
    assert done.left_out.keys() == {"boastful"}
    assert not (tmp_path / "out/model.txt").exists()
    assert "Not as boastful: model.txt" in (tmp_path / "out/README.md").read_text()


@pytest.mark.usefixtures("boastful")
def test_a_form_that_does_not_run_elsewhere_is_refused_with_its_reason(
    study: Study, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Boastful, "runner", "import nas")
    images = torch.rand(2, 1, 8, 8)
    wanted = answers(nas.load(out), images)
    with pytest.raises(StoppedError, match=r"does not run without this framework: .*import of nas halted"):
        prove("boastful", out, images, wanted)


@pytest.mark.usefixtures("boastful")
@pytest.mark.parametrize("end", ["import os; os._exit(3)", "raise SystemExit(3)"])
def test_a_form_that_ends_the_process_leaves_the_proof_of_those_beside_it(
    study: Study, out: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    plain = "def run(images):\n    return images[:, 0, :2, 0] * 2"
    for name, runner in (("first", plain), ("ends", end), ("last", plain)):
        other = type(name, (Boastful,), {"name": name, "runtime": "one", "runner": runner})
        monkeypatch.setitem(FORMATS, name, other)
    images = torch.rand(3, 1, 8, 8)
    found = ran(["first", "ends", "last"], out, images)
    assert "it does not run without this framework: " in found["ends"].failed
    for name in ("first", "last"):
        assert not found[name].failed
        np.testing.assert_array_equal(found[name].outputs["all"], 2 * images[:, 0, :2, 0].numpy())
        assert found[name].outputs.keys() == {"all", "1", "2"}


@pytest.mark.usefixtures("boastful")
def test_a_form_whose_packages_are_missing_is_named(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Boastful, "needs", ("no_such_package",))
    assert missing("boastful") == "it takes no_such_package: pip install 'mixing-nas[export]'"
    monkeypatch.setattr(Boastful, "extra", "other")
    assert missing("boastful") == "it takes no_such_package: pip install 'mixing-nas[other]'"
    with pytest.raises(ValueError, match="boastful cannot be written: it takes no_such_package"):
        Forms(("boastful",))
    with pytest.raises(ValueError, match=r"unknown format 'onxx'\. Did you mean 'onnx'\?"):
        Forms(("onxx",))


@pytest.mark.skipif(bool(missing("executorch")), reason=missing("executorch"))
def test_a_program_of_executorch_is_written_where_it_is_named_and_proven(
    study: Study, out: Path, tmp_path: Path
) -> None:
    assert not (out / "model.pte").exists()
    own = study.export("trial:0", tmp_path / "own", formats=["executorch"])
    (proof,) = json.loads((own / "measured.json").read_text())["formats"].values()
    assert (proof["format"], proof["images"]) == ("executorch", 12)
    assert proof["largest_difference"] <= TOLERANCE
    assert str(study.directory.parent).encode() not in (own / "model.pte").read_bytes()
    (found,) = compare_exports([own], f"npz:{study.directory.parent / 'mine.npz'}", "test", seconds=0.1)["exports"]
    assert ({form["form"] for form in found["forms"]}, found["left_out"]) == ({OWN, "executorch"}, {})


def test_what_a_stranger_runs_answers_as_the_network_does(out: Path, tmp_path: Path) -> None:
    own = shutil.copytree(out, tmp_path / "own")
    example = safetensors.torch.load_file(own / "example.safetensors")
    chances = nas.load(out)(example["images"]).softmax(1)[0]
    assert torch.allclose(example["outputs"].softmax(1)[0], chances, atol=1e-6)
    pixels = (255 * example["images"][0, 0]).round().byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    best = f"{chances.max():.3f}  {str(int(chances.argmax()))!r}"
    for given in ([], ["../picture.png"]):
        done = subprocess.run(
            [sys.executable, "predict.py", *given], cwd=own, capture_output=True, text=True, check=True, timeout=120
        )
        assert done.stdout.splitlines()[0] == best


def test_files_are_told_by_an_export(out: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (20, 30), np.uint8)).save(tmp_path / "wide.png")
    np.save(tmp_path / "values.npy", generator.random((1, 8, 8), np.float32))
    done = CliRunner().invoke(
        cli, ["predict", str(out), str(tmp_path / "wide.png"), str(tmp_path / "values.npy"), "--json"]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    sys_run = [sys.executable, str(out / "predict.py"), str(tmp_path / "wide.png")]
    first = subprocess.run(sys_run, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()[0]
    best, chance = next(iter(rows[0]["classes"].items()))
    assert first == f"{chance:.3f}  {best!r}"
    wanted = nas.load(out)(torch.from_numpy(np.load(tmp_path / "values.npy"))[None]).softmax(1)[0]
    assert rows[1]["classes"][str(int(wanted.argmax()))] == pytest.approx(float(wanted.max()), abs=1e-6)
    assert sum(rows[1]["classes"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"no picture"), "is not a readable image"),
        (lambda path: np.save(path.with_suffix(".npy"), np.ones((3, 8, 8))), r"numbers \(C, H, W\) = \(1, 8, 8\), got"),
        (lambda path: None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_told_is_refused(
    out: Path, tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "given"
    write(path)
    files = list(tmp_path.iterdir()) or [path]
    with pytest.raises(WrongInputError, match=message):
        predict(out, files)


def test_sounds_are_read_as_in_the_search(tmp_path: Path) -> None:
    front_end = LogMel(8_000, 32, 40)
    samples = (np.random.default_rng(0).normal(0, 3000, 4000)).astype("<i2")
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8_000, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    (tmp_path / "preprocess.py").write_text(sound_source(front_end))
    script = "import sys, numpy; from preprocess import read; numpy.save('found', read('sound.wav').numpy())"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    wanted = front_end([read_wave(tmp_path / "sound.wav", front_end)])
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), wanted, atol=1e-6)


@pytest.mark.slow
def test_an_export_runs_where_only_torch_is_and_where_only_onnxruntime_is(out: Path, tmp_path: Path) -> None:
    own = shutil.copytree(out, tmp_path / "own")
    example = safetensors.torch.load_file(own / "example.safetensors")
    Image.fromarray((255 * example["images"][0, 0]).round().byte().numpy()).save(own / "picture.png")
    constraints = Path(__file__).parents[3] / "constraints.txt"
    script = """
import onnxruntime, numpy, PIL.Image
pixels = numpy.asarray(PIL.Image.open("picture.png"), numpy.float32)[None, None] / 255
print(onnxruntime.InferenceSession("model.onnx").run(None, {"images": pixels})[0].argmax())
"""
    best = int(example["outputs"].argmax())
    for packages, command, answer in (
        (["torch==2.13.0"], ["predict.py"], repr(str(best))),
        (["onnxruntime", "numpy", "pillow"], ["-c", script], str(best)),
    ):
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv", "--clear"], check=True)
        python = tmp_path / "venv/bin/python"
        subprocess.run([python, "-m", "pip", "install", "-q", "-c", constraints, *packages], check=True, timeout=900)
        done = subprocess.run([python, *command], cwd=own, capture_output=True, text=True, check=True, timeout=120)
        assert done.stdout.splitlines()[0].split()[-1] == answer, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("space", sorted(SEARCH_SPACES))
def test_networks_of_every_space_are_proven_in_every_form(space: str, tmp_path: Path) -> None:
    shape = (1, 64, 96) if space == "asm_rh" else (3, 32, 32)
    found = SEARCH_SPACES[space](shape, 10)
    architecture = found.decode(found.first)
    network = build(architecture).eval()
    expected = ExpectedCosts.of(architecture, network)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    for name in (name for name, form in FORMATS.items() if form.usual and not missing(name)):
        FORMATS[name]().write(Taken(network, shape), tmp_path)
        images = torch.rand(64, *shape, generator=torch.Generator().manual_seed(0))
        proof = prove(name, tmp_path, images, answers(network, images), expected)
        assert isinstance(proof, Proof)
        assert proof.costs is not None
        assert proof.largest_difference <= TOLERANCE


@takes_onnx
def test_a_graph_of_onnx_holds_nothing_twice_and_no_names_but_those_of_weights() -> None:
    shape = (1, 32, 32)
    space = SEARCH_SPACES["asm_rh"](shape, 4)
    picks = {"dim": [8], "depth": [2], "patch": ["8/8"], "hf.reading": ["literal"], "roll.step": [1]}
    network = build(space.narrow(picks).network(space.narrow(picks).first)).eval()
    model = onnx.load_from_string(onnx_content(Taken(network, shape)))
    onnx.checker.check_model(model, full_check=True)
    held = [(tensor.data_type, tuple(tensor.dims), tensor.raw_data) for tensor in model.graph.initializer]
    assert len(set(held)) == len(held)
    names = {tensor.name for tensor in model.graph.initializer} | {o for node in model.graph.node for o in node.output}
    named = {name for name in names if not name.isdecimal()}
    assert named <= network.state_dict().keys() | {"outputs"}
    assert "head.0.weight" in named or "classifier.weight" in named
    assert not model.graph.value_info
    assert not any(node.name for node in model.graph.node)
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convs
    assert not {"group", "auto_pad"} & {attribute.name for node in convs for attribute in node.attribute}


@pytest.mark.slow
@pytest.mark.parametrize("space", ["asm_rh", "convmixer", "resnet", "spartan", "wide_sparse"])
def test_a_graph_of_onnx_takes_at_most_115_percent_of_the_weights(space: str) -> None:
    shape, generator = (1, 64, 96) if space == "asm_rh" else (3, 32, 32), random.Random(0)
    found = SEARCH_SPACES[space](shape, 10)
    drawn = (found.network(found.draw(generator)) for _ in range(500))
    architecture = next(one for one in drawn if one and 1.2e5 < price(one).total.parameters < 2e6)
    network = build(architecture).eval()
    assert len(onnx_content(Taken(network, shape))) <= 1.15 * len(serialize(network))


def test_forms_that_were_proven_run_beside_each_other(study: Study, out: Path, tmp_path: Path) -> None:
    own = shutil.copytree(out, tmp_path / "own")
    there = f"npz:{study.directory.parent / 'mine.npz'}"
    (found,) = compare_exports([own], there, "test", seconds=0.1)["exports"]
    written = {name for name in FORMATS if (out / FORMATS[name].files[0]).exists()}
    assert {form["form"] for form in found["forms"]} == {OWN, *written}
    assert found["left_out"] == {}
    assert len({form["measured"]["accuracy"] for form in found["forms"]}) == 1
    assert all(form["latency_ms"]["1"] > 0 for form in found["forms"])

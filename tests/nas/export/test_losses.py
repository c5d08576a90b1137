"""A form that rounds: written where it is named, with what it loses beside the network in full."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from releases import takes_onnx

import nas
from nas.cli import cli
from nas.errors import WrongInputError
from nas.export.formats import FORMATS, Taken
from nas.export.formats.int8 import CALIBRATION
from nas.export.forms import Forms, check_forms
from nas.export.losses import calibration
from nas.results.study import Study
from nas.search.launch import find_problem
from nas.settings import settings_of
from searchspaces import SEARCH_SPACES, Network, build
from tests.nas.export.test_formats import study  # noqa: F401
from trainers import Samples

SHAPE = (1, 8, 8)


def network() -> Network:
    """A small network."""
    space = SEARCH_SPACES["convmixer"](SHAPE, 3).narrow({"dim": [8], "depth": [1], "patch": [2], "kernel": [3]})
    return build(space.decode(space.first)).eval()


@takes_onnx
def test_what_rounding_loses_and_gains_is_measured_and_stated(study: Study, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "out"
    command = ["export", str(study.directory), "--pick", "trial:0", "--format", "int8", "-o", str(out)]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    found, record = json.loads((out / "measured.json").read_text())["rounded"]["int8"], study.trial(0)
    assert found["images"] == record.settings["accuracy"]["samples"]
    assert found["accuracy"]["before"] == pytest.approx(record.measured["accuracy"])
    assert 0 <= found["agreement"] <= 1
    assert abs(found["accuracy"]["after"] - found["accuracy"]["before"]) <= 1 - found["agreement"] + 1e-9
    assert (found["attack"]["attack"], found["attack"]["epsilon"]) == ("fgsm", pytest.approx(8 / 255))
    assert 0 < found["calibration"] <= 48  # four fifths of 60
    assert min(found["latency_ms"].values()) > 0
    assert found["bytes"]["after"] == (out / "model.int8.onnx").stat().st_size
    assert not (out / "model.onnx").exists()
    for text in (done.output, (out / "README.md").read_text()):
        assert f"of {found['images']} measured images" in text
        assert "transferred, not an attack on int8 itself" in text
    assert str(study.directory.parent).encode() not in (out / "model.int8.onnx").read_bytes()
    assert b"/tmp" not in (out / "model.int8.onnx").read_bytes()
    assert nas.load(out)(torch.zeros(1, *SHAPE)).shape == (1, 3)


def test_rounding_needs_the_training_images(study: Study, tmp_path: Path) -> None:  # noqa: F811
    command = ["export", str(study.directory), "--pick", "trial:0", "--format", "int8", "-o", str(tmp_path / "out")]
    refused = CliRunner().invoke(cli, [*command, "--no-verify"])
    assert isinstance(refused.exception, WrongInputError)
    assert "int8 is calibrated on training images of the study, but --no-verify reads none." in str(refused.exception)
    assert not list(tmp_path.iterdir())


def test_a_network_of_images_has_no_accuracy_to_lose() -> None:
    check_forms(Forms(("pt2",)), SHAPE, measured=False)
    with pytest.raises(WrongInputError, match=r"int8 states what it loses .*returns no classes\. Name other forms\."):
        check_forms(Forms(("int8",)), SHAPE, measured=True)
    table = {"objectives": ["r2", "macs"], "space": {"kind": "convmixer"}, "data": {"name": "unshuffle:digits"}}
    with pytest.raises(WrongInputError, match="int8 states what it loses"):  # before anything is trained
        find_problem(settings_of({"name": "s", **table, "export": {"pick": "knee", "formats": ["int8"]}}))


@takes_onnx
def test_what_the_quantiser_does_not_take_is_named_and_not_written(tmp_path: Path) -> None:
    taken = Taken(network(), SHAPE, 3, calibration=torch.rand(2, 1, 5, 5))
    with pytest.raises(ValueError, match="the quantiser of onnxruntime does not take it: "):
        FORMATS["int8"]().write(taken, tmp_path)
    with pytest.raises(ValueError, match="calibrated on training images, and none came with it"):
        FORMATS["int8"]().write(Taken(network(), SHAPE, 3), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_calibration_images_are_the_same_ones_each_time_and_of_all_classes() -> None:
    labels = np.arange(1000) % 4
    samples = Samples(labels.astype(np.uint8).reshape(-1, 1, 1, 1), labels)
    images = calibration(samples, seed=5)
    assert len(images) == CALIBRATION
    assert (255 * images).round().int().flatten().bincount().tolist() == [64] * 4
    assert torch.equal(images, calibration(samples, seed=5))

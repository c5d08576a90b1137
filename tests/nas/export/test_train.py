"""`nas train`: a network trained in full, stopped, taken up again, measured."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import terminal
import torch
from terminal import Result

import nas
from searchspaces import SEARCH_SPACES


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    space = SEARCH_SPACES["convmixer"]((3, 16, 16), 7)
    picks = space.first | {"dim": 16}
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(space.decode(picks).to_json()))
    return path


def command(architecture: Path, out: Path, *options: str) -> list[str]:
    settings = ["--data", "digits", "--set", "data.limit=300", "--set", "objective.robust_accuracy.samples=20"]
    return ["train", str(architecture), "-o", str(out), *settings, *options]


def run(architecture: Path, out: Path, *options: str) -> Result:
    return terminal.run(*command(architecture, out, *options))


def weights(out: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(out / "model.safetensors")


def test_a_training_ends_as_an_export_with_its_log(architecture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(architecture, out, "--epochs", "3", "--seeds", "2", "--test", "--json")
    assert done.returncode == 0, done.stderr
    assert "built for (1, 8, 8) and 10 classes of digits" in done.stderr
    rows = json.loads(done.stdout)
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        folder = Path(row["out"])
        assert {f.name for f in folder.iterdir()} == {
            *("README.md", "SHA256SUMS", "config.json", "evaluations.jsonl", "log.csv"),
            *("example.safetensors", "measured.json", "model.safetensors", "network.svg", "origin.json"),
        }
        lines = (folder / "log.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3"]
        assert float(lines[-1].split(",")[2]) == pytest.approx(row["validation"]["accuracy"], abs=1e-6)
        assert row["test"].keys() == {"accuracy", "robust_accuracy"}
        assert nas.load(folder)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    one, other = (weights(Path(row["out"])) for row in rows)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    again = run(architecture, out, "--epochs", "3", "--seeds", "2")
    assert "holds this training, which has ended" in again.stderr
    changed = run(architecture, out, "--epochs", "4", "--seeds", "2")
    assert changed.returncode == 2
    assert "holds another training: epochs was 3, now 4" in changed.stderr
    changed = run(architecture, out, "--epochs", "3", "--seeds", "2", "--set", "data.limit=200")
    assert changed.returncode == 2
    assert "holds another training: checksum was" in changed.stderr


def test_a_training_on_all_images_says_so(architecture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(architecture, out, "--epochs", "1", "--set", "data.validation=0", "--json", "--test")
    assert done.returncode == 0, done.stderr
    assert "nothing is held out: the accuracy after an epoch is that on a fifth of the images" in done.stderr
    (row,) = json.loads(done.stdout)
    assert row.keys() == {"seed", "out", "training", "test"}
    assert "measured on a fifth of the training images" in (out / "README.md").read_text()
    measured = terminal.run("evaluate", out)
    assert measured.returncode == 2
    assert "this network was trained on all training images of digits; use --split test" in measured.stderr


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_stopped_training_goes_on_to_the_same_weights(
    architecture: Path, tmp_path: Path, number: signal.Signals
) -> None:
    options = ("--epochs", "12", "--set", "training.average=0.9", "--set", "training.mixup=0.2")
    whole = run(architecture, tmp_path / "whole", *options)
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "out"
    frequent = (
        "import nas.export.train as t, functools, sys; from nas.cli import main; "
        "t.FolderCheckpoints = functools.partial(t.FolderCheckpoints, seconds=0); main()"
    )
    words = [sys.executable, "-c", frequent, *command(architecture, out, *options)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoints/checkpoint-00000002*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL), output
    assert "Traceback" not in output
    refused = run(architecture, out, *options, "--seed", "5")
    assert (refused.returncode, "belongs to another training" in refused.stderr) == (2, True)
    resumed = run(architecture, out, *options)
    assert resumed.returncode == 0, resumed.stderr
    assert "continuing the training" in resumed.stderr
    a, b = weights(tmp_path / "whole"), weights(out)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [line.split(",")[0] for line in (out / "log.csv").read_text().splitlines()[1:]] == [
        str(k) for k in range(1, 13)
    ]
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "convmixr"], "unknown preset 'convmixr'. Did you mean 'convmixer'?"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--set", "training.learnin_rate=1"], "Did you mean 'learning_rate'?"),
        (["--set", "training.learning_rate=1e30"], "the training failed (diverged)"),
        (["--data", "folder:nowhere"], "nowhere is not a folder"),
    ],
)
def test_wrong_inputs_are_one_message(architecture: Path, tmp_path: Path, options: list[str], message: str) -> None:
    ended = run(architecture, tmp_path / "out", *options)
    assert message in ended.stderr
    assert ended.returncode == (1 if "failed" in message else 2)


def test_a_folder_with_other_things_is_left_alone(architecture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    ended = run(architecture, out)
    assert (ended.returncode, "exists and holds no training" in ended.stderr) == (2, True)

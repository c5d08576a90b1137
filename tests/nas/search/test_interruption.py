"""Stopping a search: by signals as a terminal or a cluster sends them, and by limits."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.results.study import Study
from nas.store.history import read_events, read_trials

StudyFile = Callable[..., Path]
PLUGIN = str(Path(__file__).with_name("slow_trainer.py"))


def slow_study(study_file: StudyFile, *, epochs: int, epoch_seconds: float, **changes: Any) -> Path:
    training = {"kind": "slow", "epochs": epochs, "epoch_seconds": epoch_seconds}
    space = {"kind": "convmixer", "choices": {"dim": [8, 16], "depth": [1, 2], "patch": [2]}}
    settings = {"plugins": [PLUGIN], "training": training, "space": space, "search": {"sampler": "random"}}
    return study_file(**{**settings, **changes})


def start(path: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """A search in a process group of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "nas", "search", str(path), "--out", str(out), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the search made no progress"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def started(directory: Path) -> int:
    if not (directory / "events.jsonl").exists():
        return 0
    return sum(event["event"] == "started" for event in read_events(directory))


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_ctrl_c_lets_running_trials_finish(study_file: StudyFile, tmp_path: Path, workers: str) -> None:
    path, run = slow_study(study_file, trials=50, epochs=4, epoch_seconds=0.5), tmp_path / "run"
    process = start(path, run, "--workers", workers)
    wait_until(lambda: started(run) >= int(workers), process)
    os.killpg(process.pid, signal.SIGINT)  # all processes of the terminal get it
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "Ctrl-C: nothing new is started; what runs has 30 s to finish" in output
    assert "Traceback" not in output
    assert [record.status for record in read_trials(run)] == ["complete"] * started(run)


@pytest.mark.parametrize(
    ("workers", "number"), [("1", signal.SIGINT), pytest.param("2", signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_second_signal_cancels_at_once_and_the_study_goes_on_later(
    study_file: StudyFile, tmp_path: Path, workers: str, number: signal.Signals
) -> None:
    path, run = slow_study(study_file, trials=2, epochs=60, epoch_seconds=0.5), tmp_path / "run"
    process = start(path, run, "--workers", workers)
    wait_until(lambda: started(run) >= int(workers), process)
    process.send_signal(number)
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    assert any("nothing new is started" in line for line in lines)
    process.send_signal(number)
    begun = time.monotonic()
    output = process.communicate(timeout=60)[0]
    assert time.monotonic() - begun < 25, "it did not wait for the trials"
    assert process.returncode == 130, output
    assert "What is finished is kept" in output
    assert "Traceback" not in output
    assert read_trials(run) == []
    cancelled = [event["number"] for event in read_events(run) if event["event"] == "cancelled"]
    assert len(cancelled) == int(workers)


def test_the_grace_period_ends(study_file: StudyFile, tmp_path: Path) -> None:
    execution = {"grace_seconds": 0.5}
    path, run = slow_study(study_file, epochs=200, epoch_seconds=0.5, execution=execution), tmp_path / "run"
    process = start(path, run)
    wait_until(lambda: started(run) > 0, process)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130, output
    assert "SIGTERM: nothing new is started; what runs has 0.5 s to finish" in output


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_limit_on_time_ends_the_search_and_a_further_run_goes_on(
    study_file: StudyFile, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = {"seconds": 1.5 if workers == 1 else 12.0}
    path = slow_study(study_file, trials=1000, epochs=2, epoch_seconds=0.1, limits=limits)
    first = nas.search(path, out=tmp_path / "run", workers=workers)
    assert 0 < len(first.complete) < 1000
    assert "limits.seconds" in capsys.readouterr().err
    if workers == 1:
        second = nas.search(path, out=tmp_path / "run", workers=workers)
        assert len(second.complete) > len(first.complete)


def test_a_limit_on_time_does_not_wait_for_a_trial_for_ever(study_file: StudyFile, tmp_path: Path) -> None:
    execution, limits = {"grace_seconds": 0.3}, {"seconds": 0.7}
    path = slow_study(study_file, epochs=1, epoch_seconds=100, execution=execution, limits=limits)
    assert nas.search(path, out=tmp_path / "run").records == []
    assert [e["event"] for e in read_events(tmp_path / "run")] == ["asked", "started", "cancelled"]


def test_a_front_that_does_not_change_ends_the_search(
    study_file: StudyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = slow_study(study_file, epochs=1, epoch_seconds=0, trials=300, limits={"patience": 6})
    study = nas.search(path, out=tmp_path / "run")
    assert 6 < len(study.complete) < 300
    assert "the front has not changed in the last 6 trials" in capsys.readouterr().err
    members = {record.number for record in study.front}
    assert max(members) <= study.complete[-1].number - 6
    again = nas.search(path, out=tmp_path / "run")
    assert len(again.records) == len(read_trials(tmp_path / "run"))


def test_weights_off_the_front_are_deleted_beyond_the_disk_space(study_file: StudyFile, tmp_path: Path) -> None:
    path = slow_study(study_file, epochs=1, epoch_seconds=0, trials=30, limits={"artifacts_gb": 1e-9})
    study = nas.search(path, out=tmp_path / "run")
    kept = {int(weights.parent.name) for weights in study.directory.glob("artifacts/*/weights.safetensors")}
    assert kept == {record.number for record in study.front}
    assert study.status()["artifact_bytes"] == sum(
        weights.stat().st_size for weights in study.directory.glob("artifacts/*/weights.safetensors")
    )
    off = next(record for record in study.complete if record.number not in kept)
    with pytest.raises(nas.errors.WrongInputError, match=r"limits\.artifacts_gb keeps those of the front"):
        study.export(f"trial:{off.number}", tmp_path / "out")


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_running_trials_are_seen_with_their_epochs(study_file: StudyFile, tmp_path: Path, workers: str) -> None:
    path, run = slow_study(study_file, trials=2, epochs=100, epoch_seconds=0.2), tmp_path / "run"
    process = start(path, run, "--workers", workers)

    def seen() -> list[Any]:
        return Study(run).status()["running"] if (run / "study.toml").exists() else []

    wait_until(lambda: any((row.get("epoch") or {}).get("number", 0) >= 2 for row in seen()), process)
    row = next(row for row in seen() if row.get("epoch"))
    assert (row["attempt"], row["epoch"]["total"]) == (1, 100)
    table = subprocess.run([sys.executable, "-m", "nas", "status", run], capture_output=True, text=True).stdout
    assert "of 100, loss" in table
    process.kill()
    process.communicate()
    assert Study(run).status()["running"] == []

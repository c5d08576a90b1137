"""Many SIGKILLs at random moments, of a search or of its workers: nothing is lost, done again, or another."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import nas
from nas.store.artifacts import checkpoint_path, weights_path
from nas.store.history import read_events, read_trials
from nas.store.records import TrialRecord

StudyFile = Callable[..., Path]
PLUGIN = str(Path(__file__).with_name("slow_trainer.py"))
KILLS = 20


def kill_at_a_random_moment(command: list[str], directory: Path, generator: random.Random, target: int) -> None:
    """Starts the search and kills it: every fourth time while it starts, else around its ``target``-th trial."""
    with open(directory.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    early = generator.random() < 0.25
    deadline = time.monotonic() + (6 * generator.random() if early else 120)
    while time.monotonic() < deadline and (early or len(read_trials(directory)) < target):
        assert process.poll() is None, directory.with_suffix(".log").read_text()
        time.sleep(0.02)
    time.sleep(0.1 * generator.random())
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "kills"), [(1, KILLS), (2, 10)])  # a search on Ray takes seconds to start
def test_many_kills(study_file: StudyFile, tmp_path: Path, workers: int, kills: int) -> None:
    run, notes, trials = tmp_path / "run", tmp_path / "notes", 10 * kills
    choices = {"dim": [8, 16], "depth": [1, 2], "patch": [2]}

    def study(notes: Path) -> Path:
        return study_file(
            plugins=[PLUGIN],
            training={"kind": "slow", "epochs": 2, "epoch_seconds": 0.01, "notes": str(notes)},
            space={"kind": "convmixer", "choices": choices},
            bounds={"macs": 30_000},
            trials=trials,
        )

    path, generator = study(notes), random.Random(workers)
    command = [sys.executable, "-m", "nas", "search", str(path), "--out", str(run), "--workers", str(workers)]
    before: list[tuple[set[int], int]] = []
    for kill in range(kills):
        finished = {record.seed for record in read_trials(run) if record.status == "complete"}
        before.append((finished, notes.stat().st_size if notes.exists() else 0))
        kill_at_a_random_moment(command, run, generator, (kill + 1) * (trials - 20) // kills)
    assert len({len(finished) for finished, _ in before}) > kills // 2, "the kills were spread over the study"
    found = nas.search(path, out=run, workers=workers)

    complete = [record for record in found.records if record.status == "complete"]
    assert len(complete) == trials
    assert len({record.number for record in found.records}) == len(found.records)
    assert len({record.key for record in complete}) == trials
    starts = notes.read_bytes()
    for finished, size in before:
        assert finished.isdisjoint(map(int, starts[size:].split())), "a finished trial was started again"
    assert {record.number for record in found.front} == front_of(complete)
    if workers == 1:
        again = study(tmp_path / "other notes")
        path.write_text(again.read_text())
        whole = nas.search(path, out=tmp_path / "whole")
        assert [replace(r, seconds={}) for r in found.records] == [replace(r, seconds={}) for r in whole.records]


def front_of(records: list[TrialRecord]) -> set[int]:
    """Numbers of the records that no other is better than, by definition."""
    values = {r.number: (r.measured["accuracy"], r.measured["robust_accuracy"], -r.measured["macs"]) for r in records}
    return {
        number
        for number, mine in values.items()
        if not any(all(a >= b for a, b in zip(o, mine, strict=True)) and o != mine for o in values.values())
    }


def wait_for_a_checkpoint(run: Path, number: int, before: int | None, process: multiprocessing.Process) -> int:
    """Waits until a trial has saved a checkpoint since its last start; the number of its starts."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, f"trial {number} saved nothing"
        assert process.is_alive(), "the training ended before it was killed often enough"
        kinds = [event["event"] for event in read_events(run) if event["number"] == number]
        starts = kinds.count("started")
        if starts and starts != before and "saved" in kinds[len(kinds) - 1 - kinds[::-1].index("started") :]:
            return starts
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "kills"), [(1, KILLS), (2, 6)])  # a worker of Ray takes seconds to start
def test_a_training_that_makes_progress_survives_many_kills_and_ends_as_if_there_were_none(
    study_file: StudyFile, tmp_path: Path, workers: int, kills: int
) -> None:
    """Of the search itself, or of a worker: more often than what makes no progress is tried."""
    path, generator = study_file(trials=workers, training={"epochs": 300}), random.Random(workers)
    context = multiprocessing.get_context("forkserver")  # it imports torch once for all searches
    context.set_forkserver_preload(["nas.search.launch", "nas.show.progress", "sklearn.datasets", "torch._dynamo"])
    run, often = tmp_path / "run", ["execution.checkpoint_seconds=0.05"]
    code = f"import nas; nas.search({str(path)!r}, out={str(run)!r}, workers={workers}, set={often})"

    def search() -> multiprocessing.Process:
        process = context.Process(target=exec, args=(code,))
        process.start()
        return process  # type: ignore[return-value]

    process, starts = search(), dict.fromkeys(range(workers), 0)
    for kill in range(kills):
        number = kill % workers
        starts[number] = wait_for_a_checkpoint(run, number, starts[number], process)
        time.sleep(0.05 * generator.random())
        if workers == 1:
            process.kill()
            process.join()
            process = search()
        else:
            started = [e for e in read_events(run) if e["event"] == "started" and e["number"] == number]
            os.kill(started[-1]["pid"], signal.SIGKILL)
    process.join()
    assert process.exitcode == 0
    whole = nas.search(path, out=tmp_path / "whole")
    records = sorted(read_trials(run), key=lambda record: record.number)
    assert [record.status for record in records] == ["complete"] * workers
    assert [replace(record, seconds={}) for record in records] == [replace(r, seconds={}) for r in whole.records]
    for number in range(workers):
        assert weights_path(run, number).read_bytes() == weights_path(tmp_path / "whole", number).read_bytes()
        assert not checkpoint_path(run, number).exists()
    assert not [file for file in run.rglob("*") if file.name.startswith(".") or file.name.endswith(".unfinished")]
    assert sum(event["event"] == "started" for event in read_events(run)) == kills + workers

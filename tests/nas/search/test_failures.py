"""Whatever happens to a trial, it is recorded as what it was, and the others are as right as without it."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.plugins import load_plugins, loaded
from nas.store.files import write_atomically
from nas.store.history import History, read_events
from nas.store.records import TrialRecord
from trainers import TRAINERS, Supervised, Trainer

StudyFile = Callable[..., Path]
PLUGIN = str(Path(__file__).with_name("trouble.py"))
load_plugins([PLUGIN])
trouble: Any = next(module for module in loaded() if "trouble" in module.__name__)
KINDS, kind_of = trouble.KINDS, trouble.kind_of
LABELS = {
    "fine": ("complete", None),
    "tight": ("complete", None),
    "raise": ("failed", "bug"),
    "exit": ("failed", "bug"),
    "hang": ("failed", "timeout"),
    "nan": ("failed", "diverged"),
    "disk": ("failed", "disk_full"),
    "memory": ("failed", "out_of_memory"),
    "objects": ("failed", "out_of_memory"),
    "kill": ("failed", "worker_lost"),
}


def troubled(study_file: StudyFile, kinds: int, **execution: Any) -> Path:
    return study_file(
        name=f"troubled-{kinds}",
        seed=16325,  # one of those with which every kind of trouble occurs
        trials=24,
        search={"sampler": "random"},
        plugins=[PLUGIN],
        training={"kind": "troubled", "epochs": 1, "kinds": kinds},
        execution={"timeout_seconds": 8.0, "memory_gb_per_trial": 1.5, "attempts": 2, **execution},
        space={"kind": "convmixer", "choices": {"dim": [8, 16], "depth": [1, 2], "patch": [2]}},
    )


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_failing_trials_are_labelled_and_the_others_are_right(
    study_file: StudyFile, tmp_path: Path, workers: int
) -> None:
    kinds = len(KINDS) - (workers == 1)
    limit = 8.0 if workers == 1 else 20.0  # of two workers on a busy machine each is slower
    path = troubled(study_file, kinds, workers=workers, timeout_seconds=limit)
    study = nas.search(path, out=tmp_path / "troubled")
    calm = nas.search(troubled(study_file, 0), out=tmp_path / "calm")
    assert sorted(r.number for r in study.records if r.status != "duplicate") == list(range(24))
    found = {record.number: (record.status, record.failure) for record in study.records}
    wanted = {record.number: LABELS[kind_of(record.seed, kinds)] for record in study.records}
    assert found == wanted, {r.number: r.error for r in study.records if found[r.number] != wanted[r.number]}
    assert {kind_of(r.seed, kinds) for r in study.records} == set(KINDS[:kinds]), "every kind occurs"

    def values(record: TrialRecord) -> TrialRecord:
        return replace(record, seconds={})

    for record in study.complete:
        if kind_of(record.seed, kinds) != "tight":
            assert values(record) == values(calm.trial(record.number))
        else:
            assert record.micro_batches == 2
    assert {r.number for r in study.front} <= {n for n, (status, _) in found.items() if status == "complete"}
    events = read_events(study.directory)
    again = {e["number"]: e["failure"] for e in events if e["event"] == "attempt"}
    assert again == {
        record.number: "worker_lost" if kind == "kill" else "out_of_memory"
        for record in study.records
        if (kind := kind_of(record.seed, kinds)) in ("kill", "memory", "objects", "tight")
    }


def test_a_trial_that_takes_the_process_down_again_and_again_is_passed_over(
    study_file: StudyFile, tmp_path: Path
) -> None:
    path = study_file(plugins=[PLUGIN], training={"kind": "troubled", "epochs": 1, "kinds": 0}, trials=2)
    study = nas.search(path, out=tmp_path / "run", trials=1)
    log = study.directory / "trials.jsonl"
    log.write_text("")
    events = study.directory / "events.jsonl"
    started = next(line for line in events.read_text().splitlines() if '"started"' in line)
    events.write_text(events.read_text() + 4 * (started + os.linesep))
    study = nas.search(path, out=tmp_path / "run")
    assert [(r.number, r.failure) for r in study.records] == [(0, "worker_lost"), (1, None)]
    assert "started 5 times and the process ended each time" in (study.records[0].error or "")


@dataclass(frozen=True)
class Greedy(Trainer):
    """A trainer that cannot divide its batches, and runs out of memory where others run at the same time."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        RUNNING.append(seed)
        if len(RUNNING) % 3 == 1:
            raise MemoryError("too little is left")


RUNNING: list[int] = []


def test_a_trainer_that_cannot_divide_its_batches_is_tried_again_alone(
    study_file: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRAINERS, "greedy", Greedy)
    monkeypatch.setattr(sys.modules[__name__], "RUNNING", [])
    study = nas.search(study_file(trials=4, training={"kind": "greedy"}), out=tmp_path / "run")
    assert [record.status for record in study.records] == ["complete"] * 4
    again = [event["number"] for event in read_events(study.directory) if event["event"] == "attempt"]
    assert again == [0, 2]
    assert [seed for seed, later in pairwise(RUNNING) if seed == later] == [study.trial(n).seed for n in again]


def test_an_alarm_while_a_trial_saves_itself_is_no_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ring(file: int) -> None:
        raise TimeoutError("time is up")

    monkeypatch.setattr("nas.store.files.os.fsync", ring)
    with pytest.raises(TimeoutError, match="time is up"):
        write_atomically(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Cramped(Supervised):
    """Runs out of memory with whole batches; a kill comes in the first attempt with half a batch."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        SIZES.append(self.micro_batches)
        if self.micro_batches == 1:
            raise MemoryError("too little is left")
        if SIZES.count(2) == 1:
            raise KeyboardInterrupt  # the search is lost here
        super().train(model, data, seed=seed, report=report, checkpoints=checkpoints)


SIZES: list[int] = []


def test_what_was_tried_before_a_kill_is_known_from_the_log(
    study_file: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRAINERS, "cramped", Cramped)
    monkeypatch.setattr(sys.modules[__name__], "SIZES", [])
    path = study_file(trials=1, training={"kind": "cramped", "epochs": 1})
    with pytest.raises(KeyboardInterrupt):
        nas.search(path, out=tmp_path / "run")
    study = nas.search(path, out=tmp_path / "run")
    assert SIZES == [1, 2, 2]  # the second process starts with half a batch
    assert [(record.status, record.micro_batches) for record in study.records] == [("complete", 2)]


def test_lost_workers_are_counted_over_all_processes(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        for number in range(5):
            history.event("asked", number, picks={})
        history.event("attempt", 3, attempt=2, failure="worker_lost")
        history.event("attempt", 3, attempt=3, failure="worker_lost", machine_lost=True)
        history.event("attempt", 3, attempt=4, failure="out_of_memory")
        history.event("attempt", 4, attempt=2, failure="worker_lost")
    with History(tmp_path) as history:
        assert history.retried(3, "worker_lost") == 1
        assert history.retried(3, "worker_lost", machine_lost=True) == 1
        assert history.retried(3, "out_of_memory") == 1
        assert history.retried(5, "worker_lost") == 0

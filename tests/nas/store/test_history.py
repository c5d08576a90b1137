"""The log: what is written is there, whatever happens next."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import StoppedError, WrongInputError
from nas.store.history import History, read_events, read_trials
from nas.store.records import TrialRecord, trial_seed


def record(number: int) -> TrialRecord:
    return TrialRecord(
        number=number,
        status="complete",
        picks={"dim": 8},
        architecture={"input": [1, 8, 8]},
        key=f"{number:016x}",
        seed=trial_seed(0, number),
        measured={"accuracy": 0.5},
    )


def test_records_survive_closing_and_opening(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.record(record(0))
        history.record(record(1))
    assert read_trials(tmp_path) == [record(0), record(1)]


def test_a_record_has_the_published_fields(tmp_path: Path) -> None:
    names = "schema number status failure picks architecture key seed fidelity measured settings violations seconds"
    assert set(record(0).to_json()) == {*names.split(), "error", "copied_from", "micro_batches"}


def test_a_last_line_cut_short_is_dropped_with_a_note(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.record(record(0))
        history.record(record(1))
    path = tmp_path / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    assert read_trials(tmp_path) == [record(0)]
    with History(tmp_path) as history:
        assert "cut short" in history.notes[0]
        history.record(record(2))
    assert read_trials(tmp_path) == [record(0), record(2)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"{broken\n", "Expecting"), (b"[]\n", "not a trial record"), (b'{"schema":1}\n', "not a trial record")],
)
def test_other_damage_is_named_by_line(tmp_path: Path, line: bytes, reason: str) -> None:
    with History(tmp_path) as history:
        history.record(record(0))
        history.record(record(1))
    path = tmp_path / "trials.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line + second)
    with pytest.raises(WrongInputError, match=rf"trials.jsonl, line 2 is damaged \(.*{reason}"):
        History(tmp_path)


@pytest.mark.parametrize("schema", [1, 99])
def test_another_format_is_refused(tmp_path: Path, schema: int) -> None:
    (tmp_path / "trials.jsonl").write_text(f'{{"schema":{schema},"number":0,"status":"complete"}}\n')
    with pytest.raises(WrongInputError, match=f"its format is {schema}, this version reads 2; continue with"):
        read_trials(tmp_path)
    (tmp_path / "events.jsonl").write_text(f'{{"schema":{schema},"number":0,"event":"asked"}}\n')
    with pytest.raises(WrongInputError, match=f"line 1: its format is {schema}, this version reads 2"):
        read_events(tmp_path)


def test_an_event_that_is_none_is_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"schema":2,"number":0,"event":"asked"}\n[]\n')
    with pytest.raises(WrongInputError, match="line 2 is damaged"):
        History(tmp_path)


def test_a_cancelled_start_is_no_crash(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.event("started", 7, attempt=1)
        history.event("cancelled", 7)
        history.event("started", 7, attempt=2)
        history.event("started", 8, attempt=1)
        assert (history.attempts(7), history.crashed(7)) == (2, 1)


def test_an_attempt_that_was_lost_before_its_start_was_told_counts(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        assert history.attempts(7) == 0
        history.event("attempt", 7, attempt=2, failure="worker_lost")
        assert history.attempts(7) == 1
        history.event("started", 7, attempt=2)
        assert history.attempts(7) == 2


def test_a_second_writer_is_refused_and_the_lock_dies_with_its_owner(tmp_path: Path) -> None:
    with History(tmp_path), pytest.raises(WrongInputError, match="another search is writing"):
        History(tmp_path)
    code = "import os, sys, pathlib, nas.store.history as h; log = h.History(pathlib.Path(sys.argv[1])); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path]).returncode == 9
    History(tmp_path).close()


def test_unfinished_trials_are_those_asked_and_not_ended(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        for number in range(3):
            history.event("asked", number, picks={"dim": number})
        history.record(record(1))
    with History(tmp_path) as history:
        assert [event["picks"] for event in history.unfinished()] == [{"dim": 0}, {"dim": 2}]


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.record(record(0))
        size = os.path.getsize(tmp_path / "trials.jsonl")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, limits[1]))
        try:
            with pytest.raises(StoppedError, match=r"cannot be written .* All trials recorded before are kept"):
                history.record(record(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        history.record(record(2))
    assert read_trials(tmp_path) == [record(0), record(2)]


def test_trial_seeds_differ_by_study_number_and_purpose() -> None:
    seeds = {trial_seed(s, n, p) for s in range(5) for n in range(50) for p in ("trial", "sampler/0")}
    assert len(seeds) == 500
    assert all(0 <= seed < 2**31 for seed in seeds)

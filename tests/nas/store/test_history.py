"""The log: what is written is there, whatever happens next."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.errors import StoppedError, WrongInputError
from nas.store.history import History, is_held, read_events, read_trials
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


def write(directory: Path, *numbers: int) -> None:
    """The log of trials that were asked for and have ended, but for what is asked for in between."""
    with History(directory) as history:
        for number in range(max(numbers) + 1):
            history.event("asked", number, picks={"dim": 8})
        for number in numbers:
            history.record(record(number))


def test_records_survive_closing_and_opening(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.record(record(0))
        history.record(record(1))
    assert read_trials(tmp_path) == [record(0), record(1)]


def test_a_record_has_the_published_fields(tmp_path: Path) -> None:
    names = "schema number status failure picks architecture key seed fidelity measured settings spread flags"
    assert set(record(0).to_json()) == {
        *names.split(),
        "violations",
        "facts",
        "seconds",
        "ended",
        "error",
        "copied_from",
        "source",
        "continues",
        "repeats",
        "inherited",
        "draws",
        "micro_batches",
        "graphs",
    }


def test_a_record_without_spread_and_flags_is_read_as_one_that_knows_none(tmp_path: Path) -> None:
    line = {key: value for key, value in record(0).to_json().items() if key not in ("spread", "flags")}
    (tmp_path / "trials.jsonl").write_text(json.dumps(line) + "\n")
    assert read_trials(tmp_path) == [record(0)]


def test_a_last_line_cut_short_is_kept_aside_with_a_note(tmp_path: Path) -> None:
    write(tmp_path, 0, 1)
    path = tmp_path / "trials.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:-7])
    assert read_trials(tmp_path) == [record(0)]
    with History(tmp_path) as history:
        assert "cut short" in history.notes[0]
        assert (tmp_path / "trials.jsonl.unfinished").read_bytes() == second[:-7] + b"\n"
        history.record(record(2))
    assert read_trials(tmp_path) == [record(0), record(2)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"{broken\n", "Expecting"), (b"[]\n", "not a trial record"), (b'{"schema":1}\n', "not a trial record")],
)
def test_other_damage_is_named_by_line(tmp_path: Path, line: bytes, reason: str) -> None:
    write(tmp_path, 0, 1)
    path = tmp_path / "trials.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line + second)
    with pytest.raises(WrongInputError, match=rf"trials.jsonl, line 2 is damaged \(.*{reason}"):
        History(tmp_path)


def test_a_last_line_that_lacks_only_its_end_is_a_record(tmp_path: Path) -> None:
    write(tmp_path, 0, 1)
    path = tmp_path / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    with History(tmp_path) as history:
        history.record(record(2))
    assert read_trials(tmp_path) == [record(0), record(1), record(2)]


@pytest.mark.parametrize("stray", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_nothing_but_a_line_feed_ends_a_line_and_damage_leaves_the_file_as_it_is(tmp_path: Path, stray: str) -> None:
    write(tmp_path, 0, 1, 2)
    path = tmp_path / "trials.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    head, name, tail = second.partition(b"num")
    damaged = first + head + name + stray.encode() + tail + third
    path.write_bytes(damaged)
    with pytest.raises(WrongInputError, match=r"trials.jsonl, line 2 is damaged"):
        History(tmp_path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("number", -1, "number must be a whole number from 0"),
        ("number", True, "number must be a whole number from 0"),
        ("number", 0, "trial 0 is recorded twice"),
        ("status", "done", "status must be one of complete"),
        ("status", ["complete"], "status must be one of complete"),
        ("failure", "bug", "its status is 'complete', but its failure 'bug'"),
        ("measured", {"accuracy": float("nan")}, "NaN is no number of JSON"),
        ("measured", {"accuracy": 1e308}, "measured must be an object of finite numbers"),
        ("measured", {"accuracy": 10**400}, "measured must be an object of finite numbers"),
        ("measured", {"accuracy": True}, "measured must be an object of finite numbers"),
        ("measured", {"accuracy": "0.5"}, "measured must be an object of finite numbers"),
        ("measured", [0.5], "measured must be an object of finite numbers"),
        ("spread", {"accuracy": 0.1}, "spread must be an object of objects with a kind"),
        ("spread", {"accuracy": {"kind": "binomial", "standard_error": -1, "n": 4}}, "a standard_error from 0"),
        ("spread", {"accuracy": {"kind": "binomial", "standard_error": 0.1, "n": 0}}, "and an n from 1"),
        ("flags", {"accuracy": "zero_gradients"}, "flags must be an object of lists of words"),
        ("picks", {"dim": [8]}, "picks must be an object of words and numbers"),
        ("fidelity", {"epochs": ""}, "fidelity must be an object of numbers from 0"),
        ("settings", {"accuracy": {"samples": "x"}}, "whose samples and one_sample are numbers above 0"),
        ("settings", {"accuracy": {"one_sample": 0}}, "whose samples and one_sample are numbers above 0"),
        ("seconds", {"train": -1}, "seconds must be an object of numbers from 0"),
        ("measured", {"macs": -1e300}, "measured must be an object of finite numbers"),
        ("seed", 10**400, "seed must be a whole number from 0"),
        ("copied_from", 1.5, "copied_from must be a whole number from 0"),
        ("micro_batches", 0, "micro_batches must be a whole number from 1"),
        ("ended", "today", "ended must be a number of seconds since 1970"),
        ("error", 3, "error must be text"),
        ("graphs", 1, "graphs must be text"),
    ],
)
def test_every_field_of_a_record_is_checked(tmp_path: Path, field: str, value: object, rule: str) -> None:
    lines = [record(0).to_json(), {**record(1).to_json(), field: value}]
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(WrongInputError, match=f"trials.jsonl, line 2 is damaged .*{rule}"):
        read_trials(tmp_path)


def test_a_line_of_any_depth_is_answered(tmp_path: Path) -> None:
    (tmp_path / "trials.jsonl").write_text("[" * 200_000 + "\n" + json.dumps(record(0).to_json()) + "\n")
    with pytest.raises(WrongInputError, match=r"trials.jsonl, line 1 is damaged"):
        read_trials(tmp_path)


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        ({"event": "begun", "number": 0}, "event must be one of"),
        ({"event": ["asked"], "number": 0}, "event must be one of"),
        ({"event": "cancelled", "number": "0"}, "number must be a whole number from 0"),
        ({"event": "asked", "number": 0, "picks": [1]}, "picks and memory must be objects"),
        ({"event": "started", "number": 0, "attempt": -1}, "attempt must be a whole number from 0"),
        ({"event": "cancelled", "number": 0, "time": "noon"}, "time must be a number"),
    ],
)
def test_every_field_of_an_event_is_checked(tmp_path: Path, event: dict[str, object], rule: str) -> None:
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    with pytest.raises(WrongInputError, match=f"events.jsonl, line 1 is damaged .*{rule}"):
        read_events(tmp_path)


@pytest.mark.parametrize("schema", [1, 99])
def test_another_format_is_refused(tmp_path: Path, schema: int) -> None:
    (tmp_path / "trials.jsonl").write_text(f'{{"schema":{schema},"number":0,"status":"complete"}}\n')
    with pytest.raises(WrongInputError, match=f"its format is {schema}, this version reads 3; continue with"):
        read_trials(tmp_path)
    (tmp_path / "events.jsonl").write_text(f'{{"schema":{schema},"number":0,"event":"asked"}}\n')
    with pytest.raises(WrongInputError, match=f"line 1: its format is {schema}, this version reads 3"):
        read_events(tmp_path)


def test_an_event_that_is_none_is_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "trials.jsonl").touch()
    (tmp_path / "events.jsonl").write_text('{"schema":3,"number":0,"event":"cancelled"}\n[]\n')
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


def test_a_trial_that_saved_a_checkpoint_since_its_start_was_not_lost_in_vain(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        for attempt in range(1, 8):
            history.event("started", 7, attempt=attempt)
            history.progressed(7)
            history.progressed(7)  # noted once for each start
            history.event("attempt", 7, attempt=attempt + 1, failure="worker_lost")
        assert (history.crashed(7), history.retried(7, "worker_lost")) == (0, 1)
        history.event("started", 7, attempt=8)
        history.event("attempt", 7, attempt=9, failure="worker_lost")
        history.event("started", 7, attempt=9)
        assert (history.crashed(7), history.retried(7, "worker_lost")) == (2, 2)
        assert sum(event["event"] == "saved" for event in history.events) == 7


@pytest.mark.parametrize("name", ["trials.jsonl", "events.jsonl"])
def test_a_log_without_one_of_its_files_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, 0)
    (tmp_path / name).unlink()
    with pytest.raises(WrongInputError, match=f"but no {name}. Restore it from a copy"):
        History(tmp_path)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        ([0, 2, 3], "nothing there asks for trial 1, but the log knows of trial 3"),
        ([1], "nothing there asks for trial 0, but"),
        ([0, 1, 2], "nothing there asks for trial 3"),
        ([0, 1, 1, 2, 3], r"line 3 is damaged \(trial 1 is asked for twice\)"),
    ],
)
def test_numbers_that_are_left_out_or_repeated_are_refused(tmp_path: Path, keep: list[int], reason: str) -> None:
    write(tmp_path, 0, 3)
    path = tmp_path / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[number] for number in keep))
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(WrongInputError, match=reason):
        History(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"\xff garbage \x00"])
def test_a_lock_may_hold_anything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    with History(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    assert (tmp_path / "lock").read_bytes() == content


def test_a_second_writer_is_refused_also_when_the_lock_is_deleted(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        (tmp_path / "lock").unlink()
        with pytest.raises(WrongInputError, match="another search is writing"):
            History(tmp_path)
        assert is_held(tmp_path)
        history.event("asked", 0, picks={})
        history.record(record(0))
    assert read_trials(tmp_path) == [record(0)]


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def truncate(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["trials.jsonl", "events.jsonl"])
@pytest.mark.parametrize(
    ("harm", "reason"),
    [(delete, "was deleted"), (replace, "was replaced"), (truncate, "was changed by another process")],
)
def test_a_log_that_is_harmed_under_its_writer_stops_it_and_is_rescued(
    tmp_path: Path, name: str, harm: Callable[[Path], None], reason: str
) -> None:
    with History(tmp_path) as history:
        for number in range(2):
            history.event("asked", number, picks={"dim": 8})
        history.record(record(0))
        harm(tmp_path / name)
        with pytest.raises(StoppedError, match=f"{name} {reason} .*2 trials, stands in trials.jsonl.rescued"):
            history.record(record(1))
    for file in ("trials.jsonl", "events.jsonl"):
        (tmp_path / f"{file}.rescued").rename(tmp_path / file)
    with History(tmp_path) as history:
        assert history.records == [record(0), record(1)]


def test_opening_a_log_reads_each_of_its_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with History(tmp_path) as history:
        history.event("asked", 0, picks={})
        history.record(record(0))
    read: list[str] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or read_bytes(path))  # type: ignore[func-returns-value]
    History(tmp_path).close()
    assert sorted(read) == ["events.jsonl", "trials.jsonl"]

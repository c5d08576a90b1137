"""The log of a study: the truth from which everything else is recomputed.

``trials.jsonl`` holds a line per ended trial, ``events.jsonl`` what must survive besides. Both are append-only. Lines
are flushed to the disk (fsync) in groups: all events up to the end of a trial, then its record, and only then does the
sampler learn of it. A kill at any moment loses nothing, a power cut no ended trial. Measured
(`studies/benchmarks/overhead.py`): an fsync for every line costs a third more than one for each group. A last line
without its newline is the trace of a cut: it is dropped and the file cut back; any other damage is an error.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nas.errors import StoppedError, WrongInputError
from nas.store.records import SCHEMA, Failure, TrialRecord, refusal

TRIALS, EVENTS, LOCK = "trials.jsonl", "events.jsonl", "lock"


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Objects of a JSON-lines file and the length in bytes of what is whole; a last line cut short is left out.

    Raises:
        WrongInputError: naming the first other line that cannot be read.
    """
    lines: list[dict[str, Any]] = []
    whole = 0
    if not path.exists():
        return lines, whole
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise WrongInputError(
                f"{path}, line {number} is damaged ({error}). Restore the file from a copy, or delete that line: "
                "its trial is then run again."
            ) from None
        whole += len(line)
    return lines, whole


def read_trials(directory: Path) -> list[TrialRecord]:
    """Records of the ended trials of a study, in the order in which they ended; never blocks the writer.

    Raises:
        WrongInputError: if a line is damaged.
    """
    path = directory / TRIALS
    records = []
    for number, line in enumerate(read_lines(path)[0], start=1):
        try:
            records.append(TrialRecord.from_json(line))
        except (ValueError, TypeError) as error:
            raise WrongInputError(
                f"{path}, line {number} is damaged ({error}). Restore the file from a copy."
            ) from None
    return records


def read_events(directory: Path) -> list[dict[str, Any]]:
    """What happened to the trials of a study besides their ends, in order: asked, started, attempt, cancelled.

    Raises:
        WrongInputError: if a line is damaged.
    """
    path = directory / EVENTS
    events = read_lines(path)[0]
    for number, event in enumerate(events, start=1):
        if not isinstance(event, dict) or not {"event", "number"} <= event.keys():
            raise WrongInputError(f"{path}, line {number} is damaged (it is no event). Restore the file from a copy.")
        if event.get("schema", SCHEMA) != SCHEMA:
            raise WrongInputError(f"{path}, line {number}: {refusal(event['schema'])}.")
    return events


def is_held(directory: Path) -> bool:
    """Whether a search is writing to a study at this moment."""
    try:
        with open(directory / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except FileNotFoundError:
        return False
    except OSError:
        return True


class History:
    """The open log of a study, of which there is one writer at a time.

    Raises:
        WrongInputError: if another process writes to it, or a line is damaged.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notes: list[str] = []
        self._lock = open(directory / LOCK, "w")  # noqa: SIM115 (held until close)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise WrongInputError(
                f"another search is writing to {directory}. Wait for it, or give another directory with --out."
            ) from None
        self.records = read_trials(directory)
        self.events: list[dict[str, Any]] = []
        self._by_number: dict[int, list[dict[str, Any]]] = {}
        for event in read_events(directory):
            self._keep(event)
        self._dirty: set[str] = set()
        self._files = {name: self._open(name) for name in (TRIALS, EVENTS)}

    def _open(self, name: str) -> int:
        path = self.directory / name
        whole = read_lines(path)[1]
        if path.exists() and path.stat().st_size > whole:
            os.truncate(path, whole)
            self.notes.append(f"{path}: the last line was cut short, as a kill leaves it, and was dropped.")
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def record(self, record: TrialRecord) -> None:
        """Appends an ended trial; it is on the disk when this returns.

        Raises:
            StoppedError: if it cannot be written, for example because the disk is full; the file is left whole.
        """
        self._flush(EVENTS)
        self._append(TRIALS, record.to_json())
        self._flush(TRIALS)
        self.records.append(record)

    def event(self, kind: str, number: int, **details: Any) -> None:
        """Appends an event about trial ``number``; it survives a kill at once, a power cut once a trial has ended."""
        event = {"schema": SCHEMA, "event": kind, "number": number, "time": time.time(), **details}
        self._append(EVENTS, event)
        self._keep(event)

    def _keep(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self._by_number.setdefault(event["number"], []).append(event)

    def _append(self, name: str, content: dict[str, Any]) -> None:
        line = (json.dumps(content, separators=(",", ":")) + "\n").encode()
        length = os.fstat(self._files[name]).st_size
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._files[name], view) :]
        except OSError as error:
            os.ftruncate(self._files[name], length)
            raise self._unwritable(name, error) from None
        self._dirty.add(name)

    def _flush(self, name: str) -> None:
        if name in self._dirty:
            try:
                os.fsync(self._files[name])
            except OSError as error:
                raise self._unwritable(name, error) from None
            self._dirty.discard(name)

    def _unwritable(self, name: str, error: OSError) -> StoppedError:
        return StoppedError(
            f"{self.directory / name} cannot be written ({error.strerror}). All trials recorded before are kept; "
            "free some space and run the same command again."
        )

    def unfinished(self) -> Iterator[dict[str, Any]]:
        """The last ``asked`` event of every trial that has not ended, by number."""
        ended = {record.number for record in self.records}
        asked = {e["number"]: e for e in self.events if e["event"] == "asked" and e["number"] not in ended}
        return (asked[number] for number in sorted(asked))

    def attempts(self, number: int) -> int:
        """Times that a trial was started; one that took its worker down at once is known by its next attempt alone."""
        counts = {"started": 0, "attempt": -1}
        mine = [event for event in self._of(number) if event["event"] in counts]
        return max((event["attempt"] + counts[event["event"]] for event in mine), default=0)

    def crashed(self, number: int) -> int:
        """Times that a trial was started and then neither ended nor was cancelled."""
        kinds = [event["event"] for event in self._of(number)]
        return kinds.count("started") - kinds.count("cancelled")

    def retried(self, number: int, failure: Failure, *, machine_lost: bool = False) -> int:
        """Times that a trial was handed out again after ``failure``, by the loss of its machine or not."""
        return sum(
            event["event"] == "attempt"
            and event.get("failure") == failure
            and event.get("machine_lost", False) == machine_lost
            for event in self._of(number)
        )

    def _of(self, number: int) -> list[dict[str, Any]]:
        return self._by_number.get(number, [])

    def close(self) -> None:
        """Flushes and closes the files and releases the lock."""
        with contextlib.suppress(StoppedError):
            self._flush(EVENTS)
        for file in self._files.values():
            os.close(file)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

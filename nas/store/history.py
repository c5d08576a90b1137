"""The log of a study: the truth from which everything else is recomputed.

``trials.jsonl`` holds a line per ended trial, ``events.jsonl`` what must survive besides. Both are append-only. Lines
are flushed to the disk (fsync) in groups: all events up to the end of a trial, then its record, and only then does the
sampler learn of it. A kill at any moment loses nothing, a power cut no ended trial. Measured
(`studies/benchmarks/overhead.py`): an fsync for every line costs a third more than one for each group. A last line
without its newline is the trace of a kill: it is kept in a file beside; any other damage is an error.

A writer holds the file ``lock``, and ``trials.jsonl`` itself, should somebody delete the lock. Before it writes it
makes sure that the log under its name is the one that it wrote before.
"""

import contextlib
import fcntl
import gc
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nas.errors import StoppedError, WrongInputError, regular
from nas.store.files import write_atomically
from nas.store.log import HeldError, Log, line_of, read_lines
from nas.store.records import (
    SCHEMA,
    SOURCES,
    Failure,
    TrialRecord,
    are_picks,
    brief,
    is_count,
    is_share,
    is_time,
    refusal,
)

TRIALS, EVENTS, LOCK = "trials.jsonl", "events.jsonl", "lock"

EVENT_KINDS = ("asked", "inherits", "started", "saved", "attempt", "cancelled")


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Keeps the garbage collector from searching what is made inside; for data without cycles, such as JSON.

    It would search all of it again each time that it has grown by a quarter, which took as long as the reading.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@no_collections()
def read_trials(directory: Path) -> list[TrialRecord]:
    """Records of the ended trials of a study, in the order in which they ended; never blocks the writer.

    Raises:
        WrongInputError: if a line is damaged, with its number, the field and what must hold.
    """
    path = directory / TRIALS
    return _records(path, read_lines(path).objects)


@no_collections()
def read_records(path: Path) -> list[TrialRecord]:
    """Records of trials of several studies in a file, whose numbers may repeat.

    Raises:
        WrongInputError: if a line is damaged, with its number, the field and what must hold.
    """
    return _records(path, read_lines(path).objects, repeated=True)


def _records(path: Path, lines: list[dict[str, Any]], *, repeated: bool = False) -> list[TrialRecord]:
    records: list[TrialRecord] = []
    seen: dict[int, TrialRecord] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = TrialRecord.from_json(line)
            if record.number in seen and not repeated:
                raise ValueError(f"trial {record.number} is recorded twice")
            if record.repeats is not None and not repeated:
                _check_repetition(record, seen.get(record.repeats))
            if record.inherited is not None and not repeated:
                _check_relative(record, seen.get(record.inherited["trial"]))
        except ValueError as error:
            raise WrongInputError(
                f"{path}, line {number} is damaged ({error}). Restore the file from a copy."
            ) from None
        seen[record.number] = record
        records.append(record)
    return records


def _check_repetition(record: TrialRecord, first: TrialRecord | None) -> None:
    """Raises ValueError unless a trial trains the network of a complete one before it again."""
    if first is None or first.status != "complete" or first.repeats is not None or first.key != record.key:
        raise ValueError(f"it repeats trial {record.repeats}, which is no complete trial of its network before it")


def _check_relative(record: TrialRecord, relative: TrialRecord | None) -> None:
    """Raises ValueError unless the first weights of a trial come from a complete one before it."""
    if relative is None or relative.status != "complete":
        trial = (record.inherited or {})["trial"]
        raise ValueError(f"its first weights are those of trial {trial}, which is no complete trial before it")


@no_collections()
def read_events(directory: Path) -> list[dict[str, Any]]:
    """What happened to the trials of a study besides their ends, in order: `EVENT_KINDS`.

    Raises:
        WrongInputError: if a line is damaged, with its number, the field and what must hold.
    """
    path = directory / EVENTS
    return _events(path, read_lines(path).objects)


def _events(path: Path, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    asked = set()
    for number, event in enumerate(events, start=1):
        if isinstance(event, dict) and event.get("schema", SCHEMA) != SCHEMA:
            raise WrongInputError(f"{path}, line {number}: {refusal(event['schema'])}.")
        if wrong := _wrong_event(event):
            raise WrongInputError(f"{path}, line {number} is damaged ({wrong}). Restore the file from a copy.")
        if event["event"] == "asked":
            if event["number"] in asked:
                raise WrongInputError(
                    f"{path}, line {number} is damaged (trial {event['number']} is asked for twice). "
                    "Restore the file from a copy."
                )
            asked.add(event["number"])
    return events


def check_whole(directory: Path) -> None:
    """Makes sure that a study directory still has both files of its log; one with neither has none yet.

    Raises:
        WrongInputError: naming the one that is missing, if the other holds something.
    """
    for name, other in ((TRIALS, EVENTS), (EVENTS, TRIALS)):
        if not (directory / name).exists() and (directory / other).exists() and (directory / other).stat().st_size:
            raise WrongInputError(f"{directory} holds {other} but no {name}. Restore it from a copy.")


def check_numbers(directory: Path, records: list[TrialRecord], events: list[dict[str, Any]]) -> None:
    """Makes sure that every trial was asked for before anything else became of it, and that no number is left out.

    Raises:
        WrongInputError: naming the first trial of which that does not hold.
    """
    asked = {event["number"] for event in events if event["event"] == "asked"}
    named = asked | {record.number for record in records} | {event["number"] for event in events}
    first = next(number for number in itertools.count() if number not in asked)
    if (last := max(named, default=-1)) >= first:
        raise WrongInputError(
            f"{directory / EVENTS} is damaged: nothing there asks for trial {first}, but the log knows of "
            f"trial {last}. Restore the file from a copy."
        )


def _wrong_event(event: Any) -> str:
    """What is wrong with an event; empty if nothing is."""
    if not isinstance(event, dict) or not {"event", "number"} <= event.keys():
        return "it is no event"
    if event["event"] not in EVENT_KINDS:
        return f"event must be one of {', '.join(EVENT_KINDS)}, got {brief(event['event'])}"
    if not is_count(event["number"]):
        return f"number must be a whole number from 0, got {brief(event['number'])}"
    if not is_time(event.get("time", 0.0)):
        return f"time must be a number of seconds since 1970, got {brief(event['time'])}"
    if event["event"] == "asked":
        picks, memory = event.get("picks"), event.get("memory", {})
        if not are_picks(picks) or not isinstance(memory, dict):
            return "picks and memory must be objects, picks of words and numbers"
        if not is_count(event.get("draws", 1)) or event.get("source", "sampler") not in SOURCES:
            return f"draws must be a whole number from 0, source one of {', '.join(SOURCES)}"
        if not all(is_count(event.get(name, 0)) for name in ("rung", "continues", "repeats")):
            return "rung, continues and repeats must be whole numbers from 0"
    elif event["event"] == "inherits":
        trial = event.get("trial")
        if not (trial is None or is_count(trial)) or not is_share(event.get("share")):
            return "trial must be a whole number from 0, or null, and share a number from 0 to 1"
    elif event["event"] in ("started", "attempt") and not is_count(event.get("attempt")):
        return f"attempt must be a whole number from 0, got {brief(event.get('attempt'))}"
    return ""


def is_held(directory: Path) -> bool:
    """Whether a search is writing to a study at this moment."""
    for name in (LOCK, TRIALS):
        with contextlib.suppress(OSError), open(regular(directory / name)) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


class History:
    """The open log of a study, of which there is one writer at a time.

    Raises:
        WrongInputError: if another process writes to it, or a line is damaged.
    """

    @no_collections()
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notes: list[str] = []
        self.records: list[TrialRecord] = []
        self.events: list[dict[str, Any]] = []
        self._by_number: dict[int, list[dict[str, Any]]] = {}
        self.origins: dict[int, dict[str, Any]] = {}
        """The last ``inherits`` event of every trial that has one and has not ended."""
        with contextlib.ExitStack() as opened:
            with self._alone():
                Log(directory / LOCK, opened, hold=True)
            check_whole(directory)
            with self._alone():
                self._logs = {name: Log(directory / name, opened, hold=name == TRIALS) for name in (TRIALS, EVENTS)}
            self.records = _records(directory / TRIALS, self._logs[TRIALS].read())
            for event in _events(directory / EVENTS, self._logs[EVENTS].read()):
                self._keep(event)
            for record in self.records:
                self.origins.pop(record.number, None)
            check_numbers(directory, self.records, self.events)
            for log in self._logs.values():
                self.notes += log.mend()
            self._opened = opened.pop_all()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            yield
        except HeldError:
            raise WrongInputError(
                f"another search is writing to {self.directory}. Wait for it, or stop it. Another study needs another "
                "directory."
            ) from None

    def record(self, record: TrialRecord) -> None:
        """Appends an ended trial; it is on the disk when this returns.

        Raises:
            StoppedError: if it cannot be written, for example because the disk is full; the file is left whole. Or if
                another process has deleted or changed the log.
        """
        self._check_unchanged(record)
        self._flush(EVENTS)
        self._logs[TRIALS].append(record.to_json())
        self._flush(TRIALS)
        self.records.append(record)
        self.origins.pop(record.number, None)

    def event(self, kind: str, number: int, **details: Any) -> None:
        """Appends an event about trial ``number``; it survives a kill at once, a power cut once a trial has ended."""
        self._check_unchanged()
        event = {"schema": SCHEMA, "event": kind, "number": number, "time": time.time(), **details}
        self._logs[EVENTS].append(event)
        self._keep(event)

    def _keep(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self._by_number.setdefault(event["number"], []).append(event)
        if event["event"] == "inherits":
            self.origins[event["number"]] = event

    def _check_unchanged(self, *ending: TrialRecord) -> None:
        """Makes sure that the log under its name is the one that this process wrote.

        Args:
            ending: what was to be recorded now; it is rescued too.

        Raises:
            StoppedError: if it is not; what was in it is then written beside it.
        """
        for log in self._logs.values():
            if what := log.harm():
                raise StoppedError(f"{log.path} {what} while the search ran. {self._rescue(*ending)}")

    def _rescue(self, *ending: TrialRecord) -> str:
        """Writes the whole log beside itself, from memory; returns what to do with it."""
        lines = {TRIALS: [r.to_json() for r in (*self.records, *ending)], EVENTS: self.events}
        for name, objects in lines.items():
            write_atomically(self.directory / f"{name}.rescued", b"".join(map(line_of, objects)))
        return (
            f"All that this search has recorded, {len(lines[TRIALS])} trials, stands in {TRIALS}.rescued and "
            f"{EVENTS}.rescued there; put them in place of {TRIALS} and {EVENTS}, and run the same command again."
        )

    def _flush(self, name: str) -> None:
        self._logs[name].flush()

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
        """Times that a trial was started and then neither ended, was cancelled nor saved a checkpoint."""
        kinds = [event["event"] for event in self._since_progress(number)]
        return kinds.count("started") - kinds.count("cancelled")

    def retried(self, number: int, failure: Failure, *, machine_lost: bool = False) -> int:
        """Times that a trial was handed out again after ``failure``, by the loss of its machine or not.

        A lost worker counts only since the trial last saved a checkpoint: a training that makes progress is not given
        up because it is interrupted often.
        """
        return sum(
            event["event"] == "attempt"
            and event.get("failure") == failure
            and event.get("machine_lost", False) == machine_lost
            for event in (self._since_progress(number) if failure == "worker_lost" else self._of(number))
        )

    def progressed(self, number: int) -> None:
        """Notes that a trial has saved a checkpoint, once for each of its starts."""
        if not any(event["event"] == "saved" for event in self._of(number)[self._last_start(number) :]):
            self.event("saved", number)

    def _last_start(self, number: int) -> int:
        """Index of the last start among the events of a trial; 0 if there is none."""
        mine = self._of(number)
        return max((i for i, event in enumerate(mine) if event["event"] == "started"), default=0)

    def _since_progress(self, number: int) -> list[dict[str, Any]]:
        """The events of a trial after it last saved a checkpoint."""
        mine = self._of(number)
        return mine[max((i + 1 for i, event in enumerate(mine) if event["event"] == "saved"), default=0) :]

    def _of(self, number: int) -> list[dict[str, Any]]:
        return self._by_number.get(number, [])

    def close(self) -> None:
        """Flushes and closes the files and releases the lock."""
        with contextlib.suppress(StoppedError):
            self._flush(EVENTS)
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

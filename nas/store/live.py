"""``live.json``: what a search is doing at this moment, for other processes to read. Not part of the log."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import StoppedError, regular
from nas.store.files import write_atomically
from nas.store.history import is_held
from nas.store.records import is_count, is_number, is_time

if TYPE_CHECKING:  # at run time it would import torch
    from trainers import Epoch

NAME = "live.json"
INTERVAL = 1.0
"""Seconds between two writings."""


@dataclass(frozen=True)
class Report:
    """A sign of life of a running trial, from the process that runs it.

    Args:
        epoch: the last one that ended; None before.
        started: whether this is the first report of the attempt.
        host, pid: of the process.
        time: seconds since 1970.
    """

    number: int
    attempt: int
    epoch: Epoch | None = None
    started: bool = False
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    time: float = field(default_factory=time.time)


class Live:
    """The running trials of a search, by number, with their latest report; written at most once a second."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self.running: dict[int, Report | None] = {}
        self.since: dict[int, float] = {}
        self._written = 0.0

    def start(self, number: int) -> None:
        """Adds a trial that was handed out; it may still wait for a worker."""
        self.running[number] = None

    def report(self, report: Report) -> None:
        """Stores the latest report of a trial."""
        if report.started:
            self.since[report.number] = report.time
        before = self.running.get(report.number)
        if report.epoch is None and before is not None and before.attempt == report.attempt:
            return
        self.running[report.number] = report

    def end(self, number: int) -> None:
        """Removes a trial that has ended."""
        self.running.pop(number, None)
        self.since.pop(number, None)

    def write(self) -> None:
        """Writes the file, unless it was written a moment ago."""
        now = time.monotonic()
        if now - self._written < INTERVAL:
            return
        self._written = now
        content = {"time": time.time(), "running": self.table()}
        with contextlib.suppress(StoppedError):  # not worth stopping the search for
            write_atomically(self.path, json.dumps(content).encode(), durable=False)

    def table(self) -> list[dict[str, Any]]:
        """One object for each running trial."""
        return [
            {"number": number, "since": self.since.get(number), **({} if report is None else asdict(report))}
            for number, report in sorted(self.running.items())
        ]


def running_trials(directory: Path) -> list[dict[str, Any]]:
    """The trials that a search runs at this moment; empty if no search holds the directory."""
    if not is_held(directory):
        return []
    try:
        found = json.loads(regular(directory / NAME).read_text())["running"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [trial for trial in found if _is_row(trial)] if isinstance(found, list) else []


def _is_row(trial: Any) -> bool:
    """Whether it is a row as `Live.table` makes them: the file is only for show, so that others are passed over."""
    if not isinstance(trial, dict) or not is_count(trial.get("number")) or not is_count(trial.get("attempt", 1)):
        return False
    if not all(trial.get(name) is None or is_time(trial[name]) for name in ("since", "time")):
        return False
    epoch = trial.get("epoch")
    names = ("number", "total", "loss", "seconds")
    if epoch is None:
        return True
    return isinstance(epoch, dict) and all(is_number(epoch.get(name)) for name in names) and _are_values(epoch)


def _are_values(epoch: dict[str, Any]) -> bool:
    """Whether what is tracked of an epoch, if anything is, are numbers."""
    tracked = epoch.get("measured", {})
    return isinstance(tracked, dict) and all(map(is_number, tracked.values()))

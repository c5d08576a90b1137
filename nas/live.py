"""``live.json``: what a search is doing at this moment, for other processes to look at. Not part of the log."""

import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.executors import Report
from nas.history import is_held

NAME = "live.json"
INTERVAL = 1.0
"""Seconds between two writings."""


class Live:
    """The running trials of a search, by number, with their latest report; written at most once a second."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self.running: dict[int, Report | None] = {}
        self.since: dict[int, float] = {}
        self._written = 0.0

    def start(self, number: int) -> None:
        """A trial was handed out; it may wait for a worker yet."""
        self.running[number] = None

    def report(self, report: Report) -> None:
        """A trial has given a sign of life."""
        if report.started:
            self.since[report.number] = report.time
        before = self.running.get(report.number)
        if report.epoch is None and before is not None and before.attempt == report.attempt:
            return
        self.running[report.number] = report

    def end(self, number: int) -> None:
        """A trial has ended."""
        self.running.pop(number, None)
        self.since.pop(number, None)

    def write(self) -> None:
        """Writes the file, unless it was written a moment ago."""
        now = time.monotonic()
        if now - self._written < INTERVAL:
            return
        self._written = now
        content = {"time": time.time(), "running": self.table()}
        temporary = self.path.with_suffix(".tmp")
        with contextlib.suppress(OSError):  # a picture of the moment is not worth the search
            temporary.write_text(json.dumps(content))
            temporary.replace(self.path)

    def table(self) -> list[dict[str, Any]]:
        """One object for each running trial."""
        return [
            {"number": number, "since": self.since.get(number), **({} if report is None else asdict(report))}
            for number, report in sorted(self.running.items())
        ]


def running_trials(directory: Path) -> list[dict[str, Any]]:
    """What a search is working on at this moment; empty if none holds the directory."""
    if not is_held(directory):
        return []
    try:
        found: list[dict[str, Any]] = json.loads((directory / NAME).read_text())["running"]
    except (OSError, ValueError, KeyError):
        return []
    return found

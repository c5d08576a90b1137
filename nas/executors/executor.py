"""The executor contract: plans go in, reports and outcomes come out, in whatever order trials end."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from nas.trial import TrialOutcome, TrialPlan
from trainers import Epoch

EXECUTORS: dict[str, Callable[..., "Executor"]] = {}
"""Name -> class ``(data: TrainingData, settings: ExecutionSettings, listener: Listener)``."""


@dataclass(frozen=True)
class Report:
    """A sign of life of a running trial, from the process that it runs in.

    Args:
        epoch: the last one that ended; None before.
        started: whether this is the first report of the attempt.
        host, pid: where it runs.
        time: seconds since 1970.
    """

    number: int
    attempt: int
    epoch: Epoch | None = None
    started: bool = False
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    time: float = field(default_factory=time.time)


class Listener(Protocol):
    """Who hears of what goes on in an executor.

    Attributes:
        directory: of the study; what a worker on this machine writes there need not travel.
    """

    directory: Path

    def report(self, report: Report) -> None:
        """A trial has started, ended an epoch, or just lives."""
        ...

    def checkpoint(self, number: int, content: bytes) -> None:
        """The training of a trial has saved itself."""
        ...

    def say(self, message: str) -> None:
        """Something that a person should know."""
        ...


class Executor(Protocol):
    """Runs trials; used as a context manager, whose end stops what still runs."""

    slots: int
    """Trials that it runs at the same time."""
    isolated: bool
    """Whether this process outlives a trial that takes its own process down."""

    def submit(self, plan: TrialPlan) -> None:
        """Hands out a plan; at most ``slots`` at a time."""
        ...

    def wait(self) -> TrialOutcome | None:
        """The next outcome; None if there was none for a second or so. Reports are passed on meanwhile.

        Every submitted plan gives exactly one outcome. A trial that outlives its time gives one of kind ``timeout``, a
        worker that dies one of kind ``worker_lost``.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

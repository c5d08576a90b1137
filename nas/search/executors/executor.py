"""The executor contract: plans go in, reports and outcomes come out, in whatever order trials end."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from nas.errors import user_input
from nas.settings import ExecutionSettings
from nas.store.live import Report
from nas.trial import TrialOutcome, TrialPlan
from searchspaces.registry import lookup, register
from trainers import TrainingData


class Listener(Protocol):
    """What an executor reports to.

    Attributes:
        directory: of the study; a worker on the same machine may write there itself.
    """

    directory: Path

    def report(self, report: Report) -> None:
        """Called when a trial has started or ended an epoch, and now and then while it lives."""
        ...

    def checkpoint(self, number: int, content: bytes) -> None:
        """Called with each new checkpoint of a trial."""
        ...

    def say(self, message: str) -> None:
        """Called with what a person should know."""
        ...


class Executor(Protocol):
    """Runs trials; used as a context manager, whose end stops what still runs."""

    slots: int
    """Number of trials that it runs at the same time."""
    isolated: bool
    """Whether this process outlives a trial that takes its own process down."""

    def submit(self, plan: TrialPlan) -> None:
        """Hands out a plan; at most ``slots`` at a time."""
        ...

    def wait(self) -> TrialOutcome | None:
        """The next outcome; None if there was none for a second or so. Reports are passed on meanwhile.

        Every submitted plan leads to exactly one outcome; its failure is ``timeout`` for a trial that exceeds its time,
        ``worker_lost`` for one whose worker dies.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


EXECUTORS: dict[str, Callable[..., Executor]] = {}
"""Name -> class or function ``(data: TrainingData, settings: ExecutionSettings, listener: Listener) -> Executor``."""
F = TypeVar("F", bound=Callable[..., Executor])


def executor(name: str) -> Callable[[F], F]:
    """Decorator that registers an executor.

    Raises:
        ValueError: if the name is taken.
    """

    def add(factory: F) -> F:
        register(EXECUTORS, "executor", name)(factory)
        return factory

    return add


def find_executor(settings: ExecutionSettings) -> Callable[..., Executor]:
    """What makes the executor of ``[execution]``.

    Raises:
        WrongInputError: if it is unknown.
    """
    with user_input("execution.kind"):
        return lookup(EXECUTORS, "executor", settings.executor)


def open_executor(data: TrainingData, settings: ExecutionSettings, listener: Listener) -> Executor:
    """The executor of ``[execution]``.

    Raises:
        WrongInputError: if it is unknown or cannot be started.
    """
    return find_executor(settings)(data, settings, listener)

"""The executor contract: plans go in, outcomes come out, in whatever order they end."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from nas.trial import TrialOutcome, TrialPlan

EXECUTORS: dict[str, Callable[..., "Executor"]] = {}
"""Name -> class ``(data: TrainingData, settings: ExecutionSettings)``."""


class Executor(Protocol):
    """Runs trials; used as a context manager, whose end stops what still runs."""

    slots: int
    """Trials that it runs at the same time."""

    def submit(self, plan: TrialPlan) -> None:
        """Hands out a plan; at most ``slots`` at a time."""
        ...

    def wait(self) -> TrialOutcome:
        """The next outcome, once there is one; every submitted plan gives exactly one.

        A worker that dies gives a failed outcome of kind ``worker_lost``.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

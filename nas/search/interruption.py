"""Ending a search early: Ctrl-C, SIGTERM (a cluster's preemption), a limit on time. First it is asked, then it is made.

The first reason only asks to stop: nothing new is started, what runs may finish. After a grace period, or at the next
signal, ``KeyboardInterrupt`` is raised in the main thread, in the middle of whatever runs there.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interruption:
    """A context in which signals and a time limit end the work in two steps.

    Args:
        grace_seconds: from the first reason to the interrupt.
        seconds: time after which to stop; None for no limit.
        say: called once with what happens.

    Attributes:
        reason: why to stop; None while there is no reason.
        by_user: whether the reason was a signal, not the time limit.
    """

    def __init__(self, grace_seconds: float, seconds: float | None, say: Callable[[str], None]) -> None:
        self.grace_seconds, self.seconds, self.say = grace_seconds, seconds, say
        self.reason: str | None = None
        self.by_user = False
        self._timers: list[threading.Timer] = []
        self._before: dict[int, Any] = {}
        self._main = threading.main_thread().ident

    def __enter__(self) -> Self:
        self._before = self.listen()
        if self.seconds is not None:
            self._after(self.seconds, self._on_time)
        return self

    def listen(self) -> dict[int, Any]:
        """Installs our signal handlers; returns the earlier ones."""
        if threading.current_thread() is not threading.main_thread():  # elsewhere no signal arrives
            return {}
        return {number: signal.signal(number, self._on_signal) for number in SIGNALS}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.reason is not None:
            raise KeyboardInterrupt
        self.by_user = True
        self._ask(SIGNALS[signal.Signals(number)])

    def _on_time(self) -> None:
        if self.reason is None:
            self._ask(f"limits.seconds = {self.seconds:g}")

    def _ask(self, reason: str) -> None:
        self.reason = reason
        self._after(self.grace_seconds, self._interrupt)
        self.say(
            f"{reason}: nothing new is started; what runs has {self.grace_seconds:g} s to finish. "
            "Ctrl-C cancels it at once."
        )

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _interrupt(self) -> None:
        if self._before and self._main is not None:
            signal.pthread_kill(self._main, signal.SIGINT)

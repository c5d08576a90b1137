"""Trials one after the other in this process: bit-reproducible, and nothing to start."""

import contextlib
import signal
import threading
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import Self

from nas.errors import user_input
from nas.search.executors.executor import Listener, executor
from nas.settings import ExecutionSettings
from nas.store.live import Report
from nas.trial import TrialOutcome, TrialPlan, check_device, run_trial
from objectives import Candidate
from trainers import Epoch, TrainingData
from trainers.optimization import warm_up


@executor("inline")
class InlineExecutor:
    """Runs a trial when its outcome is waited for."""

    slots = 1
    isolated = False

    def __init__(self, data: TrainingData, settings: ExecutionSettings, listener: Listener) -> None:
        with user_input("execution.device"):
            check_device(settings.where)
        self.data, self.listener = data, listener
        self.plans: deque[TrialPlan] = deque()

    def submit(self, plan: TrialPlan) -> None:
        self.plans.append(plan)

    def wait(self) -> TrialOutcome:
        plan = self.plans.popleft()

        def on_epoch(epoch: Epoch, candidate: Candidate) -> None:
            self.listener.report(Report(plan.number, plan.attempt, epoch))

        checkpoints = plan.checkpoints(lambda content: self.listener.checkpoint(plan.number, content))
        self.listener.report(Report(plan.number, plan.attempt, started=True))
        try:
            with _alarm(plan.timeout_seconds):
                return run_trial(plan, self.data, on_epoch, checkpoints)
        except TimeoutError as error:  # the alarm, in the moment after the trial's own end
            return plan.failed("timeout", str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.plans.clear()


@contextlib.contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raises TimeoutError after ``seconds`` in the main thread; elsewhere a trial checks the clock every epoch."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    warm_up()

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the trial was stopped after timeout_seconds = {seconds:g}.")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""Trials one after the other in this process: bit-reproducible, and nothing to start."""

from collections import deque
from typing import Self

from nas.executors.executor import EXECUTORS
from nas.settings import ExecutionSettings
from nas.trial import TrialOutcome, TrialPlan, run_trial
from searchspaces.registry import register
from trainers import TrainingData


@register(EXECUTORS, "executor", "inline")
class InlineExecutor:
    """Runs a trial when its outcome is waited for."""

    slots = 1

    def __init__(self, data: TrainingData, settings: ExecutionSettings) -> None:
        self.data = data
        self.plans: deque[TrialPlan] = deque()

    def submit(self, plan: TrialPlan) -> None:
        self.plans.append(plan)

    def wait(self) -> TrialOutcome:
        return run_trial(self.plans.popleft(), self.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.plans.clear()

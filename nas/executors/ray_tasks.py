"""Trials as plain Ray tasks, on a private local Ray or a cluster. Ray runs, it does not decide.

``max_retries=0``: with Ray's default of 3 a crashing trial ran four times; trying again is the driver's decision. The
data travel once, into the object store. Rejected: Ray Tune, whose restore ran finished trials again.
"""

import logging
import os
from typing import Any, Self

from nas.errors import user_input
from nas.executors.executor import EXECUTORS
from nas.plugins import loaded
from nas.settings import ExecutionSettings
from nas.trial import TrialOutcome, TrialPlan, run_trial
from searchspaces.registry import register
from trainers import TrainingData

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray


@register(EXECUTORS, "executor", "ray")
class RayExecutor:
    """One task per trial, each with one CPU and its share of a GPU.

    Raises:
        WrongInputError: if the cluster cannot be reached.
    """

    def __init__(self, data: TrainingData, settings: ExecutionSettings) -> None:
        self.slots = settings.workers
        self.running: dict[Any, TrialPlan] = {}
        address = None if settings.ray in (None, "local") else settings.ray
        local: dict[str, Any] = {"num_cpus": settings.workers, "include_dashboard": False} if address is None else {}
        if address is not None:
            _use_token()
        with user_input("execution.ray"):
            try:
                ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
            except (ConnectionError, RuntimeError) as error:
                raise ValueError(f"Ray cannot be reached at {address or 'local'}: {error}") from None
        for module in loaded():  # no worker can import a plugin by name, so what is defined in one travels by value
            ray.cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
        self.data = ray.put(data)
        self.task = ray.remote(num_cpus=1, num_gpus=settings.gpus_per_trial, max_retries=0)(run_trial)

    def submit(self, plan: TrialPlan) -> None:
        self.running[self.task.remote(plan, self.data)] = plan

    def wait(self) -> TrialOutcome:
        done: list[Any] = []
        while not done:
            done, _ = ray.wait(list(self.running), num_returns=1, timeout=1.0)
        plan = self.running.pop(done[0])
        try:
            outcome: TrialOutcome = ray.get(done[0])
        except ray.exceptions.RayError as error:
            return plan.failed("worker_lost", f"the worker was lost: {type(error).__name__}: {error}")
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for task in self.running:
            ray.cancel(task, force=True)
        ray.shutdown()


def _use_token() -> None:
    """Shows a cluster this user's token, if there is one: clusters of Ray 2.60 ask for it, and joining sends none."""
    try:
        from ray._private.authentication import authentication_token_setup as tokens
    except ImportError:  # an older Ray knows no tokens
        return
    tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)

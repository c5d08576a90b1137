"""Trials as plain Ray tasks, on a private local Ray or a cluster. Ray runs, it does not decide.

A task is a generator: it yields reports while a thread of its own runs the trial, then the outcome, which the driver
writes to its log. The data go to each node once, into shared memory. A worker that outlives the driver does no harm.
Rejected: Ray Tune, whose restore ran finished trials again; an actor that collects reports (one process more).
"""

import functools
import math
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.errors import StoppedError, user_input
from nas.packing import FINEST, gpu_share
from nas.plugins import loaded
from nas.search.executors.executor import Listener
from nas.search.executors.ray_cluster import connect
from nas.settings import ExecutionSettings
from nas.store.artifacts import keep_traces, weights_path
from nas.store.files import write_beside
from nas.store.live import Report
from nas.store.records import Failure
from nas.trial import TrialOutcome, TrialPlan, run_trial
from objectives import Candidate
from trainers import Epoch, TrainingData
from trainers.optimization import warm_up

POLL = 0.5
"""Seconds between two checks of the clock, and at least between two reports of a trial."""
EARLY = 0.1
"""Seconds in which a trial may end before its start is reported separately: every item costs Ray half a millisecond."""
BEAT = 10.0
"""Seconds after which a running trial reports that it lives, if it has nothing else to report."""
SILENCE = 300.0
"""Seconds without a report after which a worker is given up."""
SLACK = 15.0
"""Seconds after its deadline in which a worker may end a trial itself, and then the time that killing it may take."""
LOOK = 5.0
"""Seconds between two checks of the machines of the cluster."""


@dataclass
class _Task:
    plan: TrialPlan
    first: Report | None = None
    since: float = math.inf
    """When the first report came, by the monotonic clock of this process: the clock of a worker may differ or jump."""
    heard: float = math.inf
    node: str | None = None
    killed: tuple[Failure, str] | None = None
    """Why it was killed from outside, and what its record is to say."""
    killed_at: float = math.inf


@dataclass(frozen=True)
class _Item:
    """What a worker sends: that the trial lives, a checkpoint, how it ended."""

    report: Report | None
    node: str
    outcome: TrialOutcome | None = None
    checkpoint: bytes | None = None


class RayExecutor:
    """One task per trial, each with its share of CPUs, GPUs and memory.

    Raises:
        WrongInputError: if the cluster cannot be reached, or the private one cannot hold a single trial.
    """

    isolated = True

    def __init__(self, data: TrainingData, settings: ExecutionSettings, listener: Listener) -> None:
        self.slots, self.listener = settings.workers, listener
        self.running: dict[Any, _Task] = {}
        self.may_grow, self.fits, self.looked = settings.ray not in (None, "local"), True, 0.0
        least = 1 / FINEST if settings.gpus_per_trial == "auto" else settings.gpus_per_trial
        self.share = {"CPU": settings.cpus_per_trial, "GPU": least}
        self.share["memory"] = int((settings.memory_gb_per_trial or 0) * 1e9)
        with user_input("execution.ray"):
            self.joined = connect(settings.ray, math.ceil(settings.workers * settings.cpus_per_trial))
        try:
            self._check(_nodes())
            self.packed: Callable[[TrialPlan], float] | None = None
            if settings.gpus_per_trial == "auto":
                self.packed = functools.partial(gpu_share, data=data, memory=_gpu_memory(settings))
            for module in loaded():  # no worker can import a plugin by name, so what one defines travels by value
                ray.cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
            shared = ray.put(data)
        except BaseException:
            self._leave()
            raise

        home, directory = ray.get_runtime_context().get_node_id(), listener.directory.resolve()

        def task(plan: TrialPlan) -> Iterator[_Item]:  # as an argument the data would cost half a millisecond a trial
            for item in stream_trial(plan, shared):
                yield _written(item, directory) if item.node == home else item

        self.task = ray.remote(
            num_cpus=self.share["CPU"],
            num_gpus=self.share["GPU"],
            memory=self.share["memory"],
            max_retries=0,  # with Ray's default of 3 a crashing trial ran four times; retrying is the driver's decision
            num_returns="streaming",
            scheduling_strategy="SPREAD",
        )(task)

    def _check(self, nodes: list[dict[str, Any]]) -> None:
        """Checks that a node can hold a trial: Ray would wait forever, without a message."""
        there = [node["Resources"] for node in nodes]
        fitted = self.fits
        self.fits = any(all(node.get(name, 0) >= amount for name, amount in self.share.items()) for node in there)
        if self.fits or not fitted:
            return
        wanted = ", ".join(_amount(name, share) for name, share in self.share.items() if share)
        held = "; ".join(", ".join(_amount(name, node.get(name, 0)) for name in self.share) for node in there)
        message = f"no machine can hold a trial, which asks for {wanted}; there is {held}"
        if self.may_grow:
            self.listener.say(f"{message}. Waiting for the cluster to grow.")
            return
        with user_input("execution"):
            raise ValueError(
                f"{message}. Lower cpus_per_trial, gpus_per_trial or memory_gb_per_trial, or join a cluster."
            )

    def submit(self, plan: TrialPlan) -> None:
        task = self.task
        if self.packed:
            plan = replace(plan, gpu_share=self.packed(plan))
            task = task.options(num_gpus=plan.gpu_share)
        self.running[task.remote(plan)] = _Task(plan)

    def wait(self) -> TrialOutcome | None:
        ready, _ = ray.wait(list(self.running), num_returns=1, timeout=POLL)
        for stream in ready:
            outcome = self._next(stream)
            if outcome is not None:
                del self.running[stream]
                return outcome
        self._kill_overdue()
        return self._look()

    def _next(self, stream: Any) -> TrialOutcome | None:
        """The outcome, if the next item of a stream holds one; a report is passed on."""
        task = self.running[stream]
        try:
            item: _Item = ray.get(next(stream))
        except (ray.exceptions.RayError, StopIteration) as error:
            return self._lost(task, error)
        if item.report is not None:
            now = time.monotonic()
            if task.first is None:
                task.first, task.since = item.report, now
            task.node, task.heard, self.fits = item.node, now, True
            self.listener.report(item.report)
        if item.checkpoint is not None:
            self.listener.checkpoint(task.plan.number, item.checkpoint)
        return item.outcome

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for task in self.running.values():
            if task.first is None or task.killed:
                continue
            limit = task.plan.timeout_seconds
            # Counted from the worker's own start: from submission, starting the workers alone used the time up.
            if limit is not None and now - task.since > limit + SLACK:
                task.killed = "timeout", f"the worker was killed {SLACK:g} s after timeout_seconds = {limit:g}."
            elif now - task.heard > SILENCE:
                task.killed = "worker_lost", f"the worker was killed after {SILENCE:g} s without a sign of life."
            if task.killed:
                task.killed_at = now
                self._kill(task)

    def _kill(self, task: _Task) -> None:
        """Kills a worker from outside: one that is stopped or stuck in foreign code cannot follow ray.cancel."""
        if task.first is not None and task.node is not None:
            _on(task.node)(kill).remote(task.first.pid)

    def _look(self) -> TrialOutcome | None:
        """The outcome of a trial about which Ray reports nothing more: its machine is silent or cannot be reached.

        A machine that loses its power or its network is declared dead after a minute (measured: 64 s), but for what ran
        on it Ray waits on (412 s), and so it does for a worker there that is to be killed.
        """
        now = time.monotonic()
        if now < self.looked + LOOK:
            return None
        nodes = _nodes()
        alive = {node["NodeID"] for node in nodes}
        for stream, task in self.running.items():
            silent = (task.node is not None and task.node not in alive) or now > task.killed_at + SLACK
            if silent and not ray.wait([stream], timeout=0)[0]:
                del self.running[stream]
                return self._lost(task, TimeoutError("it does not answer any more."))
        self._check(nodes)
        self.looked = now
        return None

    def _lost(self, task: _Task, error: Exception) -> TrialOutcome:
        """How a trial ended whose worker returned no outcome."""
        plan, where = task.plan, f" on {task.first.host}" if task.first else ""
        if task.killed:
            return plan.failed(*task.killed)
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            return plan.failed("out_of_memory", f"Ray ended the worker{where}, where memory ran out.")
        if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error, NODE_ERRORS):
            return plan.failed("bug", str(error))
        if isinstance(error, ray.exceptions.OutOfDiskError):
            return plan.failed("disk_full", f"the object store has no disk space left: {error}")
        alive = {node["NodeID"] for node in _nodes()}
        gone = isinstance(error, NODE_ERRORS) or (task.node is not None and task.node not in alive)
        what = "the machine was lost" if gone else "the worker was lost"
        reason = f"{what}{where}: {type(error).__name__}: {error}"
        return TrialOutcome(plan.record("failed", failure="worker_lost", error=reason), machine_lost=gone)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self.running:
            ray.cancel(stream, force=True)
        self._leave()

    def _leave(self) -> None:
        if self.joined:
            ray.shutdown()


NODE_ERRORS = (ray.exceptions.NodeDiedError, ray.exceptions.LocalRayletDiedError, ray.exceptions.ObjectLostError)


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _gpu_memory(settings: ExecutionSettings) -> int:
    """Bytes of the smallest GPU of the cluster, unless the settings say.

    Raises:
        WrongInputError: if there is no GPU to ask.
    """
    if settings.gpu_memory_gb is not None:
        return int(settings.gpu_memory_gb * 1e9)
    found = [node["NodeID"] for node in _nodes() if node["Resources"].get("GPU", 0) > 0]
    with user_input("execution.gpu_memory_gb"):
        if not found:
            raise ValueError("no machine with a GPU is there to ask for its memory. Set gpu_memory_gb.")
        try:
            told: list[int] = ray.get([_on(node, num_gpus=1 / FINEST)(memory_of_gpu).remote() for node in found])
        except ray.exceptions.RayTaskError as error:
            raise ValueError(f"a GPU does not tell its memory: {error.cause}. Set gpu_memory_gb.") from None
    return min(told)


def memory_of_gpu() -> int:
    """Bytes of the GPU of this worker."""
    return int(torch.cuda.get_device_properties(0).total_memory)


def _on(node: str, **resources: float) -> Any:
    """What makes a remote function that runs on a machine; it needs nothing there but ``resources``."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    options: Any = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": there, **resources}
    return ray.remote(**options)


def _amount(name: str, amount: float) -> str:
    return f"{round(amount / 1e9, 2):g} GB memory" if name == "memory" else f"{amount:g} {name}"


def kill(pid: int) -> None:
    """Kills a process; runs on its machine."""
    os.kill(pid, signal.SIGKILL)


def stream_trial(plan: TrialPlan, shared: "ray.ObjectRef[TrainingData]") -> Iterator[_Item]:
    """Runs in a worker: reports with the node they come from, the first of the start, and last the outcome.

    A trial that outlives its time is reported as that; then the process ends with whatever hangs in it.
    """
    data, node = _fetched(shared), ray.get_runtime_context().get_node_id()
    warm_up()  # not at the cost of the trial's time
    deadline = math.inf if plan.timeout_seconds is None else time.monotonic() + plan.timeout_seconds
    items: queue.Queue[Epoch | bytes | Future[TrialOutcome]] = queue.Queue()
    start: Report | None = Report(plan.number, plan.attempt, started=True)

    def on_epoch(epoch: Epoch, candidate: Candidate) -> None:
        items.put(epoch)

    trial = _thread().submit(run_trial, plan, data, on_epoch, plan.checkpoints(items.put))
    trial.add_done_callback(items.put)
    told, latest = time.monotonic(), None
    due = told + EARLY
    while True:
        try:
            item = items.get(timeout=max(0.0, min(due, deadline) - time.monotonic()))
        except queue.Empty:
            item = None
        if isinstance(item, Future):
            yield _Item(start, node, item.result())
            return
        now = time.monotonic()
        if isinstance(item, bytes):
            yield _Item(start, node, checkpoint=item)
            start = None
        elif item is not None:
            latest, due = item, min(due, told + POLL)
        if now >= deadline:
            break
        if now >= due:
            yield _Item(replace(start, epoch=latest) if start else Report(plan.number, plan.attempt, latest), node)
            start, told, due = None, now, now + BEAT
    reached = f"in epoch {latest.number + 1} of {latest.total}" if latest else "before its first epoch ended"
    error = f"the trial was stopped after timeout_seconds = {plan.timeout_seconds:g}, {reached}."
    yield _Item(start, node, plan.failed("timeout", error))
    try:
        trial.result(timeout=SLACK / 2)  # if it notices the time itself, the process survives
    except TimeoutError:
        os._exit(1)


def _written(item: _Item, directory: Path) -> _Item:
    """The item, its files written in the study directory, weights beside their place; left to the driver if that fails.

    Sending them instead took a fifth of the driver's time.
    """
    outcome = item.outcome
    if outcome is None or not directory.is_dir():
        return item
    number, weights = outcome.record.number, outcome.weights
    try:
        keep_traces(directory, number, outcome.traces)
        name = None if weights is None else write_beside(weights_path(directory, number), weights)
    except StoppedError:
        return item
    return replace(item, outcome=replace(outcome, weights=None, written=name, traces={}))


@functools.lru_cache(maxsize=1)
def _fetched(shared: "ray.ObjectRef[TrainingData]") -> TrainingData:
    """The data, as a view of the shared memory of this machine, which holds them once."""
    data: TrainingData = ray.get(shared)
    return data


@functools.cache
def _thread() -> ThreadPoolExecutor:
    """The one thread of a worker process that runs trials; another for each would bring another OpenMP pool."""
    return ThreadPoolExecutor(1, "trial")

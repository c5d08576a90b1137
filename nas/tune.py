"""Inside Ray Tune: a study's space, sampler, objectives and trainer, run by ``ray.tune.Tuner`` (example in the README).

Tune hands out, stops and retries; proposing, recording and learning stay with our ledger. The
directory is that of any study, and running the script again continues it. ``Tuner.restore(path,
trainable=study.trainable)`` works too: Tune's own state is up to ten seconds old, so it starts trials again that have
ended; they answer at once from the log. Rejected: checkpoints of Tune (a second place for the same files) and weights
in results (Tune logs those as text).
"""

import contextlib
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakValueDictionary

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.errors import StoppedError, WrongInputError
from nas.plugins import loaded
from nas.problem import find_trainer
from nas.results.study import Study
from nas.search.launch import open_study, overriding
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import read_settings
from nas.store.artifacts import (
    Artifacts,
    checkpoint_path,
    checkpointed,
    drop_checkpoint,
    keep_traces,
    read_checkpoint,
    weights_path,
)
from nas.store.files import write_atomically
from nas.store.live import Live, Report
from nas.store.records import TrialRecord
from nas.trial import TrialPlan, run_trial
from objectives import Candidate
from trainers import Epoch, TrainingData
from trainers.checkpoints import Checkpoints

LOG = logging.getLogger(__name__)
T = TypeVar("T")

_OPEN: "WeakValueDictionary[Path, TuneStudy]" = WeakValueDictionary()
"""The open studies of this process, by directory: a searcher that Tune has pickled finds its study here again."""


class TuneStudy:
    """A study that Ray Tune runs; as a context manager it releases its directory at the end.

    How many trials run at once, retries of lost workers and the time for all are Tune's (``max_concurrent_trials``,
    ``FailureConfig``, ``time_budget_s``), not those of ``[execution]`` and ``[limits]``; a trial that ran out of memory
    is not tried again. ``timeout_seconds`` is checked after every epoch.

    Args:
        path: TOML file.
        out: study directory, ``runs/<name>`` unless given; one that holds this study is continued.
        trials, seed: override what the file says.
        set: ``KEY=VALUE`` overrides with dotted keys.
        accept_changes: go on with plugins that were edited since the study was started.

    Raises:
        nas.errors.WrongInputError: if something given cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        out: str | Path | None = None,
        trials: int | None = None,
        seed: int | None = None,
        set: Sequence[str] = (),
        accept_changes: bool = False,
    ) -> None:
        settings = read_settings(Path(path), [*set, *overriding(trials=trials, seed=seed)])
        if settings.search.rungs is not None:
            raise WrongInputError(
                "inside Ray Tune its schedulers say how long a trial is trained. Leave [search.rungs] out, or run the "
                "study with nas search."
            )
        if find_trainer(settings).inherit:
            raise WrongInputError(
                "inside Ray Tune, which starts and stops trials by itself, all begin from scratch. Leave "
                "training.inherit out, or run the study with nas search."
            )
        problem, self.history = open_study(settings, out, accept_changes=accept_changes)
        for note in (*problem.notes, *self.history.notes):
            LOG.warning("%s", note)
        self.directory = self.history.directory.resolve()
        self.ledger = Ledger(problem, open_sampler(problem), self.history)
        self.live = Live(self.directory)
        for _ in self.ledger.unfinished():  # pending from now on, and handed out before anything new
            pass
        for number in checkpointed(self.directory) - self.ledger.pending.keys():
            drop_checkpoint(self.directory, number)
        _OPEN[self.directory] = self

    @property
    def trainable(self) -> Any:
        """What `ray.tune.Tuner` runs, with the CPUs, GPUs and memory of ``[execution]``.

        Each report holds ``loss``, ``epochs``, ``status`` and every objective; what is not measured (yet) is NaN. A
        trial that a scheduler stops is ``truncated``, with the epochs that it ran: never on a front, nothing for the
        sampler. One that is paused, or whose worker is lost, continues from its last checkpoint, at most
        ``checkpoint_seconds`` earlier; population based training, which copies trials, is refused.

        Connects to Ray as ``[execution]`` says, unless the process is connected.
        """
        if not ray.is_initialized():
            ray.init(self.ledger.problem.settings.execution.ray or "local")
        for module in loaded():  # no worker can import a plugin by name, so what one defines travels by value
            ray.cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
        problem = self.ledger.problem
        shared = _Shared(
            data=problem.data,
            objectives=tuple(problem.settings.objectives),
            ended={r.number: (r.status, r.measured) for r in self.history.records},
            directory=self.directory,
            home=ray.get_runtime_context().get_node_id(),
        )
        execution = problem.settings.execution
        if execution.gpus_per_trial == "auto":
            raise ValueError("Ray Tune gives every trial the same share: set execution.gpus_per_trial to a number.")
        share = {"cpu": execution.cpus_per_trial, "gpu": execution.gpus_per_trial}
        if execution.memory_gb_per_trial is not None:
            share["memory"] = int(execution.memory_gb_per_trial * 1e9)
        return tune.with_resources(tune.with_parameters(study_trial, shared=shared), share)

    @property
    def searcher(self) -> "StudySearcher":
        """A searcher for one `ray.tune.Tuner`."""
        return StudySearcher(self)

    @property
    def end(self) -> str | StoppedError | None:
        """Why the study proposes no more trials, if not because it has them all."""
        return self.ledger.end

    @property
    def front(self) -> list[TrialRecord]:
        """The non-dominated complete trials, by the first objective, best first."""
        return Study(self.directory).front

    def next_plan(self, given: Collection[int]) -> TrialPlan | None:
        """The next plan whose number is not among the ``given``; None if there are no more."""
        for plan in self.ledger.pending.values():
            if plan.number not in given:
                return plan
        while self.ledger.missing > 0 and self.ledger.end is None:
            if (proposed := self.ledger.propose()) is not None:
                return proposed
        if self.ledger.end is not None:
            LOG.warning("%s", self.ledger.end)
        return None

    def watch(self, number: int, result: Mapping[str, Any]) -> None:
        """Notes a report of a running trial, for ``nas status``."""
        plan = self.ledger.pending.get(number)
        if plan is None:
            return
        first = self.live.running.get(number) is None
        attempt = self.history.attempts(number) + first
        host, pid = result["hostname"], result["pid"]
        if first:
            self.history.event("started", number, attempt=attempt, host=host, pid=pid)
            self.live.report(Report(number, attempt, started=True, host=host, pid=pid))
        epoch = Epoch(result["epochs"], plan.trainer.epochs, result["loss"], result["time_this_iter_s"])
        self.live.report(Report(number, attempt, epoch, host=host, pid=pid))
        self.live.write()

    def book(self, number: int, result: Mapping[str, Any], *, error: bool) -> None:
        """Records how a trial ended; nothing if it had ended before, which Tune may not know after a restore.

        Raises:
            StoppedError: if it cannot be recorded.
        """
        plan = self.ledger.pending.get(number)
        report = self.live.running.get(number)
        self.live.end(number)
        if plan is None:
            return
        if "unwritable" in result:  # as with our own driver the study ends; the trial continues in its next run
            self.ledger.end = StoppedError(result["unwritable"])
            return
        epochs = result.get("epochs", report.epoch.number if report and report.epoch else 0)
        try:
            self.ledger.book(_record(plan, result, epochs=epochs, error=error))
        except StoppedError as stopped:
            self.ledger.end = stopped
            raise
        drop_checkpoint(self.directory, number)
        limit = self.ledger.problem.settings.limits.artifacts_gb
        if limit is not None:
            Artifacts(self.directory, int(limit * 1e9)).trim(r.number for r in self.ledger.standing.front)
        self.live.write()

    def close(self) -> None:
        """Releases the directory; trials that Tune has not ended continue at the next run."""
        if _OPEN.pop(self.directory, None) is None:
            return
        for number, report in self.live.running.items():
            if report is not None:
                self.history.event("cancelled", number, reason="Ray Tune ended before the trial did")
        self.history.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_open, (self.directory,)


def _find_open(directory: Path) -> TuneStudy:
    try:
        return _OPEN[directory]
    except KeyError:
        raise StoppedError(
            f"the study in {directory} is not open in this process. Open it with TuneStudy before Tuner.restore."
        ) from None


class StudySearcher(Searcher):
    """Passes plans of a study to Tune, and outcomes back.

    Its only state is which trial of Tune is which of ours; the log holds the rest.
    """

    def __init__(self, study: TuneStudy) -> None:
        super().__init__()
        self.study = study
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Configuration of the next trial, or that there are no more."""
        plan = self.study.next_plan(set(self.numbers.values()))
        if plan is None:
            return Searcher.FINISHED  # type: ignore[return-value]
        self.numbers[trial_id] = plan.number
        self.study.live.start(plan.number)
        return {"number": plan.number, "picks": dict(plan.picks), "plan": _Sealed(plan)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A running trial has reported."""
        self.study.watch(self._number(trial_id, result), result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has ended, was stopped, or was lost (``error``)."""
        self.study.book(self._number(trial_id, result or {}), result or {}, error=error)

    def _number(self, trial_id: str, result: Mapping[str, Any]) -> int:
        """Number of a trial; one that Tune has restarted after a restore has a new id."""
        return int(self.numbers.get(trial_id, result.get("config/number", -1)))

    def save(self, path: str) -> None:
        """Writes which trials Tune knows."""
        write_atomically(Path(path), json.dumps(self.numbers).encode())

    def restore(self, path: str) -> None:
        """Reads which trials Tune knows: it runs those again itself that it has not ended."""
        self.numbers = json.loads(Path(path).read_bytes())


def _record(plan: TrialPlan, result: Mapping[str, Any], *, epochs: int, error: bool) -> TrialRecord:
    """What a trial ended as, from its last report."""
    if error:
        reason = "Ray Tune lost its worker, or could not start it; error.txt in the folder of the trial says why."
        return plan.failed("worker_lost", reason).record
    if "record" not in result:
        seconds = {"train": result["time_total_s"]} if "time_total_s" in result else {}
        return replace(plan.record("truncated"), fidelity={"epochs": epochs}, seconds=seconds)
    record = TrialRecord.from_json(json.loads(result["record"]))
    if record.number != plan.number:
        reason = f"it ran as trial {record.number}: a scheduler that copies trials onto others cannot run a study."
        return plan.failed("bug", reason).record
    return record


@dataclass(frozen=True, repr=False)
class _Sealed:
    """A plan that is a word in Tune's tables."""

    plan: TrialPlan

    def __repr__(self) -> str:
        return f"<plan of trial {self.plan.number}>"


@dataclass(frozen=True)
class _Shared:
    """What every trial needs, in the object store of each node once.

    Args:
        objectives: names of those of the front.
        ended: status and values of the trials that the log holds already.
        home: id of the node that the study directory is on.
    """

    data: TrainingData
    objectives: tuple[str, ...]
    ended: dict[int, tuple[str, dict[str, float]]]
    directory: Path
    home: str

    def at_home(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function where the study directory is, wherever this process runs; what it raises is passed on."""
        if ray.get_runtime_context().get_node_id() == self.home:
            return function(*arguments)
        task = ray.remote(function).options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(self.home, soft=False)
        )
        result: T = ray.get(task.remote(*arguments))
        return result

    def checkpoints(self, plan: TrialPlan) -> Checkpoints | None:
        """The checkpoints of a trial, stored in the study directory as far as that is possible."""

        def send(content: bytes) -> None:
            with contextlib.suppress(StoppedError, ray.exceptions.RayTaskError):
                self.at_home(write_atomically, checkpoint_path(self.directory, plan.number), content)

        last = self.at_home(read_checkpoint, self.directory, plan.number) if plan.checkpoint_seconds else None
        return replace(plan, checkpoint=last).checkpoints(send)


class _Reporter:
    """Reports every epoch of a trial to Tune but the last, which is reported with the outcome."""

    def __init__(self, objectives: tuple[str, ...]) -> None:
        self.objectives = objectives
        self.epoch: Epoch | None = None
        self.stopped = False

    def __call__(self, epoch: Epoch, candidate: Candidate) -> None:
        if not math.isfinite(epoch.loss):
            raise FloatingPointError(f"the loss was {epoch.loss} in epoch {epoch.number} of {epoch.total}.")
        self.epoch = epoch
        if epoch.number < epoch.total:  # ASHA ends a trial that reports ``max_t``, so the last goes with the outcome
            try:
                tune.report(self.metrics("unfinished", {}))
            except SystemExit:  # how Tune ends a trial that a scheduler has stopped
                self.stopped = True
                raise

    def metrics(self, status: str, measured: Mapping[str, float]) -> dict[str, Any]:
        """What is reported: the same names every time; the values of objectives count if the trial is complete.

        ASHA leaves NaN out of its cutoffs; an infinite value makes them infinite or NaN (measured), and a name that is
        missing ends the run.
        """
        epochs = self.epoch.number if self.epoch else 0
        return {
            "status": status,
            "training_iteration": epochs,
            "epochs": epochs,
            "loss": self.epoch.loss if self.epoch and status != "failed" else math.nan,
            **{name: measured[name] if status == "complete" else math.nan for name in self.objectives},
        }


def study_trial(config: dict[str, Any], shared: _Shared) -> None:
    """Runs in a worker: one trial, whose last report holds its record."""
    plan: TrialPlan = config["plan"].plan
    reporter = _Reporter(shared.objectives)
    if plan.number in shared.ended:
        tune.report({**reporter.metrics(*shared.ended[plan.number]), "done": True})
        return
    outcome = run_trial(plan, shared.data, reporter, shared.checkpoints(plan))
    if reporter.stopped:
        sys.exit(0)
    record = outcome.record
    try:
        if outcome.weights is not None:
            shared.at_home(write_atomically, weights_path(shared.directory, plan.number), outcome.weights)
        shared.at_home(keep_traces, shared.directory, plan.number, outcome.traces)
        last = {**reporter.metrics(record.status, record.measured), "record": json.dumps(record.to_json())}
    except StoppedError as error:  # from a task, Ray puts its traceback around the cause
        last = {**reporter.metrics("unfinished", {}), "unwritable": str(getattr(error, "cause", error))}
    tune.report({**last, "done": True})

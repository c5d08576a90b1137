"""An executor of one's own: every trial in a forked process."""

from contextlib import ExitStack
from multiprocessing import Pipe, connection, get_context

from nas.search.executors import Listener, executor
from nas.settings import ExecutionSettings
from nas.store.live import Report
from nas.trial import TrialOutcome, TrialPlan, run_trial
from trainers import TrainingData


@executor("forked")
class Forked(ExitStack):
    def __init__(self, data: TrainingData, settings: ExecutionSettings, listener: Listener) -> None:
        super().__init__()
        self.data, self.slots, self.listener, self.isolated = data, settings.workers, listener, True
        self.running: dict[connection.Connection, TrialPlan] = {}

    def submit(self, plan: TrialPlan) -> None:
        ours, theirs = Pipe()
        get_context("fork").Process(target=self._run, args=(plan, theirs), daemon=True).start()
        theirs.close()
        self.running[ours] = plan

    def _run(self, plan: TrialPlan, pipe: connection.Connection) -> None:
        pipe.send(Report(plan.number, plan.attempt, started=True))
        pipe.send(run_trial(plan, self.data, None, plan.checkpoints(pipe.send)))

    def wait(self) -> TrialOutcome | None:
        for pipe in connection.wait(list(self.running), timeout=0.5):
            plan = self.running[pipe]
            try:
                item = pipe.recv()
            except EOFError:
                item = plan.failed("worker_lost", "the process died")
            if isinstance(item, TrialOutcome):
                return item if self.running.pop(pipe) else None
            self.listener.report(item) if isinstance(item, Report) else self.listener.checkpoint(plan.number, item)
        return None

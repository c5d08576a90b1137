"""The executor ``ray``: registered here, so that Ray is imported only if it is used (0.7 s)."""

from nas.search.executors.executor import Executor, Listener, executor
from nas.settings import ExecutionSettings
from trainers import TrainingData


@executor("ray")
def ray_executor(data: TrainingData, settings: ExecutionSettings, listener: Listener) -> Executor:
    """Trials as tasks on a private Ray or a cluster; see `nas.search.executors.ray_tasks`."""
    from nas.search.executors.ray_tasks import RayExecutor  # takes 0.7 s, and only here

    return RayExecutor(data, settings, listener)

"""Where trials run: one executor per file behind one contract."""

from nas.executors.executor import EXECUTORS, Executor, Listener, Report
from nas.settings import ExecutionSettings
from trainers import TrainingData

__all__ = ["EXECUTORS", "Executor", "Listener", "Report", "open_executor"]


def open_executor(data: TrainingData, settings: ExecutionSettings, listener: Listener) -> Executor:
    """The executor that the settings ask for; Ray is imported only if it is used.

    Raises:
        WrongInputError: if it cannot be started.
    """
    if settings.workers == 1 and settings.ray is None:
        from nas.executors.inline import InlineExecutor

        return InlineExecutor(data, settings, listener)
    from nas.executors.ray_tasks import RayExecutor

    return RayExecutor(data, settings, listener)

"""Where trials run: one executor a file behind one contract."""

from nas.search.executors import inline, ray
from nas.search.executors.executor import EXECUTORS, Executor, Listener, executor, find_executor, open_executor

__all__ = ["EXECUTORS", "Executor", "Listener", "executor", "find_executor", "inline", "open_executor", "ray"]

"""Steps on a GPU as CUDA graphs: captured once for each shape of their arguments, then replayed by a single launch."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

R = TypeVar("R", bound=Tensor | None)

WARM = 3
"""Times that a step runs as it is before it is captured: libraries set themselves up, the optimiser makes its state."""


@cache
def _beside(device: int) -> torch.cuda.Stream:
    """The stream of a device on which steps are captured; another for each training would keep 32 MB of workspaces."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class Graphs:
    """Runs steps of a training. What a step changes must be tensors that stay in place.

    A step that cannot be captured, because it waits for the GPU or copies from the CPU, runs as it is from then on.
    All share one pool of memory, because they are replayed one after the other.
    """

    def __init__(self) -> None:
        self._stream = _beside(torch.cuda.current_device())
        self._pool = torch.cuda.graph_pool_handle()
        self._refused: dict[str, str] = {}
        self._runs: dict[tuple[Any, ...], int] = {}
        self._captured: dict[tuple[Any, ...], tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Any]] = {}

    @property
    def refusal(self) -> str:
        """Why a step was not captured; empty if each was, or was not yet tried."""
        return "; ".join(f"{name}: {reason}" for name, reason in self._refused.items())

    def run(self, name: str, step: Callable[..., R], prepare: Callable[[], None] | None, *inputs: Tensor) -> R:
        """Makes ``step(*inputs)`` and returns what it returns: None, or a tensor that lasts until the next run.

        Args:
            name: of the step.
            prepare: sets the gradients to None; called before a step that is not replayed, and before the capture, so
                that the captured step makes them anew in memory of its own.
        """
        key = (name, *((tuple(x.shape), x.dtype, x.stride()) for x in inputs))
        if key in self._captured:
            graph, places, found = self._captured[key]
            for place, x in zip(places, inputs, strict=True):
                place.copy_(x)
            graph.replay()
            return cast(R, found)
        self._runs[key] = self._runs.get(key, 0) + 1
        if self._runs[key] <= WARM or name in self._refused:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                if prepare:
                    prepare()
                found = step(*inputs)
            torch.cuda.current_stream().wait_stream(self._stream)
            return found
        if prepare:
            prepare()
        places = tuple(x.clone() for x in inputs)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                found = step(*places)
        except RuntimeError as error:
            self._refused[name] = str(error).partition("\n")[0]
            return self.run(name, step, prepare, *inputs)
        self._captured[key] = graph, places, found
        graph.replay()
        return found

    @property
    def fate(self) -> str:
        """What became of the steps, in words: ``captured``, or why not."""
        return self.refusal or ("captured" if self._captured else "too few steps")

    @property
    def captured(self) -> set[str]:
        """Names of the steps that are replayed."""
        return {key[0] for key in self._captured}

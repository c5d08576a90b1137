"""What a network runs on, for values that depend on it."""

import math
import platform
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters or buffers of a model are; ``cpu`` if it has none."""
    tensors = (*model.parameters(), *model.buffers())
    return tensors[0].device if tensors else torch.device("cpu")


def device_settings(model: nn.Module, *, threads: int | None = None) -> dict[str, Any]:
    """Name of the device of a model, and on a CPU the threads, as JSON."""
    if (device := device_of(model)).type == "cuda":
        return {"device": torch.cuda.get_device_name(device)}
    return {"device": cpu_name(), "threads": threads or torch.get_num_threads()}


class SteadyBatches(nn.Module):
    """A network that sees few sizes of batches on a GPU, where each new one costs 0.1 s of planning its convolutions.

    Attacks go on with the images that are not errors yet, another number each time: a batch is filled up to the next
    power of two with copies of its first image, whose outputs are dropped. On a CPU nothing changes.

    Args:
        steady: fill batches up; unset: on a GPU.
    """

    def __init__(self, model: nn.Module, *, steady: bool | None = None) -> None:
        super().__init__()
        self.model = model
        self.steady = device_of(model).type == "cuda" if steady is None else steady

    def forward(self, x: Tensor) -> Tensor:
        size = len(x)
        missing = 2 ** math.ceil(math.log2(size)) - size if self.steady and size else 0
        if not missing:
            return cast(Tensor, self.model(x))
        filled = torch.cat([x, x[:1].detach().expand(missing, *x.shape[1:])])
        return cast(Tensor, self.model(filled)[:size])


@cache
def cpu_name() -> str:
    """Model of the processor, as far as the system says."""
    with suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1].strip()
    return platform.processor() or platform.machine()

"""What a network runs on, for values that depend on it."""

import platform
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters or buffers of a model are; ``cpu`` if it has none."""
    tensors = (*model.parameters(), *model.buffers())
    return tensors[0].device if tensors else torch.device("cpu")


def device_settings(model: nn.Module, *, threads: int | None = None) -> dict[str, Any]:
    """Name of the device of a model, and on a CPU the threads, as JSON."""
    if (device := device_of(model)).type == "cuda":
        return {"device": torch.cuda.get_device_name(device)}
    return {"device": cpu_name(), "threads": threads or torch.get_num_threads()}


@cache
def cpu_name() -> str:
    """Model of the processor, as far as the system says."""
    with suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1].strip()
    return platform.processor() or platform.machine()

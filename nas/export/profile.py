"""Latency and memory of a network part by part: which stage limits its throughput.

The parts are those that are priced, in the order of execution. Each runs by itself on what the parts before it return,
in turn with the others and with the whole network, so that all share what slows them. Like the objective `latency_ms`
it is measured on one thread of the CPU, in eval mode, with weights and images in channels-last memory.
"""

import copy
import os
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.errors import WrongInputError, user_input
from nas.pricing import price
from objectives.latency import IN_TURNS_SECONDS, channels_last, in_turns
from searchspaces import Architecture, Network, Part


def profile(
    architecture: Architecture, network: Network, *, batch: int = 1, seconds: float = IN_TURNS_SECONDS
) -> dict[str, Any]:
    """Where a network spends its time and memory, as JSON.

    Args:
        network: of the architecture; it is left as it was.
        batch: images in a forward pass.
        seconds: that measuring the time takes, about.

    Returns:
        Of each of the ``parts`` its ``milliseconds`` (the least of several turns), its ``share`` of those of the whole
        network, ``images_per_second`` that it alone would let through, ``output_bytes``, and ``peak_bytes``: the most
        that tensors take together while it runs, its input and output among them; weights, and what kernels allocate
        inside one operation, are left out. ``macs`` are of one image, as priced, ``macs_executed`` as run.
        ``milliseconds`` is the time of the whole, ``overhead_ms`` what its parts leave of it, which may be negative.

    Raises:
        WrongInputError: if no network can be built of the architecture, or a batch does not fit into the memory.
    """
    check_fits(architecture, batch)
    with user_input("the architecture"):
        parts = price(architecture).parts
    model = channels_last(copy.deepcopy(network).eval())
    assert isinstance(model, Network)
    modules = list(_modules(parts, model))
    images = torch.rand(batch, *architecture.input, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    inputs, memory = [images], []
    with torch.no_grad():
        for module in modules:
            output, peak = _traced(module, inputs[-1])
            memory.append({"output_bytes": output.numel() * output.element_size(), "peak_bytes": peak})
            inputs.append(output)
    with torch.inference_mode():
        runs = [partial(module, given) for module, given in zip(modules, inputs, strict=False)]
        *each, whole = in_turns([*runs, partial(model, images)], seconds=seconds)
    rows = []
    for part, milliseconds, used in zip(parts, each, memory, strict=True):
        row: dict[str, Any] = {
            "name": part.name,
            "spec": part.node.label() if part.node else "",
            "repeat": part.repeat,
            "output": list(part.output),
            "milliseconds": milliseconds,
            "share": milliseconds / whole,
            "images_per_second": 1000 * batch / milliseconds,
        }
        costs = {"macs": part.cost.macs, "macs_executed": part.cost.macs_executed, "parameters": part.cost.parameters}
        rows.append(row | used | costs)
    return {
        "key": architecture.key,
        "input": list(architecture.input),
        "batch": batch,
        "milliseconds": whole,
        "overhead_ms": whole - sum(each),
        "images_per_second": 1000 * batch / whole,
        "slowest": max(rows, key=lambda row: float(row["milliseconds"]))["name"],
        "parts": rows,
    }


def check_fits(architecture: Architecture, batch: int) -> None:
    """Makes sure that a batch may fit into the memory of this machine.

    Raises:
        WrongInputError: if what the parts return is larger, or no network can be built of the architecture.
    """
    with user_input("the architecture"):
        parts = price(architecture).parts
    taken = 4 * batch * sum(channels * height * width for channels, height, width in (p.output for p in parts))
    if hasattr(os, "sysconf") and taken > (there := os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")):
        raise WrongInputError(
            f"a batch of {batch} takes at least {taken / 1e9:.3g} GB, and this machine has {there / 1e9:.3g}. Take a "
            "smaller --batch."
        )


def _modules(parts: Iterable[Part], network: Network) -> Iterable[nn.Module]:
    """The module of each part."""
    _normalization, _stem, *between, _head, _last = parts
    blocks = iter(network.blocks)
    yield network.normalize
    yield network.stem
    for part in between:
        yield nn.Sequential(*islice(blocks, part.repeat))
    yield network.head
    yield network.classifier


def _traced(module: nn.Module, given: Tensor) -> tuple[Tensor, int]:
    """What a module returns, and the most bytes that tensors take while it runs."""
    held = {tensor.untyped_storage()._cdata for tensor in (*module.parameters(), *module.buffers())}
    with _Alive(given, held) as alive:
        output: Tensor = module(given)
    return output, alive.peak


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of tensors that are alive, operation by operation.

    Args:
        given: the input, which whoever called holds.
        held: storages that do not count.
    """

    def __init__(self, given: Tensor, held: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = held
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0
        self._see(given)

    def _see(self, *tensors: object) -> None:
        for tensor in tensors:
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage())._cdata not in self.held:
                self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())  # type: ignore[no-untyped-call]
        dead = [key for key, (reference, _) in self.alive.items() if reference.expired()]  # type: ignore[no-untyped-call]
        for key in dead:
            del self.alive[key]
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        self._see(*tree_leaves(found))
        return found

"""Closed forms of costs, compared with counting on the meta device and with the tensors that autograd keeps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from objectives.counting import count
from searchspaces.architecture import Shape
from searchspaces.costs import Cost


def check_cost(
    cost: Cost, make: Callable[[], nn.Module], shape: Shape, prepare: Callable[[Any], None] = lambda module: None
) -> None:
    """Makes sure that ``cost`` is the cost of the module for one image of ``shape`` = (C, H, W).

    Args:
        make: builds the module on the current default device.
        prepare: freezes parameters of the module.

    Raises:
        AssertionError: naming the figures that differ, or the operations that counting does not cover.
    """
    with torch.device("meta"):
        meta = make()
    prepare(meta)
    counts = count(meta, shape)
    assert counts.uncounted == (), f"counting covers no {', '.join(counts.uncounted)}"
    state = meta.state_dict().values()
    formula = {
        "macs_executed": cost.macs_executed,
        "transform_flops": cost.transform_flops,
        "elementwise_flops": cost.elementwise_flops,
        "parameters": cost.parameters,
        "trainable_parameters": cost.trainable_parameters,
        "checkpoint_bytes": cost.checkpoint_bytes,
    }
    counted = {
        "macs_executed": counts.macs,
        "transform_flops": counts.transform_flops,
        "elementwise_flops": counts.elementwise_flops,
        "parameters": counts.parameters,
        "trainable_parameters": counts.trainable_parameters,
        "checkpoint_bytes": sum(t.numel() * t.element_size() for t in state),
    }
    wrong = [f"{name}: {formula[name]} by formula, {counted[name]} counted" for name in formula]
    assert formula == counted, "; ".join(wrong)
    real = make()
    prepare(real)
    activations, found = cost.activations + cost.kept_once, kept_elements(real, shape)
    assert activations == found, f"activations and kept_once: {activations} by formula, {found} kept by autograd"


def kept_elements(module: nn.Module, shape: Shape) -> int:
    """Elements that autograd keeps for the backward pass of one image, parameters and buffers left out."""
    own = {t.untyped_storage().data_ptr() for t in [*module.parameters(), *module.buffers()]}
    storages: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    image = torch.randn(1, *shape, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module.train()(image)
    total: int = sum(t.untyped_storage().nbytes() for pointer, t in storages.items() if pointer not in own)
    del out  # only now: it keeps the storages alive, so that no two share an address
    return total // 4

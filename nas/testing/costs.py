"""Closed forms of costs, compared with counting on the meta device."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from objectives.counting import count, kept
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
    held = kept(meta, shape)
    formula = {
        "macs_executed": cost.macs_executed,
        "transform_flops": cost.transform_flops,
        "elementwise_flops": cost.elementwise_flops,
        "parameters": cost.parameters,
        "trainable_parameters": cost.trainable_parameters,
        "checkpoint_bytes": cost.checkpoint_bytes,
        "activations": cost.activations,
        "kept_once": cost.kept_once,
    }
    counted = {
        "macs_executed": counts.macs,
        "transform_flops": counts.transform_flops,
        "elementwise_flops": counts.elementwise_flops,
        "parameters": counts.parameters,
        "trainable_parameters": counts.trainable_parameters,
        "checkpoint_bytes": counts.checkpoint_bytes,
        "activations": held.per_image // 4,
        "kept_once": held.once // 4,
    }
    wrong = [f"{name}: {formula[name]} by formula, {counted[name]} counted" for name in formula]
    assert formula == counted, "; ".join(wrong)

"""Every closed form against what counting on the meta device and autograd give, for every registered node."""

import dataclasses
import itertools
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from objectives.counting import count
from searchspaces import NoFormulaError
from searchspaces.architecture import BLOCKS, CHANNEL_MIXERS, DOWNSAMPLES, HEADS, STEMS, TOKEN_MIXERS, Shape
from searchspaces.costs import Cost
from searchspaces.freezing import FREEZE_PATTERNS, freeze

SHAPES: list[Shape] = [(8, 6, 4), (16, 5, 7), (24, 4, 4)]


def variants(cls: Any, shape: Shape, limit: int = 12) -> Iterator[Any]:
    """The default spec, if every field has one, and a seeded sample of the combinations of its options."""
    options = cls.options(shape)
    combinations = list(itertools.product(*options.values()))
    random.Random(0).shuffle(combinations)
    if all(field.default is not dataclasses.MISSING for field in dataclasses.fields(cls)):
        yield cls()
    for values in combinations[:limit]:
        yield cls(**dict(zip(options, values, strict=True)))


def kept(module: nn.Module, shape: Shape) -> int:
    """Elements that autograd keeps for the backward pass of one image, parameters and buffers left out."""
    own = {t.untyped_storage().data_ptr() for t in [*module.parameters(), *module.buffers()]}
    storages: dict[int, Any] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    image = torch.randn(1, *shape, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module.train()(image)
    total = sum(t.untyped_storage().nbytes() for pointer, t in storages.items() if pointer not in own)
    del out
    return total // 4


def check(cost: Cost, make: Any, shape: Shape, prepare: Any = lambda module: None) -> None:
    """Holds a closed form to the module that ``make`` builds."""
    with torch.device("meta"):
        meta = make()
    prepare(meta)
    counts = count(meta, shape)
    assert counts.uncounted == ()
    state = meta.state_dict().values()
    got = {
        "macs_executed": cost.macs_executed,
        "transform_flops": cost.transform_flops,
        "elementwise_flops": cost.elementwise_flops,
        "parameters": cost.parameters,
        "trainable_parameters": cost.trainable_parameters,
        "checkpoint_bytes": cost.checkpoint_bytes,
    }
    assert got == {
        "macs_executed": counts.macs,
        "transform_flops": counts.transform_flops,
        "elementwise_flops": counts.elementwise_flops,
        "parameters": counts.parameters,
        "trainable_parameters": counts.trainable_parameters,
        "checkpoint_bytes": sum(t.numel() * t.element_size() for t in state),
    }
    real = make()
    prepare(real)
    assert cost.activations + cost.kept_once == kept(real, shape)


@pytest.mark.parametrize("pattern", FREEZE_PATTERNS)
@pytest.mark.parametrize("cls", [*TOKEN_MIXERS.values(), *CHANNEL_MIXERS.values()], ids=lambda cls: cls.kind)
def test_the_closed_form_of_a_mixer_is_what_counting_gives(cls: Any, pattern: Any) -> None:
    for shape in SHAPES:
        for spec in variants(cls, shape):
            check(spec.cost(shape, pattern), partial(spec.build, shape), shape, lambda m: freeze(pattern, [m]))


NODES = [*BLOCKS.values(), *STEMS.values(), *HEADS.values(), *DOWNSAMPLES.values()]


@pytest.mark.parametrize("cls", NODES, ids=lambda cls: cls.kind)
def test_the_closed_form_of_a_node_is_what_counting_gives(cls: Any) -> None:
    for shape in SHAPES:
        for spec in variants(cls, shape):
            check(spec.cost(shape), partial(spec.build, shape), shape)


def test_a_node_without_a_formula_says_so() -> None:
    from searchspaces.architecture import TokenMixer

    class Strange(TokenMixer):
        kind = "strange"

    with pytest.raises(NoFormulaError, match="strange"):
        Strange().cost((8, 4, 4))

"""The contract of blocks, stems, heads and downsamplings, fulfilled by every registered one."""

import dataclasses
import json
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.testing.operators import check_numbers, variants
from searchspaces.architecture import BLOCKS, DOWNSAMPLES, HEADS, STEMS, Shape, decode, encode
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer

every_pattern = pytest.mark.parametrize("pattern", FREEZE_PATTERNS)


def gradient(y: Tensor, x: Tensor) -> Tensor:
    """Of a fixed random combination of the outputs ``y`` with respect to the input ``x``."""
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    return torch.autograd.grad((y * weights).sum(), x)[0]


NODES: dict[str, Any] = {
    f"{spec.noun} {name}": spec for table in (BLOCKS, STEMS, DOWNSAMPLES, HEADS) for name, spec in table.items()
}

every_node = pytest.mark.parametrize("kind", NODES.values(), ids=NODES.keys())

every_shape = pytest.mark.parametrize("shape", [(6, 8, 8), (8, 4, 10)], ids=str)


@every_node
@every_shape
def test_the_promised_output_is_what_comes_out(kind: Any, shape: Shape) -> None:
    for spec in variants(kind, shape):
        with torch.device("meta"):
            y = spec.build(shape)(torch.empty(2, *shape))
        assert len(y) == 2
        assert (*y.shape[1:], 1, 1)[:3] == spec.output(shape)


@every_node
@every_shape
def test_a_node_is_finite_and_lets_gradients_through(kind: Any, shape: Shape) -> None:
    for spec in variants(kind, shape):
        torch.manual_seed(0)
        node, x = spec.build(shape), torch.randn(3, *shape, requires_grad=True)
        y = node(x)
        (y * torch.randn(y.shape)).sum().backward()
        assert torch.isfinite(y).all()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert x.grad.abs().sum() > 0


@every_node
def test_the_canonical_form_of_a_node_is_its_own_and_builds_the_same(kind: Any) -> None:
    for spec in variants(kind, (6, 8, 8)):
        canonical, x = spec.canonical(), torch.rand(2, 6, 8, 8)
        assert canonical.canonical() == canonical
        outputs = []
        for node in (spec, canonical):
            torch.manual_seed(0)
            outputs.append(node.build((6, 8, 8)).eval()(x))
        assert torch.equal(*outputs)


@every_node
def test_numbers_of_which_no_node_can_be_made_are_refused(kind: Any) -> None:
    check_numbers(kind, (8, 8, 8))


@every_node
def test_a_node_keeps_itself_through_json(kind: Any) -> None:
    for spec in variants(kind, (6, 8, 8), limit=50):
        assert decode(kind.__mro__[1], json.loads(json.dumps(encode(spec))), "node") == spec


@pytest.mark.parametrize("kind", BLOCKS.values(), ids=BLOCKS.keys())
@every_pattern
def test_every_block_freezes_what_its_mixers_say(kind: Any, pattern: Freeze) -> None:
    for spec in variants(kind, (6, 8, 8)):
        block = dataclasses.replace(spec, freeze=pattern).build((6, 8, 8))
        mixers = [module for module in block.modules() if isinstance(module, Mixer)]
        method = {"chans": "spatial_parameters", "space": "channel_parameters"}.get(pattern)
        frozen = {id(p) for mixer in mixers if method for p in getattr(mixer, method)()}
        assert {id(p) for p in block.parameters() if not p.requires_grad} == frozen


@pytest.mark.parametrize("kind", BLOCKS.values(), ids=BLOCKS.keys())
def test_freezing_changes_neither_outputs_nor_gradients_of_the_input(kind: Any) -> None:
    """In double precision: what is frozen may be run in another form, and rounding must not flip a ReLU."""
    for spec in variants(kind, (6, 8, 8)):
        x = torch.randn(4, 6, 8, 8, dtype=torch.float64, requires_grad=True)
        results = []
        for pattern in FREEZE_PATTERNS:
            torch.manual_seed(0)
            y = dataclasses.replace(spec, freeze=pattern).build((6, 8, 8)).double()(x)
            results.append((y, gradient(y, x)))
        for y, slope in results[1:]:
            torch.testing.assert_close(y, results[0][0])
            torch.testing.assert_close(slope, results[0][1])

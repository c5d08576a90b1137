"""ACON-C: the published formula, where its factors stand, and what they cost in the operators of ASM-RH."""

from functools import partial
from typing import Any

import pytest
import torch

from nas.testing.costs import check_cost
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, freeze
from searchspaces.layers.activations import AconC
from searchspaces.operators.hermit import Hermit
from searchspaces.operators.roll_token_mlp import RollTokenMLP

OPERATORS = [RollTokenMLP(5, activation="acon-c"), Hermit(expansion=2.0, activation="acon-c")]
SHAPE = (16, 4, 6)


@pytest.mark.parametrize("images", [True, False])
def test_it_is_the_published_formula_with_factors_for_each_channel(images: bool) -> None:
    torch.manual_seed(0)
    layer = AconC(5, images=images).double()
    with torch.no_grad():
        layer.beta.normal_()
    x = torch.randn((2, 5, 3, 4) if images else (2, 3, 5), dtype=torch.float64)
    p1, p2, beta = (p.view(1, 5, 1, 1) if images else p for p in (layer.p1, layer.p2, layer.beta))
    expected = (p1 * x - p2 * x) * torch.sigmoid(beta * (p1 * x - p2 * x)) + p2 * x
    torch.testing.assert_close(layer(x), expected)


def test_with_factors_1_0_and_1_it_is_silu() -> None:
    layer, x = AconC(3), torch.randn(7, 3)
    with torch.no_grad():
        layer.p1.fill_(1), layer.p2.zero_()
    torch.testing.assert_close(layer(x), torch.nn.functional.silu(x))


@pytest.mark.parametrize("pattern", FREEZE_PATTERNS)
@pytest.mark.parametrize("config", OPERATORS, ids=lambda config: config.kind)
def test_its_closed_form_is_the_counted_cost(config: Any, pattern: Freeze) -> None:
    check_cost(config.cost(SHAPE, pattern), partial(config.build, SHAPE), SHAPE, lambda m: freeze(pattern, [m]))


@pytest.mark.parametrize(("config", "frozen_by"), list(zip(OPERATORS, ["chans", "space"], strict=True)))
def test_its_factors_are_three_for_each_hidden_unit_and_freeze_with_their_mixer(config: Any, frozen_by: str) -> None:
    hidden = 5 if isinstance(config, RollTokenMLP) else 32
    plain = type(config)(**{**vars(config), "activation": "gelu"})
    for pattern in FREEZE_PATTERNS:
        mixer = config.build(SHAPE)
        freeze(pattern, [mixer])
        factors = [p for name, p in mixer.named_parameters() if name.endswith(("p1", "p2", "beta"))]
        assert sum(p.numel() for p in factors) == 3 * hidden
        assert {p.requires_grad for p in factors} == {pattern != frozen_by}
    assert config.cost(SHAPE).parameters == plain.cost(SHAPE).parameters + 3 * hidden
    assert config.cost(SHAPE).macs == plain.cost(SHAPE).macs

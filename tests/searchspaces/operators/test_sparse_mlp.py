"""Sparse MLPs on the flattened table (2306.01470): masks, costs, training, singular values by width."""

import math
from typing import Any

import pytest
import torch

from searchspaces import Architecture, Stage, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import connections
from searchspaces.diagnostics import sigma_max
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.sparse_mlp import MaskedLinear, SparseChannelMLP, SparseMLP, draw_mask
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem

SHAPE = (6, 4, 5)

SIZE = 6 * 4 * 5


def test_an_exact_mask_keeps_the_share_of_connections_of_a_mixer() -> None:
    layer = SparseMLP(expansion=2.0).build(SHAPE)
    kept = round((1 / 20 + 1 / 6) / 2 * 2 * SIZE**2)
    assert int(layer.up.mask.sum()) == int(layer.down.mask.sum()) == kept == connections(20, 6, 2)
    cost = SparseMLP(expansion=2.0).cost(SHAPE)
    assert (cost.macs, cost.macs_executed) == (2 * kept, 2 * 2 * SIZE**2)


@pytest.mark.parametrize("p", [0.01, 0.3, 1.0])
def test_masks_have_the_density_that_was_asked_for(p: float) -> None:
    torch.manual_seed(0)
    assert int(draw_mask(200, 300, p, "exact").sum()) == round(p * 60_000)
    tolerance = 4 * math.sqrt(p * (1 - p) / 60_000)
    assert draw_mask(200, 300, p, "bernoulli").float().mean().item() == pytest.approx(p, abs=tolerance + 1e-9)


def test_a_sparse_block_takes_the_multiply_accumulates_of_the_mixer_block_of_its_table() -> None:
    sparse = MetaFormerBlock(SparseMLP(), SparseChannelMLP()).cost(SHAPE)
    mixer = MetaFormerBlock(TokenMLP(1.0), ChannelMLP(1.0)).cost(SHAPE)
    assert sparse.macs == mixer.macs == 4 * connections(20, 6)


@pytest.mark.parametrize(
    "spec", [SparseMLP(), SparseChannelMLP(density=0.2, mask="bernoulli")], ids=lambda spec: spec.kind
)
def test_training_with_weight_decay_revives_no_zero_and_masked_weights_do_not_count(spec: Any) -> None:
    torch.manual_seed(0)
    layer, x = spec.build(SHAPE), torch.randn(4, *SHAPE)
    before = [m.detach().clone() for m in layer.factors()]
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-2, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
    for old, new, masked in zip(before, layer.factors(), (layer.up, layer.down), strict=True):
        assert new[~masked.mask].count_nonzero() == 0
        assert not torch.equal(new, old)
    y = layer(x)
    with torch.no_grad():
        layer.up.weight[~layer.up.mask] = 1e3
    assert torch.equal(layer(x), y)


def test_weights_of_a_sparse_layer_start_with_the_variance_of_its_connections() -> None:
    torch.manual_seed(0)
    layer = MaskedLinear(400, 500, 0.1, "exact")
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(0.1 * 400), rel=0.02)
    assert layer.bias.abs().sum() == 0


def test_a_checkpoint_restores_the_masks_into_a_network_of_another_seed() -> None:
    block = MetaFormerBlock(SparseMLP(), SparseChannelMLP())
    architecture = Architecture((1, 8, 8), 3, EmbeddingStem(5, 2, 2), (Stage(block, 2),), AverageHead())
    one, other, x = build(architecture, seed=1), build(architecture, seed=2), torch.rand(2, 1, 8, 8)
    assert torch.equal(build(architecture, seed=1)(x), one(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize("arguments", [{"density": 1.5}, {"mask": "fixed"}, {"expansion": -1.0}])
def test_a_sparse_layer_says_what_its_fields_take(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be"):
        SparseMLP(**arguments)


def mean_sigma_max(spec: Any, shape: tuple[int, int, int], draws: int) -> float:
    values = [value for _ in range(draws) for value in sigma_max(spec.build(shape))]
    return sum(values) / len(values)


def test_the_largest_singular_value_grows_with_the_width_of_sparse_layers() -> None:
    torch.manual_seed(0)
    # One matrix of m = 1024 deviates by 0.12 from the next, of m = 64 by 0.04.
    widths = {64: (1.94, 0.06), 128: (2.04, 0.06), 256: (2.11, 0.1), 512: (2.32, 0.15), 1024: (2.78, 0.25)}
    means = {m: mean_sigma_max(SparseMLP(4096 / m**2), (m, 1, 1), 2 + 512 // m) for m in widths}
    assert list(means.values()) == sorted(means.values())
    for m, (measured, tolerance) in widths.items():
        assert means[m] == pytest.approx(measured, abs=tolerance), m

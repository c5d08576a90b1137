"""Sparse MLPs on the flattened table (2306.01470): forms, costs, training, singular values by width."""

from typing import Any

import pytest
import torch

from searchspaces import Architecture, Stage, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import connections
from searchspaces.diagnostics import sigma_max
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.sparse_mlp import Form, SparseChannelMLP, SparseMLP
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


def test_a_sparse_block_takes_the_multiply_accumulates_of_the_mixer_block_of_its_table() -> None:
    sparse = MetaFormerBlock(SparseMLP(), SparseChannelMLP()).cost(SHAPE)
    mixer = MetaFormerBlock(TokenMLP(1.0), ChannelMLP(1.0)).cost(SHAPE)
    assert sparse.macs == mixer.macs == 4 * connections(20, 6)


LISTS = SparseMLP(form="csr", mask="fan_in")


@pytest.mark.parametrize(
    "spec", [SparseMLP(), LISTS, SparseChannelMLP(density=0.2, mask="bernoulli")], ids=SparseMLP.label
)
def test_training_with_weight_decay_revives_no_zero(spec: Any) -> None:
    torch.manual_seed(0)
    layer, x = spec.build(SHAPE), torch.randn(4, *SHAPE)
    before = [m.detach().to_dense().clone() for m in layer.factors()]
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-2, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
    for old, new in zip(before, layer.factors(), strict=True):
        assert new.to_dense()[old == 0].count_nonzero() == 0
        assert not torch.equal(new.to_dense(), old)


def test_masked_weights_do_not_count() -> None:
    layer, x = SparseMLP().build(SHAPE), torch.randn(4, *SHAPE)
    y = layer(x)
    with torch.no_grad():
        layer.up.weight[~layer.up.mask] = 1e3
    assert torch.equal(layer(x), y)


def test_lists_reach_the_width_at_which_unstructured_sparsity_stops_training() -> None:
    """Omega 2^19 and gamma 2 of 2306.01470: gamma m = 8,192; four dense matrices of a block would be 512 MiB."""
    block = MetaFormerBlock(SparseMLP(expansion=2.0, mask="fan_in"), SparseChannelMLP(expansion=2.0))
    cost = block.cost((64, 8, 8))
    assert cost.macs == cost.macs_executed == 4 * 2**19
    assert cost.parameters == 4 * 2**19 + 2 * (8192 + 4096) + 4 * 64
    assert block.token.build((64, 8, 8))(torch.randn(2, 64, 8, 8)).isfinite().all()


def test_a_random_number_of_connections_is_priced_by_its_expectation() -> None:
    cost = SparseMLP(density=0.2, mask="bernoulli").cost(SHAPE)
    assert (cost.macs, cost.macs_executed) == (2 * round(0.2 * SIZE**2), 2 * SIZE**2)
    with pytest.raises(ValueError, match=r"form = csr needs a fixed number of connections: mask = exact or fan_in"):
        SparseMLP(mask="bernoulli", form="csr")


@pytest.mark.parametrize("form", ["masked", "csr"])
def test_a_checkpoint_restores_the_connections_into_a_network_of_another_seed(form: Form) -> None:
    block = MetaFormerBlock(SparseMLP(form=form), SparseChannelMLP(form=form))
    architecture = Architecture((1, 8, 8), 3, EmbeddingStem(5, 2, 2), (Stage(block, 2),), AverageHead())
    one, other, x = build(architecture, seed=1), build(architecture, seed=2), torch.rand(2, 1, 8, 8)
    assert torch.equal(build(architecture, seed=1)(x), one(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))
    gradients = [torch.autograd.grad(network(x).sum(), list(network.parameters())) for network in (one, other)]
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("arguments", [{"density": 1.5}, {"mask": "fixed"}, {"form": "dense"}, {"expansion": -1.0}])
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

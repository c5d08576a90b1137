"""Figures of mixing layers: cases a person can check, and the measured table of the specification."""

from typing import Any

import pytest
import torch
from torch import Tensor

from searchspaces import Architecture, Stage, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.s_mixer import SMixerBlock
from searchspaces.connections import connections
from searchspaces.diagnostics import mixing_figures, sigma_max
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.pointwise import Pointwise
from searchspaces.operators.sparse_mlp import SparseMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import PatchStem


def test_a_mixer_block_has_the_width_omega_and_density_of_its_split() -> None:
    # S = 16, C = 8, gamma = 2: m = 128, Omega = gamma m S and gamma m C, densities 1/C and 1/S
    block = MetaFormerBlock(TokenMLP(2.0), ChannelMLP(2.0))
    network = build(Architecture((3, 8, 8), 10, PatchStem(8, 2), (Stage(block),), AverageHead()))
    token, channel = mixing_figures(network, (3, 8, 8))
    assert (token.width, token.omega, token.density) == (128, 2 * 128 * 16, pytest.approx(1 / 8))
    assert (channel.width, channel.omega, channel.density) == (128, 2 * 128 * 8, pytest.approx(1 / 16))
    assert len(token.sigma_max) == 2


def test_unshared_blocks_count_one_by_one() -> None:
    layer = TokenMLP(2.0, shared=False).build((8, 4, 4))
    (found,) = mixing_figures(layer, (8, 4, 4))
    assert (found.width, found.omega, found.density) == (128, 2 * 128 * 16, pytest.approx(1 / 8))
    up, down = layer.mlp.factors()
    assert found.sigma_max == tuple(max(map(sigma, blocks)) for blocks in (up, down))


def sigma(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix.detach(), ord=2))


@pytest.mark.parametrize(("gamma", "limit"), [(1, 2.0), (2, 2.41), (4, 3.0)])
def test_i10_the_largest_singular_value_tends_to_one_plus_the_root_of_gamma(gamma: int, limit: float) -> None:
    torch.manual_seed(0)
    assert sigma_max(TokenMLP(gamma).build((2, 20, 20)))[0] == pytest.approx(limit, abs=0.06)


def small(side: int, colours: int, patch: int, channels: int, gamma: float) -> Architecture:
    block = MetaFormerBlock(TokenMLP(gamma), ChannelMLP(gamma))
    stem = EmbeddingStem(channels, patch, patch)
    return Architecture((colours, side, side), 10, stem, (Stage(block, 2),), AverageHead(norm="layer"))


def mean_sigma_max(spec: Any, shape: tuple[int, int, int], draws: int) -> float:
    values = [value for _ in range(draws) for value in sigma_max(spec.build(shape))]
    return sum(values) / len(values)


def test_the_largest_singular_value_of_a_mixer_stays_below_its_limit_at_every_width() -> None:
    torch.manual_seed(0)
    assert mean_sigma_max(TokenMLP(1.0), (16, 4, 4), 50) == pytest.approx(1.70, abs=0.2)  # 1.70 of one draw
    for side in (3, 4, 5, 6):
        assert 1.6 < mean_sigma_max(TokenMLP(1.0), (side**2, side, side), 50) < 2.0


@pytest.mark.parametrize("shape", [(4, 3, 3), (16, 4, 5)], ids=str)  # made dense, and not
def test_connections_in_lists_have_the_figures_of_their_matrix(shape: tuple[int, int, int]) -> None:
    layer = SparseMLP(expansion=2.0, form="csr").build(shape)
    size = shape[0] * shape[1] * shape[2]
    dense = [sigma(matrix.to_dense()) for matrix in layer.factors()]
    assert sigma_max(layer) == pytest.approx(dense, rel=1e-4)
    (found,) = mixing_figures(layer, shape)
    assert (found.width, found.omega) == (size, connections(shape[1] * shape[2], shape[0], 2.0))


def test_sigma_max_names_the_layers_that_it_can_read() -> None:
    with pytest.raises(ValueError, match=r"token, channel, raft or sparse MLP or an S-Mixer, got PointwiseConvolution"):
        sigma_max(Pointwise().build((4, 2, 2)))
    assert len(sigma_max(build(small(8, 1, 2, 16, 1.0)))) == 2 * 4
    assert len(sigma_max(SMixerBlock().build((4, 3, 3)))) == 2

"""Figures of mixing layers by hand."""

import pytest

from searchspaces import Architecture, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.diagnostics import bank_figures, mixing_figures
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.patch import PatchStem


def test_a_mixer_block_has_the_width_omega_and_density_of_its_split() -> None:
    # S = 16, C = 8, gamma = 2: m = 128, Omega = gamma m S and gamma m C, densities 1/C and 1/S
    block = MetaFormerBlock(TokenMLP(2.0), ChannelMLP(2.0))
    network = build(Architecture((3, 8, 8), 10, PatchStem(8, 2), (Stage(block),), AverageHead()))
    token, channel = mixing_figures(network, (3, 8, 8))
    assert (token.width, token.omega, token.density) == (128, 2 * 128 * 16, pytest.approx(1 / 8))
    assert (channel.width, channel.omega, channel.density) == (128, 2 * 128 * 8, pytest.approx(1 / 16))
    assert len(token.sigma_max) == 2


def test_a_frozen_bank_of_equal_filters_has_rank_one_and_is_marked() -> None:
    block = ConvMixerBlock(Depthwise(5, filters="same"), freeze="chans")
    network = build(Architecture((3, 8, 8), 10, PatchStem(8, 2), (Stage(block, 2),), AverageHead()))
    figures = bank_figures(network)
    assert [(f.filters, f.trained, round(f.rank, 6)) for f in figures] == [(8, False, 1.0)] * 2

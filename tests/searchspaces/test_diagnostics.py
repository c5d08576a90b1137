"""Figures of mixing layers: cases a person can check, and the measured table of the specification."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from searchspaces import Architecture, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.s_mixer import SMixerBlock
from searchspaces.diagnostics import (
    bank_figures,
    coverage,
    effective_rank,
    flatness,
    high_frequency_ratio,
    mixing_figures,
    sigma_max,
)
from searchspaces.heads import AverageHead
from searchspaces.layers.filters import filter_bank
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import PatchStem

DIAGNOSTICS: tuple[Callable[[Tensor], float], ...] = (coverage, flatness, high_frequency_ratio, effective_rank)

SIZES = {"3x9": (3, 9), "5x16": (5, 16), "8x32": (8, 32), "8x128": (8, 128)}
"""Side of the filters and their number."""

MEASURED = {
    "random": [(0.99, 0.985, 0.80, 5.8), (1.0, 0.987, 0.80, 11.8), (1.0, 0.989, 0.81, 25.0), (1.0, 0.994, 0.81, 50.1)],
    "impulse": [(1.0, 1.0, 0.81, 5.4), (1.0, 1.0, 0.81, 11.1), (1.0, 1.0, 0.81, 23.1), (1.0, 1.0, 0.81, 47.7)],
    "smooth(0.5)": [
        (0.94, 0.976, 0.72, 5.5),
        (0.98, 0.969, 0.68, 11.2),
        (0.99, 0.965, 0.66, 23.8),
        (1.0, 0.973, 0.66, 45.4),
    ],
    "smooth(1)": [
        (0.57, 0.843, 0.42, 3.1),
        (0.49, 0.721, 0.28, 6.0),
        (0.42, 0.613, 0.19, 12.5),
        (0.49, 0.629, 0.19, 15.4),
    ],
    "smooth(2)": [
        (0.43, 0.783, 0.28, 1.9),
        (0.33, 0.641, 0.13, 3.0),
        (0.26, 0.493, 0.07, 5.2),
        (0.31, 0.520, 0.07, 5.4),
    ],
    "same": [(0.39, 0.867, 0.85, 1.0), (0.37, 0.840, 0.83, 1.0), (0.36, 0.850, 0.79, 1.0), (0.36, 0.850, 0.79, 1.0)],
    "identity": [(1.0, 1.0, 0.81, 1.0)] * 4,
    "box": [(0.21, 0.519, 0.19, 1.0), (0.14, 0.408, 0.15, 1.0), (0.10, None, 0.08, 1.0), (0.10, None, 0.08, 1.0)],
}
"""Coverage, flatness, high-frequency ratio and rank for each of SIZES; box at k=8 has exact zeros, so no flatness."""


def mean(diagnostic: Callable[[Tensor], float], mode: str, kernel: int, number: int) -> float:
    """Mean over ten seeds."""
    banks = (filter_bank(mode, number, kernel, torch.Generator().manual_seed(seed)) for seed in range(10))
    return sum(diagnostic(bank) for bank in banks) / 10


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MEASURED)
def test_the_means_over_ten_seeds_are_those_measured(mode: str, size: str) -> None:
    expected = MEASURED[mode][list(SIZES).index(size)]
    got = [mean(diagnostic, mode, *SIZES[size]) for diagnostic in DIAGNOSTICS]
    assert abs(got[0] - expected[0]) <= 0.03
    assert expected[1] is None or abs(got[1] - expected[1]) <= 0.02
    assert abs(got[2] - expected[2]) <= (0.08 if mode == "same" else 0.03)
    assert abs(got[3] / expected[3] - 1) <= 0.07


@pytest.mark.parametrize("size", SIZES)
def test_random_banks_cover_the_spectrum_with_many_filters_and_smoothing_takes_the_high_frequencies(size: str) -> None:
    kernel, number = SIZES[size]
    assert mean(coverage, "random", kernel, number) > 0.95
    assert mean(effective_rank, "random", kernel, number) > 4 * mean(effective_rank, "same", kernel, number)
    modes = ("random", "smooth(0.5)", "smooth(1)", "smooth(1.5)", "smooth(2)")
    high = [mean(high_frequency_ratio, mode, kernel, number) for mode in modes]
    assert high == sorted(high, reverse=True)
    assert high[2] < 0.6 * high[0]


def test_an_impulse_covers_everything_alone() -> None:
    bank = torch.zeros(4, 5, 5)
    bank[:, 1, 3] = -7.0
    assert coverage(bank) == 1
    assert math.isclose(flatness(bank), 1)
    assert math.isclose(effective_rank(bank), 1, abs_tol=1e-9)
    frequency = [min(i, 32 - i) / 32 for i in range(32)]
    high = sum(u * u + v * v > 1 / 16 for u in frequency for v in frequency)
    assert math.isclose(high_frequency_ratio(bank), high / 1024)
    assert abs(high / 1024 - 0.808) < 0.001


def test_distinct_impulses_have_full_rank() -> None:
    assert math.isclose(effective_rank(torch.eye(9).view(9, 3, 3)), 9)


def test_the_mean_of_three_and_one_equal_filters_has_the_rank_of_its_entropy() -> None:
    bank = torch.eye(9).view(9, 3, 3)[[0, 0, 0, 1]]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert math.isclose(effective_rank(bank), math.exp(entropy))


def test_a_difference_of_neighbours_passes_high_frequencies_and_their_sum_low_ones() -> None:
    difference, total = torch.zeros(2, 1, 2, 2)
    difference[0, 0], total[0, 0] = torch.tensor([1.0, -1.0]), torch.tensor([1.0, 1.0])
    assert high_frequency_ratio(difference) > 0.808 > high_frequency_ratio(total)


@pytest.mark.parametrize("diagnostic", DIAGNOSTICS)
def test_gain_order_and_the_axis_of_one_make_no_difference(diagnostic: Callable[[Tensor], float]) -> None:
    bank = filter_bank("random", 6, 3, torch.Generator().manual_seed(0))
    gains = torch.tensor([0.1, 5.0, -2.0, 1.0, 3.0, 0.5]).view(6, 1, 1)
    assert math.isclose(diagnostic(bank), diagnostic((bank.squeeze(1) * gains).flip(0)), rel_tol=1e-6)


@pytest.mark.parametrize("diagnostic", DIAGNOSTICS)
def test_what_is_no_bank_is_refused(diagnostic: Callable[[Tensor], float]) -> None:
    message = r"a bank must be \(N, 1, k, k\) or \(N, k, k\) .*, got \(4, 2, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        diagnostic(torch.rand(4, 2, 3, 3))
    with pytest.raises(ValueError, match="every filter of a bank must differ from zero"):
        diagnostic(torch.zeros(4, 3, 3))


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


def test_sigma_max_names_the_layers_that_it_can_read() -> None:
    with pytest.raises(ValueError, match=r"token, channel, raft or sparse MLP or an S-Mixer, got PointwiseConvolution"):
        sigma_max(Pointwise().build((4, 2, 2)))
    assert len(sigma_max(build(small(8, 1, 2, 16, 1.0)))) == 2 * 4
    assert len(sigma_max(SMixerBlock().build((4, 3, 3)))) == 2

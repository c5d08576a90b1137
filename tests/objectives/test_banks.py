"""Banks of depthwise filters: cases a person can check, the measured table of the specification, the objectives."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nas.testing.objectives import candidate
from objectives import Candidate
from objectives.banks import (
    EffectiveRank,
    SpectralCoverage,
    bank_figures,
    coverage,
    effective_rank,
    flatness,
    high_frequency_ratio,
)
from searchspaces import Architecture, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.heads import AverageHead
from searchspaces.layers.draws import Words
from searchspaces.layers.filters import filter_bank
from searchspaces.operators.depthwise import Depthwise
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


FAR = {("same", "3x9"), ("smooth(1)", "3x9"), ("smooth(2)", "3x9"), ("smooth(2)", "5x16")}
"""Of few filters: the figures of ten seeds are farther from those of forty."""


def mean(diagnostic: Callable[[Tensor], float], mode: str, kernel: int, number: int) -> float:
    """Mean over forty seeds."""
    banks = (filter_bank(mode, number, kernel, Words(seed)) for seed in range(40))
    return sum(diagnostic(bank) for bank in banks) / 40


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MEASURED)
def test_the_means_over_many_seeds_are_those_measured_of_ten(mode: str, size: str) -> None:
    expected = MEASURED[mode][list(SIZES).index(size)]
    got = [mean(diagnostic, mode, *SIZES[size]) for diagnostic in DIAGNOSTICS]
    far = (mode, size) in FAR
    assert abs(got[0] - expected[0]) <= (0.04 if far else 0.03)
    assert expected[1] is None or abs(got[1] - expected[1]) <= (0.04 if far else 0.02)
    assert abs(got[2] - expected[2]) <= (0.08 if mode == "same" else 0.03)
    assert abs(got[3] / expected[3] - 1) <= (0.09 if far else 0.07)


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
    bank = filter_bank("random", 6, 3, Words(0))
    gains = torch.tensor([0.1, 5.0, -2.0, 1.0, 3.0, 0.5]).view(6, 1, 1)
    assert math.isclose(diagnostic(bank), diagnostic((bank.squeeze(1) * gains).flip(0)), rel_tol=1e-6)


@pytest.mark.parametrize("diagnostic", DIAGNOSTICS)
def test_what_is_no_bank_is_refused(diagnostic: Callable[[Tensor], float]) -> None:
    message = r"a bank must be \(N, 1, k, k\) or \(N, k, k\) .*, got \(4, 2, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        diagnostic(torch.rand(4, 2, 3, 3))
    with pytest.raises(ValueError, match="every filter of a bank must differ from zero"):
        diagnostic(torch.zeros(4, 3, 3))


def test_a_frozen_bank_of_equal_filters_has_rank_one_and_is_marked() -> None:
    block = ConvMixerBlock(Depthwise(5, filters="same"), freeze="chans")
    network = build(Architecture((3, 8, 8), 10, PatchStem(8, 2), (Stage(block, 2),), AverageHead()))
    figures = bank_figures(network)
    assert [(f.filters, f.trained, round(f.rank, 6)) for f in figures] == [(8, False, 1.0)] * 2


def test_the_objectives_are_means_over_the_frozen_banks_alone() -> None:
    network = nn.Sequential(*(nn.Conv2d(9, 9, 3, groups=9, bias=False) for _ in range(3)))
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(9).view(9, 1, 3, 3))  # rank 9, flat
        network[1].weight.copy_(torch.full((9, 1, 3, 3), 1.0))  # rank 1, boxes
        network[2].weight.copy_(torch.full((9, 1, 3, 3), 1.0))
    network[:2].requires_grad_(False)
    one = Candidate(network, (9, 9, 9))
    box = coverage(torch.ones(1, 3, 3))
    assert EffectiveRank().measure(one) == pytest.approx(5)
    assert SpectralCoverage().measure(one) == pytest.approx((1 + box) / 2)
    assert EffectiveRank().settings(one) == {"banks": 2, "frozen": True}


def test_without_a_frozen_bank_those_that_train_are_measured_as_they_start() -> None:
    one = candidate(EffectiveRank)
    one.model.requires_grad_(True)
    assert EffectiveRank().settings(one) == {"banks": 2, "frozen": False}


def test_a_network_without_banks_has_the_figures_of_an_identity_and_says_so() -> None:
    one = Candidate(nn.Linear(2, 2), (1, 1, 2))
    assert (SpectralCoverage().measure(one), EffectiveRank().measure(one)) == (1.0, 1.0)
    assert EffectiveRank().measure(one).flags == ("no_filter_bank",)

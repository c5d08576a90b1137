"""Filter banks: the filters of each mode, and how they act in a depthwise convolution."""

import math

import pytest
import torch
from torch import Tensor, nn

from searchspaces.layers.draws import Words
from searchspaces.layers.filters import FILTER_MODES, filter_bank, parse_filters
from searchspaces.operators.depthwise import Depthwise

NUMBERS = {"smooth": 1.0, "heads": 4.0, "taps": 3.0, "gauss": 1.0}
"""Modes that take a number, with the number used here."""


def written(name: str) -> str:
    return f"{name}({NUMBERS[name]:g})" if name in NUMBERS else name


def bank(mode: str, channels: int = 16, kernel: int = 3, *, seed: int = 0, multiplier: int = 1) -> Tensor:
    """(channels * multiplier, kernel, kernel)"""
    return filter_bank(mode, channels, kernel, Words(seed), multiplier=multiplier).squeeze(1)


def high_frequency_share(filters: Tensor) -> float:
    """Share of the energy at radial frequencies above 1/4 cycle per pixel, spectra taken on a 32x32 grid."""
    energy = torch.fft.fft2(filters.double(), s=(32, 32)).abs().square().mean(0)
    frequency = torch.fft.fftfreq(32, dtype=torch.float64)
    high = frequency[:, None].square() + frequency.square() > 0.25**2
    return float(energy[high].sum() / energy.sum())


@pytest.mark.parametrize("kernel", [1, 2, 3, 8])
@pytest.mark.parametrize("name", FILTER_MODES)
def test_every_filter_of_every_mode_has_the_norm_of_a_random_one(name: str, kernel: int) -> None:
    multiplier = kernel**2 if name == "orthogonal" else 2
    filters = filter_bank(written(name), 6, kernel, Words(0), multiplier=multiplier)
    assert filters.shape == (6 * multiplier, 1, kernel, kernel)
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), torch.full((6 * multiplier,), math.sqrt(1 / 3)))


@pytest.mark.parametrize("name", FILTER_MODES)
def test_the_same_seed_gives_the_same_bank(name: str) -> None:
    banks = [bank(written(name), multiplier=9, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(banks[0], banks[1])
    assert torch.equal(banks[0], banks[2]) == (name in ("box", "identity"))


def test_random_is_uniform_up_to_one_over_the_kernel() -> None:
    taps = bank("random", channels=64, kernel=31) * 31  # large filters: the scaling to the norm is within 5 %
    assert 0.95 < taps.max() < 1.05
    assert -1.05 < taps.min() < -0.95
    inner = (taps.abs() < 0.5).double().mean()
    assert abs(inner - 0.5) < 0.01


def test_normal_is_gaussian_with_the_variance_of_random() -> None:
    taps = bank("normal", channels=64, kernel=31) * 31 * math.sqrt(3)
    assert abs(taps.std() - 1) < 0.01
    within_one_sigma = (taps.abs() < 1).double().mean()
    assert abs(within_one_sigma - 0.683) < 0.01


def test_random_filters_of_different_channels_differ() -> None:
    assert len(torch.unique(bank("random"), dim=0)) == 16
    assert torch.linalg.matrix_rank(bank("random").flatten(1)) == 9


def test_same_is_one_filter_for_all_channels_and_multipliers() -> None:
    assert len(torch.unique(bank("same", multiplier=3), dim=0)) == 1


def test_same_per_multiplier_repeats_its_filters_in_every_channel() -> None:
    filters = bank("same_per_multiplier", channels=5, multiplier=3).view(5, 3, 3, 3)
    assert len(torch.unique(filters[0], dim=0)) == 3
    assert torch.equal(filters, filters[:1].expand_as(filters))


@pytest.mark.parametrize(("kernel", "centre"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (8, 3)])
def test_identity_is_one_tap_at_the_centre(kernel: int, centre: int) -> None:
    filters = bank("identity", kernel=kernel)
    assert (filters != 0).flatten(1).sum(1).eq(1).all()
    assert filters[:, centre, centre].eq(math.sqrt(1 / 3)).all()


def test_impulse_is_one_tap_anywhere() -> None:
    filters = bank("impulse", channels=500)
    assert (filters != 0).flatten(1).sum(1).eq(1).all()
    hits = (filters > 0).sum(0)
    assert hits.min() > 500 / 9 / 2


def test_box_is_the_mean_of_its_pixels_up_to_the_norm() -> None:
    torch.testing.assert_close(bank("box", kernel=4), torch.full((16, 4, 4), math.sqrt(1 / 3) / 4))


@pytest.mark.parametrize(("sigma", "radius"), [(1, 3), (1.5, 5), (2, 6)])
def test_smooth_is_the_random_filter_under_a_gaussian_cut_at_three_sigma(sigma: float, radius: int) -> None:
    distance = (torch.arange(8.0)[:, None] - torch.arange(8.0)).abs()
    gaussian = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance <= radius)
    expected = gaussian @ bank("random", kernel=8) @ gaussian
    expected *= math.sqrt(1 / 3) / expected.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(bank(f"smooth({sigma})", kernel=8), expected)


@pytest.mark.parametrize("kernel", [3, 5, 8])
def test_smoothing_lowers_high_frequencies_the_more_the_larger_sigma(kernel: int) -> None:
    modes = ["random", "smooth(0.5)", "smooth(1)", "smooth(1.5)", "smooth(2)"]
    shares = [high_frequency_share(bank(mode, channels=128, kernel=kernel)) for mode in modes]
    assert shares == sorted(shares, reverse=True)
    assert shares[2] < 0.6 * shares[0]


@pytest.mark.parametrize(("mode", "distinct"), [("heads(1)", 1), ("heads(4)", 4), ("heads(16)", 16), ("heads(99)", 16)])
def test_heads_reuses_so_many_filters(mode: str, distinct: int) -> None:
    filters, counts = torch.unique(bank(mode), dim=0, return_counts=True)
    assert len(filters) == distinct
    assert counts.eq(16 // distinct).all()


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_orthogonal_filters_of_a_channel_are_a_basis(kernel: int) -> None:
    taps = kernel**2
    filters = bank("orthogonal", channels=4, kernel=kernel, multiplier=taps).view(4, taps, taps)
    torch.testing.assert_close(filters @ filters.mT, (torch.eye(taps) / 3).expand(4, taps, taps), atol=1e-6, rtol=0)


def test_orthogonal_filters_differ_between_channels() -> None:
    filters = bank("orthogonal", channels=4, multiplier=9).view(4, 81)
    assert len(torch.unique(filters, dim=0)) == 4


def test_orthogonal_needs_as_many_filters_as_taps() -> None:
    with pytest.raises(ValueError, match=r"orthogonal filters need multiplier = kernel\^2 = 9, got 4"):
        bank("orthogonal", multiplier=4)


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 8, 9])
def test_an_identity_bank_scales_its_input_and_moves_nothing(kernel: int, dilation: int) -> None:
    layer = Depthwise(kernel, dilation, "identity").build((4, 7, 11))
    nn.init.zeros_(layer.conv.bias)
    x = torch.randn(2, 4, 7, 11)
    torch.testing.assert_close(layer(x), math.sqrt(1 / 3) * x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("kernel", [2, 3, 8])
def test_padding_is_that_of_the_published_same_convolution(kernel: int) -> None:
    layer = Depthwise(kernel).build((4, 9, 12))
    published = nn.Conv2d(4, 4, kernel, groups=4, padding="same")
    published.load_state_dict(layer.conv.state_dict())
    x = torch.randn(2, 4, 9, 12)
    torch.testing.assert_close(layer(x), published(x))


def test_a_box_bank_with_dilation_averages_the_pixels_it_names() -> None:
    layer = Depthwise(3, 2, "box").build((1, 5, 5))
    nn.init.zeros_(layer.conv.bias)
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1
    reached = layer(x)[0, 0] > 0.1
    assert reached.nonzero().tolist() == [[i, j] for i in (0, 2, 4) for j in (0, 2, 4)]


@pytest.mark.parametrize(
    ("mode", "parsed"),
    [("random", ("random", None)), ("smooth(1.5)", ("smooth", 1.5)), ("heads(4)", ("heads", 4.0))],
)
def test_a_mode_is_a_name_and_perhaps_a_number(mode: str, parsed: tuple[str, float | None]) -> None:
    assert parse_filters(mode) == parsed


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("idendity", r"unknown filter mode 'idendity'\. Did you mean 'identity'\? Known: box, gauss, heads, identity"),
        ("smoth(1)", r"unknown filter mode 'smoth'\. Did you mean 'smooth'\?"),
        ("smooth(-1)", r"filter mode 'smooth' takes a positive number, as in smooth\(1\), got 'smooth\(-1\)'\."),
        ("", r"unknown filter mode ''\. Known:"),
        ("smooth", r"filter mode 'smooth' takes a positive number, as in smooth\(1\), got 'smooth'\."),
        ("heads", r"filter mode 'heads' takes a positive number, as in heads\(1\), got 'heads'\."),
        ("smooth(0)", r"'smooth' takes a positive number, as in smooth\(1\), got 'smooth\(0\)'\."),
        ("box(2)", r"filter mode 'box' takes no number, got 'box\(2\)'\."),
    ],
)
def test_a_wrong_mode_is_answered_with_what_is_meant(mode: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_filters(mode)
    with pytest.raises(ValueError, match=message):
        Depthwise(filters=mode)


def test_taps_are_so_many_equal_ones_at_places_of_their_own() -> None:
    bank = filter_bank("taps(3)", 200, 5, Words(0)).flatten(1)
    assert ((bank > 0).sum(1) == 3).all()
    assert torch.allclose(bank[bank > 0], torch.tensor((1 / 3) ** 0.5 / 3**0.5))
    assert ((bank > 0).float().mean(0) > 0.03).all()


def test_a_gauss_has_its_peak_anywhere_and_falls_off_by_its_sigma() -> None:
    bank = filter_bank("gauss(1)", 200, 5, Words(0)).squeeze(1)
    assert len(set(bank.flatten(1).argmax(1).tolist())) == 25
    centred = next(f for f in bank if f.flatten().argmax() == 12)
    assert (centred[2, 3] / centred[2, 2]).item() == pytest.approx(math.exp(-0.5), rel=1e-5)
    assert (centred[2, 4] / centred[2, 2]).item() == pytest.approx(math.exp(-2.0), rel=1e-5)


@pytest.mark.parametrize("mode", ["heads(0.5)", "heads(1.5)"])
def test_heads_are_counted_in_whole_numbers(mode: str) -> None:
    with pytest.raises(ValueError, match="whole"):
        parse_filters(mode)


@pytest.mark.parametrize("mode", ["smooth(1.2.3)", "smooth(.)"])
def test_a_number_that_is_none_is_told(mode: str) -> None:
    with pytest.raises(ValueError, match="filter mode"):
        parse_filters(mode)


@pytest.mark.parametrize("mode", ["smooth(0.00001)", "heads(1000000)", "smooth(1.23456789)"])
def test_the_canonical_form_of_a_filter_mode_keeps_its_number(mode: str) -> None:
    canonical = Depthwise(filters=mode).canonical()
    assert parse_filters(canonical.filters) == parse_filters(mode)


@pytest.mark.parametrize("mode", ["orthogonal"])
def test_filters_that_a_bank_with_one_filter_per_channel_cannot_hold_are_refused_at_once(mode: str) -> None:
    with pytest.raises(ValueError, match="orthogonal"):
        Depthwise(filters=mode)


@pytest.mark.parametrize(("mode", "norm"), [("box", 1 / 5), ("identity", 1.0), ("impulse", 1.0), ("taps(4)", 1 / 2)])
def test_filters_that_keep_their_own_scale_have_the_norm_of_their_definition(mode: str, norm: float) -> None:
    bank = filter_bank(mode, 6, 5, Words(0), norm_match=False)
    assert bank.flatten(1).norm(dim=1).tolist() == pytest.approx([norm] * 6)


def test_a_smoothed_filter_of_its_own_scale_has_the_norm_from_before_the_blur() -> None:
    sharp, smooth = (filter_bank(mode, 6, 5, Words(0), norm_match=False) for mode in ("random", "smooth(1)"))
    assert smooth.flatten(1).norm(dim=1).tolist() == pytest.approx(sharp.flatten(1).norm(dim=1).tolist())

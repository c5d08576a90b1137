"""Dynamic spectrum mixer: its transforms and bands, its equation, published counts."""

import pytest
import torch
import torch.nn.functional as F
from matrices import close, eye, lively, random

from searchspaces.architecture import Shape
from searchspaces.operators.dsm import Equaliser, Gains, SpectrumMixer, band_of, cosines


@pytest.mark.parametrize("length", [1, 2, 7, 14, 49, 256])
def test_the_cosine_transform_is_orthonormal(length: int) -> None:
    close(cosines(length) @ cosines(length).T, eye(length))
    close(cosines(length)[0], torch.full((length,), length**-0.5, dtype=torch.float64))


def test_bands_follow_the_diagonals_or_the_distance_from_zero() -> None:
    assert band_of(3, 3, 9, "zigzag").view(3, 3).tolist() == [[0, 1, 5], [2, 4, 6], [3, 7, 8]]
    assert band_of(2, 3, 6, "radial").view(2, 3).tolist() == [[0, 1, 4], [2, 3, 5]]
    assert band_of(5, 7, 4, "zigzag").bincount().tolist() == [9, 9, 9, 8]


@pytest.mark.parametrize("gate", ["softmax", "sigmoid", "tanh"])
@pytest.mark.parametrize("static", [False, True])
def test_the_mixer_is_its_equation(gate: Gains, static: bool) -> None:
    shape = (6, 3, 5)
    torch.set_default_dtype(torch.float64)
    try:
        mixer, x = lively(SpectrumMixer(4, gate=gate, static=static).build(shape)), random(2, *shape)
    finally:
        torch.set_default_dtype(torch.float32)
    assert isinstance(mixer, Equaliser)
    spectrum = cosines(3) @ x @ cosines(5).T
    bands = band_of(3, 5, 4, "zigzag")
    means = torch.stack([spectrum.flatten(2)[..., bands == k].mean(-1) for k in range(4)], -1)
    scores = mixer.scores if static else mixer.maps(mixer.norm(means))
    gains = {"softmax": 4 * scores.softmax(-1), "sigmoid": scores.sigmoid(), "tanh": 1 + scores.tanh()}[gate]
    factors = gains[..., bands].view(-1, gains.shape[1], 3, 5)
    close(mixer(x), cosines(3).T @ (spectrum * factors) @ cosines(5))


def test_static_gains_start_at_one() -> None:
    mixer, x = SpectrumMixer(static=True).build((4, 8, 8)), torch.randn(2, 4, 8, 8)
    assert (mixer(x) - x).abs().max() < 1e-5


def test_under_automatic_casts_it_stays_within_a_hundredth() -> None:
    torch.manual_seed(0)
    mixer, x = SpectrumMixer().build((8, 14, 14)), torch.randn(2, 8, 14, 14)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixer(x)
    assert F.mse_loss(found.float(), mixer(x)) ** 0.5 < 1e-2 * mixer(x).std()


@pytest.mark.parametrize(("shape", "macs"), [((64, 16, 16), 1.18), ((96, 14, 14), 1.25), ((256, 8, 8), 1.05)], ids=str)
def test_counts_are_the_published_ones(shape: Shape, macs: float) -> None:
    (channels, height, width), cost = shape, SpectrumMixer().cost(shape)
    size, bands = channels * height * width, 2 * channels * height * width * 16
    assert cost.parameters == 2_160
    assert cost.macs == 2 * channels * 16 * 64
    assert cost.transform_macs - bands == 2 * size * (height + width)
    assert round((cost.macs + cost.transform_macs - bands) / 1e6, 2) == macs


def test_more_bands_than_frequencies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bands must be at most the positions, got bands=16 for input \(8, 3, 5\)\."):
        SpectrumMixer(16).build((8, 3, 5))
    assert SpectrumMixer().count((8, 3, 5)) == 15

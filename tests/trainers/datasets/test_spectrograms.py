"""Generated spectrograms: the same every time, and separable as their classes say."""

import numpy as np
import pytest

from trainers.datasets.spectrograms import Spectrograms


@pytest.mark.parametrize("location", ["", "freq", "time", "time,64x128"])
def test_spectrograms_are_the_same_every_time_with_equal_classes(location: str) -> None:
    data = Spectrograms.of(location)
    for split, number in (("train", 2_000), ("test", 500)):
        samples = data.load(split)
        assert np.array_equal(samples.images, data.load(split).images)
        assert samples.images.shape == (number, 1, *((64, 128) if "64x128" in location else (32, 32)))
        assert np.bincount(samples.labels).tolist() == [number // 4] * 4
    assert data.found() == "generated"


def test_harmonics_stand_at_the_spacing_of_their_class() -> None:
    """The strongest period of the mean spectrum over many images of a class, found by its cosine transform."""
    samples = Spectrograms.of("freq,64x32").load("train")
    spectra = samples.images[:, 0].astype(np.float64).mean(-1)
    spectra -= spectra.mean(1, keepdims=True)
    periods = np.array([5.0, 5.5, 6.0, 6.5])
    waves = np.exp(-2j * np.pi * np.arange(64) / periods[:, None])
    found = np.abs(spectra @ waves.T).argmax(1)
    assert (found == samples.labels).mean() > 0.9


def test_bursts_stand_in_the_order_and_at_the_gap_of_their_class() -> None:
    samples = Spectrograms.of("time").load("test")
    power = np.exp(samples.images[:, 0] / 255 * np.log(2_000)) ** 4  # the fourth power, or the noise weighs too
    upper, lower = power[:, 16:].sum(1), power[:, :16].sum(1)
    when = [(band * np.arange(32)).sum(1) / band.sum(1) for band in (lower, upper)]
    order, gap = when[0] > when[1], np.abs(when[0] - when[1]) > 10
    assert (2 * order + gap == samples.labels).mean() > 0.9


@pytest.mark.parametrize(
    ("shorthand", "message"),
    [
        ("speech", "spectrograms has no 'speech'. Expected time or freq, or one with its mel bins and frames, 16"),
        ("freq,32", "spectrograms has no 'freq,32'. Expected time or freq"),
        ("time,8x32", "mel must be from 16 to 512, got 8"),
        ("time,32x1024", "frames must be from 16 to 512, got 1024"),
    ],
)
def test_a_task_or_size_that_does_not_exist_is_answered_with_those_that_do(shorthand: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Spectrograms.of(shorthand)

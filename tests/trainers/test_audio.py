"""The front end of sound: what it shows of sines, and that it agrees with the formula and with librosa."""

import math
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainers.audio import LogMel, mel_filters, read_wave, resampled
from trainers.datasets.fsdd import Fsdd
from trainers.datasets.ravdess import Ravdess
from trainers.datasets.speech_commands import SpeechCommands
from trainers.datasets.urbansound8k import UrbanSound8K

SMALL = LogMel(8_000, 40, 32)
"""256 points of the transform, windows of 200 samples every 80."""


def sine(hertz: float, rate: int, seconds: float = 1.0, amplitude: float = 1.0) -> np.ndarray:
    wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return wave.astype(np.float32)


def noise(samples: int, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, samples).astype(np.float32)


def centres(rate: int, mel: int) -> np.ndarray:
    """Where the filters peak, in Hz."""
    low, high = (1127 * math.log(1 + hertz / 700) for hertz in (20, rate / 2))
    return np.array([700 * (math.exp((low + (high - low) * k / (mel + 1)) / 1127) - 1) for k in range(1, mel + 1)])


def decibels(front_end: LogMel, wave: np.ndarray) -> np.ndarray:
    return front_end([wave])[0, 0].astype(np.float64) * 100 - 100


# The transform


@pytest.mark.parametrize("hertz", [150, 440, 1000, 2345, 3700])
@pytest.mark.parametrize(("rate", "mel"), [(8_000, 40), (8_000, 64), (16_000, 64), (16_000, 128)])
def test_a_sine_is_brightest_in_the_filter_nearest_to_it(hertz: float, rate: int, mel: int) -> None:
    picture = LogMel(rate, mel, 32)([sine(hertz, rate)])[0, 0]
    nearest = np.abs(centres(rate, mel) - hertz).argmin()
    assert set(np.abs(picture.argmax(0) - nearest)) <= {0, 1}


def test_a_sine_at_full_scale_has_zero_decibels_in_all_filters_together() -> None:
    for rate, mel, hertz in ((8_000, 40, 1000), (8_000, 64, 1000), (16_000, 128, 3000), (22_050, 64, 5000)):
        power = 10 ** (decibels(LogMel(rate, mel, 16), sine(hertz, rate)) / 10)
        np.testing.assert_allclose(10 * np.log10(power.sum(0)), 0, atol=0.05)


def test_twenty_decibels_are_a_fifth_of_the_range() -> None:
    loud, soft = SMALL([noise(8_000, level=0.1), noise(8_000, level=0.01)])
    np.testing.assert_allclose(loud - soft, 0.2, atol=1e-5)


def test_spectrograms_equal_the_formula() -> None:
    """Windows cut out one by one, a transform written as a sum, triangles drawn through their corners."""
    wave, n_fft = noise(8_000).astype(np.float64), SMALL.n_fft
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    bins = np.arange(n_fft // 2 + 1)
    waves_of_bins = np.exp(-2j * np.pi * bins[:, None] * np.arange(200) / n_fft)
    spectrum = np.stack([waves_of_bins @ (window * wave[80 * t : 80 * t + 200]) for t in range(32)], axis=1)
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (20, 4_000))
    corners = [700 * (10 ** ((low + (high - low) * k / 41) / 2595) - 1) for k in range(42)]
    filters = np.stack([np.interp(bins * 8_000 / n_fft, corners[k : k + 3], [0, 1, 0]) for k in range(40)])
    power = filters @ np.abs(spectrum) ** 2 * 4 / (n_fft * (window**2).sum())
    np.testing.assert_allclose(decibels(SMALL, wave.astype(np.float32)), 10 * np.log10(power), atol=2e-4)


def test_spectrograms_equal_those_of_librosa() -> None:
    """librosa 0.11: melspectrogram(n_mels=40, fmin=20, htk=True, norm=None, center=False) of a rising tone."""
    t = np.arange(8_000) / 8_000
    wave = (0.5 * np.sin(2 * np.pi * (200 * t + 900 * t**2))).astype(np.float32)
    librosa = {
        (0, 0): 0.006143307778984308,
        (4, 10): 0.007528024259954691,
        (10, 30): 0.0012129029491916299,
        (20, 60): 13.440570831298828,
        (25, 90): 0.29596608877182007,
    }
    ours = decibels(LogMel(8_000, 40, 98), wave)
    scale = 4 / (256 * 200 * 3 / 8)  # the squares of a Hann window have the mean 3/8
    for (row, column), power in librosa.items():
        assert ours[row, column] == pytest.approx(10 * math.log10(power * scale), abs=1e-3)


def test_clips_come_out_the_same_alone_and_in_a_batch() -> None:
    waves = [noise(length, seed) for seed, length in enumerate((100, 2_000, 2_680, 9_000))]
    together = SMALL(waves)
    assert together.shape == (4, 1, 40, 32)
    assert together.dtype == np.float32
    for wave, picture in zip(waves, together, strict=True):
        np.testing.assert_allclose(SMALL([wave])[0], picture, atol=1e-6)


def test_what_is_too_short_is_followed_by_silence() -> None:
    picture = SMALL([noise(800)])[0, 0]
    assert picture[:, :9].min() > 0.3  # sample 799 is in the windows that begin at 640 and at 720
    assert (picture[:, 10:] == 0).all()


def test_what_is_too_long_is_cut_at_the_end() -> None:
    wave = noise(8_000)
    np.testing.assert_allclose(SMALL([wave]), SMALL([wave[: SMALL.samples]]), atol=1e-6)
    np.testing.assert_allclose(SMALL([wave])[..., :20], LogMel(8_000, 40, 20)([wave]), atol=1e-6)


def test_pixels_stay_in_their_range() -> None:
    silence, square, faint = SMALL([np.zeros(8_000, np.float32), np.sign(sine(1000, 8_000)), noise(8_000, level=1e-9)])
    assert (silence == 0).all()
    assert (faint == 0).all()
    assert 0.97 < square.max() <= 1


# Filters


def test_filters_are_triangles_that_meet() -> None:
    filters = mel_filters(16_000, 4096, 64)
    hertz = np.arange(2049) * 16_000 / 4096
    inside = (hertz >= centres(16_000, 64)[0]) & (hertz <= centres(16_000, 64)[-1])
    np.testing.assert_allclose(filters[:, inside].sum(0), 1)
    assert filters.max() <= 1
    np.testing.assert_allclose(hertz[filters.argmax(1)], centres(16_000, 64), atol=16_000 / 4096)


@pytest.mark.parametrize(
    ("front_end", "n_fft"),
    [
        (Fsdd.front_end, 512),
        (SpeechCommands.front_end, 1024),
        (UrbanSound8K.front_end, 1024),
        (Ravdess.front_end, 1024),
        (SMALL, 256),
        (LogMel(16_000, 128, 128), 1024),
        (LogMel(8_000, 128, 64), 1024),
    ],
)
def test_the_transform_is_long_enough_for_every_filter(front_end: LogMel, n_fft: int) -> None:
    assert front_end.n_fft == n_fft
    assert front_end.filters.max(1).min() >= 0.5
    shorter = mel_filters(front_end.rate, n_fft // 2, front_end.mel)
    assert n_fft // 2 < front_end.window or shorter.max(1).min() < 0.5


@pytest.mark.parametrize(
    ("rate", "mel", "frames", "message"),
    [
        (8_000, 200, 64, r"200 mel bins are too many for 8000 Hz: .* Take fewer mel bins or a higher rate\."),
        (500, 64, 64, r"sample rate must be from 1000 to 192000 Hz, got 500"),
        (8_000, 4, 64, r"mel bins and frames must be from 8 to 2048, got 4x64"),
        (8_000, 64, 5_000, r"mel bins and frames must be from 8 to 2048, got 64x5000"),
    ],
)
def test_a_front_end_that_cannot_be_is_told(rate: int, mel: int, frames: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(rate, mel, frames)


# Reading


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_a_sine_of_another_rate_is_the_same_sine(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", sine(440, rate, amplitude=0.5), rate, subtype="FLOAT")
    wave = read_wave(tmp_path / "a.wav", LogMel(16_000, 64, 90))
    assert wave.dtype == np.float32
    assert len(wave) == 400 + 89 * 160
    np.testing.assert_allclose(wave[200:], sine(440, 16_000, amplitude=0.5)[200 : len(wave)], atol=2e-3)


def test_cutting_before_resampling_changes_nothing() -> None:
    wave = noise(48_000)
    whole = resampled(wave, 48_000, 16_000, 16_000)
    assert np.array_equal(resampled(wave, 48_000, 16_000, 5_000), whole[:5_000])


def test_channels_are_mixed_and_the_mean_is_subtracted(tmp_path: Path) -> None:
    left, right = noise(8_000, 1) + np.float32(0.25), noise(8_000, 2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 8_000, subtype="FLOAT")
    mono = (left + right) / 2
    np.testing.assert_allclose(
        read_wave(tmp_path / "a.wav", LogMel(8_000, 40, 98)), (mono - mono.mean())[:7_960], atol=1e-6
    )


def test_bytes_are_read_like_the_file(tmp_path: Path, sound: Callable[..., Path]) -> None:
    file = sound(tmp_path / "a.wav")
    assert np.array_equal(read_wave(file, SMALL), read_wave(file.read_bytes(), SMALL))


def headed(content: bytes, riff: int, data: int) -> bytes:
    """A WAV file with other lengths in its header."""
    place = content.index(b"data") + 4
    return content[:4] + struct.pack("<I", riff) + content[8:place] + struct.pack("<I", data) + content[place + 4 :]


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000), (0x80000024, 0x80000000), (0x7FFFFFFF, 0x7FFFFFDB),
        (0, 0), (36, 0), (0x7FFFF024, 0),
    ],
)  # fmt: skip
def test_a_stream_that_was_never_closed_is_read(
    tmp_path: Path, sound: Callable[..., Path], riff: int, data: int
) -> None:
    content = sound(tmp_path / "a.wav").read_bytes()
    whole, stream = read_wave(content, SMALL), headed(content, riff, data)
    (tmp_path / "b.wav").write_bytes(stream)
    assert np.array_equal(read_wave(stream, SMALL), whole)
    assert np.array_equal(read_wave(tmp_path / "b.wav", SMALL), whole)


def test_a_header_that_counts_itself_is_read(tmp_path: Path, sound: Callable[..., Path]) -> None:
    content = sound(tmp_path / "a.wav").read_bytes()
    counted = content[:4] + struct.pack("<I", len(content)) + content[8:]  # instead of 8 less
    assert np.array_equal(read_wave(counted, SMALL), read_wave(content, SMALL))


def test_a_flac_stream_that_was_never_closed_is_refused_with_the_reason(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", noise(8_000), 8_000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # 36 bits: the number of samples
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(ValueError, match=r"^its header does not say how long it is, as where a pipe was written"):
        read_wave(tmp_path / "a.flac", SMALL)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_wav_that_is_cut_off_is_refused(tmp_path: Path, sound: Callable[..., Path], keep: float) -> None:
    content = sound(tmp_path / "a.wav").read_bytes()
    size = int(keep * len(content))
    with pytest.raises(ValueError, match=rf"it is truncated: {size} bytes of {len(content)}"):
        read_wave(content[:size], SMALL)


@pytest.mark.parametrize(
    ("samples", "message"),
    [(np.zeros(0), "it holds no sound"), (np.array([0.1, np.nan, 0.2]), "it holds values that are not numbers")],
)
def test_a_sound_of_nothing_or_of_no_numbers_is_refused(tmp_path: Path, samples: np.ndarray, message: str) -> None:
    soundfile.write(tmp_path / "a.wav", samples, 8_000, subtype="FLOAT")
    with pytest.raises(ValueError, match=message):
        read_wave(tmp_path / "a.wav", SMALL)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"<html>not found</html>" * 100])
def test_what_is_no_sound_is_refused_with_the_reason_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    for source in (tmp_path / "a.wav", content):
        with pytest.raises(ValueError, match=r"^Format not recognised$"):
            read_wave(source, SMALL)


def test_without_soundfile_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    message = r"sound files are read with soundfile\. Install it: pip install 'mixing-nas\[audio\]'\."
    with pytest.raises(ValueError, match=message):
        read_wave(tmp_path / "a.wav", SMALL)

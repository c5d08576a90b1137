"""Generated log-mel-like spectrograms, (1, mel, frames), for two tasks of four classes: 2,000 to train, 500 to test.

``freq``: stacks of steady harmonics whose spacing is 5, 5.5, 6 or 6.5 bins, at a random height, some partials missing.
``time``: two tone bursts, the low or the high one first, a short or a long gap apart. Loudness, length and place vary;
noise covers everything. Rows are mel bins, low ones first; columns are frames. Made from a fixed seed: everybody gets
the same images.

``spectrograms``, ``spectrograms:time`` or ``spectrograms:freq``; with a size, ``spectrograms:time,64x128``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.dataset import Dataset, check_range, dataset
from trainers.samples import Samples, Split

SPACINGS = (5.0, 5.5, 6.0, 6.5)
"""Distance of neighbouring harmonics in bins, by class of ``freq``."""
NUMBERS: dict[Split, int] = {"train": 2_000, "test": 500}
LEAST, MOST = 16, 512
"""Mel bins and frames that a spectrogram can have."""
FLOOR, LEVELS = 1e-3, 255
"""Power of silence, which becomes black; power 2 becomes white."""


@dataset("spectrograms")
@dataclass(frozen=True)
class Spectrograms(Dataset):
    """The synthetic tasks on which ASM-RH (2402.18007) is tried out; chance is 0.25.

    Args:
        task: ``freq`` or ``time``.
        mel: mel bins.
        frames: columns.
    """

    task: str = "freq"
    mel: int = 32
    frames: int = 32

    example = "spectrograms:time,64x128"
    sized = ("mel", "frames")
    shift = 1
    epsilon = "4/255"
    origin = "They are generated: nothing is downloaded."

    def __post_init__(self) -> None:
        if self.location or self.task not in ("time", "freq"):
            raise ValueError(
                f"spectrograms has no {self.location or self.task!r}. Expected time or freq, or one with its mel bins "
                f"and frames, {LEAST} to {MOST} each, as in {self.example}."
            )
        check_range("mel", self.mel, LEAST, MOST)
        check_range("frames", self.frames, LEAST, MOST)

    @classmethod
    def shorthand(cls, text: str) -> dict[str, Any]:
        options = super().shorthand(text)
        return {"task": options.pop("location"), **options} if "location" in options else options

    def classes(self) -> tuple[str, ...]:
        if self.task == "freq":
            return tuple(f"spacing {spacing:g}" for spacing in SPACINGS)
        return ("low high short", "low high long", "high low short", "high low long")

    def found(self) -> str | None:
        return "generated"

    def load(self, split: Split, limit: int | None = None) -> Samples:
        # Lists of numbers seed streams that have nothing to do with each other.
        random = np.random.default_rng([2402, 18007, split == "test"])
        labels = random.permutation(np.arange(NUMBERS[split]) % 4).astype(np.int64)
        power = (_harmonics if self.task == "freq" else _bursts)(labels, self.mel, self.frames, random)
        power += 0.02 * random.standard_exponential(power.shape, dtype=np.float32)  # power of Gaussian noise
        loudness = np.log(np.maximum(power, FLOOR) / FLOOR) / np.log(2 / FLOOR)
        images = np.rint(LEVELS * np.minimum(loudness, 1)).astype(np.uint8)
        return Samples(images[:, None], labels, LEVELS)


def _bump(centre: np.ndarray, width: float, length: int) -> np.ndarray:
    """Gaussian bumps at ``centre`` (...) over positions 0..length-1, (..., length)."""
    distance = np.arange(length, dtype=np.float32) - centre[..., None].astype(np.float32)
    return np.asarray(np.exp(-((distance / width) ** 2)))


def _harmonics(labels: np.ndarray, mel: int, frames: int, random: np.random.Generator) -> np.ndarray:
    """(N, mel, frames) power of stacks of harmonics; a quarter of the partials is missing."""
    spacing, count = np.array(SPACINGS)[labels][:, None], int(mel // SPACINGS[0]) + 1
    heights = spacing * (np.arange(count) + random.random((len(labels), 1)))
    loudness = random.uniform(0.3, 1, heights.shape) * (random.random(heights.shape) > 0.25)
    lines = (_bump(heights, 0.7, mel) * loudness[..., None]).sum(1)
    start, end = (random.uniform(low, high, len(labels)) * frames for low, high in ((0, 0.3), (0.7, 1)))
    place = np.arange(frames)
    sounding = (place >= start[:, None]) & (place < end[:, None])
    return np.asarray(lines[:, :, None] * sounding[:, None].astype(np.float32), dtype=np.float32)


def _bursts(labels: np.ndarray, mel: int, frames: int, random: np.random.Generator) -> np.ndarray:
    """(N, mel, frames) power of two bursts of frames / 8 each, frames / 8 or frames / 4 apart."""
    number, unit = len(labels), frames / 8
    low, high = random.uniform(0.15, 0.4, number) * mel, random.uniform(0.6, 0.85, number) * mel
    gap = np.where(labels % 2 == 0, 1, 2) * unit + random.uniform(-0.2, 0.2, number) * unit
    start = random.uniform(unit, frames - 3 * unit - gap)
    power = np.zeros((number, mel, frames), np.float32)
    for heights, begin in (
        (np.where(labels < 2, low, high), start),
        (np.where(labels < 2, high, low), start + unit + gap),
    ):
        loudness = random.uniform(0.3, 1, number)[:, None]
        envelope = loudness * _bump(begin + unit / 2, unit / 2, frames)
        power += _bump(heights, 1.0, mel)[:, :, None] * envelope[:, None].astype(np.float32)
    return power

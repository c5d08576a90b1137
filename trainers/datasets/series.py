"""``series:DIR/NAME``: time series to be classified, in the text files of the UCR archive.

``NAME_TRAIN.tsv`` and ``NAME_TEST.tsv`` (or ``.csv``, ``.txt``) hold a series a line: its label, then its values, the
same number in every line. A series becomes an image of one channel, folded row by row: ``series:DIR/NAME,period=24``
has rows of 24 values, so that neighbours in a row follow each other in time and neighbours in a column are one period
apart (TimesNet, Wu et al. 2023). Without a period the image is as square as it can be. The last row is filled up with
the last value. 0 and 1 are the least and the greatest value of the training split; values beyond are clipped.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.dataset import Dataset, check_range, dataset
from trainers.formats.reading import reading
from trainers.samples import Samples, Split

SUFFIXES = (".tsv", ".csv", ".txt")
EXAMPLE = "series:UCR/ECG200/ECG200,period=12"
EXPECTED = "a series a line, its label and then its values, separated by tabs, commas or spaces"


@dataset("series")
@dataclass(frozen=True)
class Series(Dataset):
    """Labelled time series of equal length.

    Args:
        period: values in a row of the image; unset: it is as square as can be.
    """

    period: int | None = None

    example = EXAMPLE
    takes = "DIR/NAME"
    origin = f"Write NAME_TRAIN.tsv and NAME_TEST.tsv with {EXPECTED}."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("period", self.period, 1, 100_000)

    def found(self) -> str | None:
        return next((str(file) for file in self._files("train") if file.is_file()), None)

    def classes(self) -> tuple[str, ...]:
        return _names(self._read("train")[0])

    def load(self, split: Split, limit: int | None = None) -> Samples:
        labels, values = self._read(split)
        train_labels, train_values = (labels, values) if split == "train" else self._read("train")
        if values.shape[1] != train_values.shape[1]:
            raise ValueError(
                f"{self._file(split)}: its series have {values.shape[1]} values, those of the training split "
                f"{train_values.shape[1]}. Make them alike."
            )
        classes = {name: number for number, name in enumerate(_names(train_labels))}
        if unknown := sorted(set(labels) - classes.keys()):
            raise ValueError(f"{self._file(split)}: no series of the training split has the label {unknown[0]!r}.")
        low, high = train_values.min(), train_values.max()
        pixels = ((values - low) / max(high - low, 1e-12)).clip(0, 1)
        period = self.period or math.isqrt(values.shape[1])
        filled = np.pad(pixels, ((0, 0), (0, -values.shape[1] % period)), mode="edge")
        images = filled.reshape(len(values), 1, -1, period).astype(np.float32)
        return Samples(images, np.array([classes[label] for label in labels], np.int64), levels=1)

    def _files(self, split: Split) -> list[Path]:
        return [Path(f"{self.location}_{split.upper()}{suffix}") for suffix in SUFFIXES] if self.location else []

    def _file(self, split: Split) -> Path:
        files = self._files(split)
        if not files:
            raise FileNotFoundError(f"series needs a folder and a name, as in {EXAMPLE}.")
        return next((file for file in files if file.is_file()), files[0])

    def _read(self, split: Split) -> tuple[list[str], np.ndarray]:
        """Labels, and values (N, T) float64."""
        file = self._file(split)
        with reading(file, EXPECTED):
            rows = [re.split(r"[\s,]+", line.strip()) for line in file.read_text().splitlines() if line.strip()]
            lengths = [len(row) for row in rows]
            if not rows or min(lengths) < 3:
                raise ValueError("it holds no series" if not rows else "a line holds less than a label and two values")
            if min(lengths) < max(lengths):
                line = next(n for n, length in enumerate(lengths, start=1) if length != lengths[0])
                raise ValueError(f"series {line} has {lengths[line - 1] - 1} values, the first {lengths[0] - 1}")
            values = np.array([row[1:] for row in rows], np.float64)
            if not np.isfinite(values).all():
                raise ValueError("it holds values that are not numbers")
        return [row[0] for row in rows], values


def _names(labels: list[str]) -> tuple[str, ...]:
    """The classes, numbers in their order and then words in theirs."""
    return tuple(sorted(set(labels), key=_by_number))


def _by_number(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return math.inf, label

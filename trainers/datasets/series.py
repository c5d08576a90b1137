"""``series:DIR/NAME``: time series to be classified, in the text files of the UCR archive.

``NAME_TRAIN.tsv`` and ``NAME_TEST.tsv`` (or ``.csv``, ``.txt``) hold a series a line: its label, then its values, the
same number in every line. One separator holds for a file: tabs if there are any, else semicolons, commas, spaces. An
empty field, ``NaN`` or ``?`` is a value that is missing, and is interpolated. A series becomes an image of one channel,
folded row by row: ``series:DIR/NAME,period=24`` has rows of 24 values, so that neighbours in a row follow each other in
time and neighbours in a column are one period apart (TimesNet, Wu et al. 2023). Without a period the image is as square
as it can be. The last row is filled up with the last value. 0 and 1 are the least and the greatest value of the
training split; values beyond are clipped.
"""

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from trainers.dataset import Dataset, check_range, dataset
from trainers.formats.reading import ContentError, reading
from trainers.samples import Samples, Split

SUFFIXES = (".tsv", ".csv", ".txt")
EXAMPLE = "series:UCR/ECG200/ECG200,period=12"
EXPECTED = "a series a line, its label and then its values, separated by tabs, semicolons, commas or spaces"
SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas"}
"""The first that a file holds is that of the file; else spaces are."""
MISSING = ("", "nan", "na", "n/a", "?", "null", "none")
"""What stands for a value that is missing, in lower case."""


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
    things = "series"
    origin = f"Write NAME_TRAIN.tsv and NAME_TEST.tsv with {EXPECTED}."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("period", self.period, 1, 100_000)

    def found(self) -> str | None:
        return next((str(file) for file in self._files("train") if file.is_file()), None)

    def classes(self) -> tuple[str, ...]:
        return _names(self._read("train")[0])

    def load(self, split: Split, limit: int | None = None) -> Samples:
        labels, values, notes = self._read(split)
        train_labels, train_values, _ = (labels, values, notes) if split == "train" else self._read("train")
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
        return Samples(images, np.array([classes[label] for label in labels], np.int64), 1, notes=notes)

    def _files(self, split: Split) -> list[Path]:
        return [Path(f"{self.location}_{split.upper()}{suffix}") for suffix in SUFFIXES] if self.location else []

    def _file(self, split: Split) -> Path:
        files = self._files(split)
        if not files:
            raise FileNotFoundError(f"series needs a folder and a name, as in {EXAMPLE}.")
        return next((file for file in files if file.is_file()), files[0])

    def _read(self, split: Split) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
        """Labels, values (N, T) float64, and what was done about values that are missing."""
        file = self._file(split)
        with reading(file, EXPECTED):
            rows = _rows(file.read_bytes())
            lengths = [len(row) for row in rows]
            if min(lengths) < max(lengths):
                line = next(n for n, length in enumerate(lengths, start=1) if length != lengths[0])
                raise ContentError(f"series {line} has {lengths[line - 1] - 1} values, the first {lengths[0] - 1}")
            if unnamed := [n for n, row in enumerate(rows, start=1) if not row[0]]:
                raise ContentError(f"series {unnamed[0]} has no label")
            values = np.array([_values(n, row[1:]) for n, row in enumerate(rows, start=1)])
        missing = np.isnan(values)
        touched = np.flatnonzero(missing.any(1))
        for number in touched:
            gap = missing[number]
            values[number, gap] = np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), values[number, ~gap])
        said = f"{str(file)!r}: interpolated {missing.sum()} missing values of {len(touched)} of {len(rows)} series"
        return [row[0] for row in rows], values, (said,) if len(touched) else ()


def _rows(content: bytes) -> list[list[str]]:
    """The fields of every line."""
    try:
        text = normalize("NFC", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ContentError(f"it is no text in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("it holds no series")
    bare = [re.sub(r"\s*([;,])\s*", r"\1", line.strip()) for line in lines]  # blanks beside a comma separate nothing
    separator = next((mark for mark in SEPARATORS if any(mark in line for line in bare)), "")
    if separator:
        parsed = (next(csv.reader([line], delimiter=separator, skipinitialspace=True)) for line in lines)
        rows = [[field.strip() for field in row] for row in parsed]
    else:
        rows = [line.split() for line in lines]
    for end in (-1, 0):  # a separator before or after each line
        while all(len(row) > 1 and not row[end] for row in rows):
            for row in rows:
                row.pop(end)
    if min(len(row) for row in rows) < 3:
        used = SEPARATORS.get(separator, "spaces")
        raise ContentError(f"a line holds less than a label and two values, separated by {used} as in the whole file")
    for number, row in enumerate(rows, start=1):
        for field in row[1:]:
            if "," in field or (separator == "," and (" " in field or _is_fraction(field))):
                seen = f"series {number} has {field!r}"
                if separator == "," and " " in field:
                    raise ContentError(f"{seen}: decimal commas, or two separators; write decimal points, and use one")
                raise ContentError(f"{seen}: decimal commas; write decimal points")
    return rows


def _is_fraction(field: str) -> bool:
    """Whether digits begin with a needless 0, as those behind a decimal comma do: ``0123``."""
    return field[:1] == "0" and len(field) > 1 and field.isdigit()


def _values(number: int, fields: list[str]) -> list[float]:
    """The values of one series, NaN where one is missing."""
    values = []
    for field in fields:
        try:
            values.append(math.nan if field.lower() in MISSING else float(field))
        except ValueError:
            raise ContentError(
                f"series {number} has {field!r}, which is no number; remove what is no series, such as a header"
            ) from None
    if any(math.isinf(value) for value in values):
        raise ContentError(f"series {number} holds values that are not numbers: infinite ones")
    if all(math.isnan(value) for value in values):
        raise ContentError(f"series {number} holds no value")
    return values


def _names(labels: list[str]) -> tuple[str, ...]:
    """The classes, numbers in their order and then words in theirs."""
    return tuple(sorted(set(labels), key=_by_number))


def _by_number(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return math.inf, label

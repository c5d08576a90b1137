"""``forecast:FILE.csv``: a series in a table, to be forecast (`trainers.formats.table`)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.dataset import check_range, dataset
from trainers.formats.table import EXPECTED, read_table
from trainers.windows import SeriesWindows


@dataset("forecast")
@dataclass(frozen=True)
class Forecast(SeriesWindows):
    """The user's own series.

    Args:
        train: share of the series, from its beginning, to train on.
        held: share after that for validation; the rest is the test part.
    """

    train: float = 0.7
    held: float = 0.1

    example = "forecast:power.csv,context=96,horizon=24"
    takes = "FILE"
    origin = f"Write {EXPECTED}."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("train", self.train, 0.01, 0.98)
        check_range("held", self.held, 0.01, 0.98)
        if self.train + self.held > 0.99:
            raise ValueError(f"train and held must leave something for the test part, got {self.train} + {self.held}.")

    def found(self) -> str | None:
        return self.location if self.location and Path(self.location).is_file() else None

    def series(self) -> tuple[tuple[str, ...], np.ndarray]:
        if not self.location:
            raise FileNotFoundError(f"forecast needs a file, as in {self.example}.")
        table = read_table(Path(self.location))
        return table.names, table.values

    def parts(self, length: int) -> tuple[int, int, int]:
        return round(self.train * length), round((self.train + self.held) * length), length

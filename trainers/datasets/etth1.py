"""ETTh1: oil temperature and six loads of a transformer, every hour of two years.

12 months of 30 days train, 4 validate, 4 test, as published; the rest of the file is left out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.dataset import dataset
from trainers.formats.reading import data_root, missing
from trainers.formats.table import read_table
from trainers.windows import SeriesWindows

LAYOUTS = ("ett/ETTh1.csv.xz", "ett/ETTh1.csv", "ETT-small/ETTh1.csv", "ETTh1.csv")
MONTH = 30 * 24
"""Hours."""


@dataset("etth1")
@dataclass(frozen=True)
class Etth1(SeriesWindows):
    """Zhou et al. 2021, Informer (AAAI), arXiv:2012.07436; licence CC BY-ND 4.0."""

    example = "etth1:context=96,horizon=96"
    origin = "Get ETTh1.csv from github.com/zhouhaoyi/ETDataset and put it there."

    def _file(self) -> Path | None:
        roots = [Path(self.location)] if self.location else [root for root in (data_root(),) if root]
        return next((root / name for root in roots for name in LAYOUTS if (root / name).is_file()), None)

    def found(self) -> str | None:
        file = self._file()
        return str(file) if file else None

    def series(self) -> tuple[tuple[str, ...], np.ndarray]:
        file = self._file()
        if file is None:
            raise missing(self.name, self.location, list(LAYOUTS), self.origin)
        table = read_table(file)
        return table.names, table.values

    def parts(self, length: int) -> tuple[int, int, int]:
        if length < 20 * MONTH:
            raise ValueError(f"ETTh1 has 17,420 hours, of which {20 * MONTH:,} are used, got {length:,}. Get it again.")
        return 12 * MONTH, 16 * MONTH, 20 * MONTH

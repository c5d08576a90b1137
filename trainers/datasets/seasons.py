"""A generated series with a season, a trend and noise in every variate: what a forecast can know of it is known.

Each variate is ``trend t + daily wave + weekly wave + noise``. Phases and heights differ from variate to variate, the
second one follows the first by a quarter of a day, so that there is something to learn between variates too.
"""

from dataclasses import dataclass

import numpy as np

from trainers.dataset import check_range, dataset
from trainers.windows import SeriesWindows

DAY, WEEK = 24, 168
"""Steps of the two waves."""


@dataset("seasons")
@dataclass(frozen=True)
class Seasons(SeriesWindows):
    """Seasons with a trend, 70 % to train on, 10 % for validation, 20 % to test.

    Args:
        steps: of the series.
        series_count: number of variates.
        noise: standard deviation, where the daily wave has height 1.
        trend: rise over the whole series.
        seed: of phases, heights and noise.
    """

    steps: int = 2400
    series_count: int = 4
    noise: float = 0.2
    trend: float = 3.0
    seed: int = 0

    example = "seasons:context=48,horizon=24"
    origin = "It is generated."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("steps", self.steps, 20, 10_000_000)
        check_range("series_count", self.series_count, 1, 1000)
        check_range("noise", self.noise, 0, 1000)
        check_range("trend", self.trend, -1000, 1000)
        check_range("seed", self.seed, 0, 2**32 - 1)

    def found(self) -> str | None:
        return "generated"

    def series(self) -> tuple[tuple[str, ...], np.ndarray]:
        random, count = np.random.default_rng(self.seed), self.series_count
        time = np.arange(self.steps)[:, None]  # (T, 1)
        phases, weekly = random.uniform(0, 2 * np.pi, (2, count))
        if count > 1:
            phases[1] = phases[0] - np.pi / 2
        rise = self.trend * random.uniform(0.5, 1.5, count) * time / self.steps
        waves = np.sin(2 * np.pi * time / DAY + phases) + 0.5 * np.sin(2 * np.pi * time / WEEK + weekly)
        values = rise + waves + self.noise * random.standard_normal((self.steps, count))
        return tuple(f"v{number}" for number in range(1, count + 1)), values

    def parts(self, length: int) -> tuple[int, int, int]:
        return round(0.7 * length), round(0.8 * length), length

"""Data sets of windows of a series, ``(1, variates, context + horizon)``, for forecasting.

The series is divided in time: training, then validation, then test. What is forecast of a window lies in its part; its
context may reach back into the part before, as in the published protocol of ETT. Values are standardised by mean and
deviation of the training part, variate by variate; a search records both, so that they hold for other series too.
"""

import hashlib
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainers.dataset import Dataset, check_range
from trainers.samples import Images, Samples, Split
from trainers.task import Forecasting

HELD_BYTES = 500_000_000
"""Bytes of windows that are held in memory as an array; more are cut from the series on demand."""
LEAST_DEVIATION = 1e-9
"""Share of the largest value below which a variate is constant."""


@dataclass(frozen=True, eq=False)
class Windows:
    """`trainers.samples.Images` cut from a series, (N, 1, variates, length) float32.

    Args:
        series: (variates, T) float32.
        starts: (N,) first step of each window.
    """

    series: np.ndarray
    starts: np.ndarray
    length: int

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.starts), 1, len(self.series), self.length

    @property
    def dtype(self) -> np.dtype:
        return self.series.dtype

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        every = np.lib.stride_tricks.sliding_window_view(self.series, self.length, axis=1)  # (variates, T', length)
        return np.ascontiguousarray(every[:, self.starts[index]].swapaxes(0, 1)[:, None])

    def subset(self, index: np.ndarray) -> np.ndarray | Images:
        return Windows(self.series, self.starts[index], self.length).held()

    def held(self) -> np.ndarray | Images:
        """The windows as an array if there is room for them, else these."""
        return self[:] if math.prod(self.shape) * self.dtype.itemsize <= HELD_BYTES else self

    def fingerprint(self) -> bytes:
        digest = hashlib.blake2b(repr(self.shape).encode())
        digest.update(np.ascontiguousarray(self.series).tobytes())
        digest.update(self.starts.astype("<i8").tobytes())
        return digest.digest()


@dataclass(frozen=True)
class SeriesWindows(Dataset):
    """Windows of one series; subclasses say which series, and how it is divided.

    Args:
        context: steps that a network is given.
        horizon: steps after them that it forecasts.
        variates: names of the columns, and
        mean, std: of each in the training part; a search decides all three.
    """

    context: int = 96
    horizon: int = 96
    variates: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    things: ClassVar[str] = "windows"
    decided: ClassVar[tuple[str, ...]] = ("context", "horizon", "variates", "mean", "std")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("context", self.context, 1, 100_000)
        check_range("horizon", self.horizon, 1, 100_000)
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and not all(math.isfinite(value) for value in values):
                raise ValueError(f"{name} must hold finite numbers, got {values}.")
            if values is not None and len(values) != len(self.variates or values):
                raise ValueError(f"{name} must hold a number for each of the {len(self.variates or ())} variates.")
        if self.std is not None and min(self.std, default=1.0) <= 0:
            raise ValueError(f"std must hold numbers above 0, got {min(self.std)}.")

    @property
    def own_validation(self) -> bool:
        return True

    def poses(self) -> Forecasting:
        return Forecasting(self.context, self.horizon)

    def classes(self) -> tuple[str, ...]:
        return ("window",)

    @abstractmethod
    def series(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Names of the variates, and (T, variates) float64 finite values.

        Raises:
            FileNotFoundError, ValueError: as `Dataset.load`.
        """

    @abstractmethod
    def parts(self, length: int) -> tuple[int, int, int]:
        """Where training, validation and test end in a series of that length."""

    def load(self, split: Split, limit: int | None = None) -> Samples:
        names, values = self.series()
        if self.variates is not None and names != tuple(self.variates):
            raise ValueError(f"{self._place}: its columns are {list(names)}, those of the study {list(self.variates)}.")
        train, validation, test = self.parts(len(values))
        mean, std = self._scale(names, values[:train])
        bounds = {"train": (0, train), "validation": (train, validation), "test": (validation, test)}[split]
        # A window begins before its part by the context; in training there is nothing before.
        first, length = max(0, bounds[0] - self.context), self.context + self.horizon
        count = bounds[1] - first - length + 1
        if count < 1:
            raise ValueError(
                f"{self._place}: a window has {self.context} + {self.horizon} steps (context and horizon), but the "
                f"{split} part has {bounds[1] - bounds[0]} of the {len(values)} steps of the series. Take a smaller "
                "context or horizon, or a longer series."
            )
        scaled = np.ascontiguousarray(((values - mean) / std).T, np.float32)
        windows = Windows(scaled[:, : bounds[1]], np.arange(first, first + count), length)
        decided = {"variates": list(names), "mean": mean.tolist(), "std": std.tolist()}
        chosen = {"context": self.context, "horizon": self.horizon}
        return Samples(
            windows.held(), np.zeros(count, np.int64), 1, decided=decided | chosen if split == "train" else {}
        )

    @property
    def _place(self) -> str:
        """What a message calls the series."""
        return self.location or self.name

    def _scale(self, names: tuple[str, ...], training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each variate in the training part, unless the study has them."""
        if self.mean is not None and self.std is not None:
            return np.array(self.mean), np.array(self.std)
        mean, std = training.mean(0), training.std(0)
        still = np.flatnonzero(std <= LEAST_DEVIATION * np.maximum(1e-30, np.abs(training).max(0)))
        if still.size:
            raise ValueError(
                f"{self._place}: {names[still[0]]!r} is {training[0, still[0]]:g} in the whole training part, so that "
                "there is nothing to learn of it. Remove the column."
            )
        return mean, std

"""Which pixel values are black and which are white, where that is not 0 and 255.

The training split decides, and every other split follows; a scale of each image's own would hide how bright it is.
Pixels become float32: in 8 bits, a single bright outlier would leave an image few levels.
"""

import math
import re
from dataclasses import dataclass
from typing import Self

import numpy as np

NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"
CHUNK = 256


@dataclass(frozen=True)
class Span:
    """Values that become 0 and 1.

    Args:
        low: black.
        high: white.
    """

    low: float
    high: float

    @classmethod
    def of(cls, text: str) -> Self:
        """The span of an option, ``"90..4095"``.

        Raises:
            ValueError: if it is none.
        """
        match = re.fullmatch(rf"({NUMBER})\.\.({NUMBER})", text)
        low, high = (float(match[1]), float(match[2])) if match else (math.nan, math.nan)
        if not 0 <= low < high < math.inf:
            raise ValueError(f"span must be two values LOW..HIGH, black and white, as in span=0..4095, got {text!r}.")
        return cls(low, high)

    def __str__(self) -> str:
        return "..".join(str(int(value)) if value.is_integer() else repr(value) for value in (self.low, self.high))

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """float32 from 0 to 1; values beyond the span are clipped."""
        low, width = np.float64(self.low), np.float64(max(self.high - self.low, np.finfo(np.float64).tiny))
        scaled = np.empty(values.shape, np.float32)
        for start in range(0, len(values), CHUNK):
            scaled[start : start + CHUNK] = ((values[start : start + CHUNK] - low) / width).clip(0, 1)
        return scaled

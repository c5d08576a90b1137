"""Tensors that are drawn once and never trained: a pure function of a seed, bit for bit the same on every machine.

Word i of a seed is that of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), ``mix(mix(seed) + (i + 1) GAMMA)`` on unsigned
integers of 64 bits. All that follows is integer arithmetic, or + - * / and square roots in float64, each of which IEEE
754 rounds in one way, summed in a stated order, and rounded to float32 once. Rejected: torch's generators, whose normal
numbers depend on the vector unit, as do the sums of torch and BLAS and the logarithms of C libraries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

GENERATOR = "splitmix64-1"
"""Name of all that makes a tensor of a seed; whoever changes a bit of what is made changes this name."""

GAMMA, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
LN2 = 0.6931471805599453
LARGEST_SEED = 2**31
"""Seeds are below."""


def _mix(words: np.ndarray) -> np.ndarray:
    words = (words ^ (words >> np.uint64(30))) * FIRST
    words = (words ^ (words >> np.uint64(27))) * SECOND
    mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed


class Words:
    """The words of a seed, each read once, in order."""

    def __init__(self, seed: int) -> None:
        self._key, self._read = _mix(np.array([seed], np.uint64)), 0

    def take(self, *shape: int) -> np.ndarray:
        """The next words, uint64."""
        places = np.arange(self._read + 1, self._read + 1 + int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
        self._read += len(places)
        return _mix(self._key + places * GAMMA).reshape(shape)

    def units(self, *shape: int) -> np.ndarray:
        """Uniform in (0, 1), float64: the odd multiples of 2^-53."""
        return ((self.take(*shape) >> np.uint64(12)) * np.uint64(2) + np.uint64(1)) * 2.0**-53

    def below(self, limit: int, *shape: int) -> np.ndarray:
        """Integers from 0 to ``limit`` - 1, int64; the bias is below ``limit`` / 2^64."""
        return (self.take(*shape) % np.uint64(limit)).astype(np.int64)

    def order(self, *shape: int) -> np.ndarray:
        """A random permutation in each row, int64: the order of as many words."""
        return self.take(*shape).argsort(-1, kind="stable")

    def normals(self, *shape: int) -> np.ndarray:
        """Standard normal, float64, by Marsaglia's polar method: both numbers of each pair in the unit disc, in order.

        Whether a pair is in the disc is decided exactly.
        """
        number, pairs = int(np.prod(shape, dtype=np.int64)), np.empty((0, 2))
        while 2 * len(pairs) < number:
            # The odd multiples of 2^-24 in (-1, 1): their squares and the sum of two have no more than 53 bits.
            drawn = (self.take(max(16, number // 2), 2) >> np.uint64(40)).astype(np.float64)
            drawn = (2 * drawn + 1) * 2.0**-24 - 1
            squares = drawn[:, 0] * drawn[:, 0] + drawn[:, 1] * drawn[:, 1]
            inside = squares < 1
            drawn, squares = drawn[inside], squares[inside]
            pairs = np.concatenate([pairs, drawn * np.sqrt(-2 * logarithm(squares) / squares)[:, None]])
        return pairs.ravel()[:number].reshape(shape)


def logarithm(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of positive float64, to the last digits: ``2 artanh((m - 1) / (m + 1)) + e ln 2``."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa, exponent = np.where(small, 2 * mantissa, mantissa), exponent - small
    s = (mantissa - 1) / (mantissa + 1)  # at most 0.172
    square, total = s * s, np.zeros_like(s)
    for power in range(23, -1, -2):
        total = total * square + 1 / power
    found: np.ndarray = 2 * s * total + exponent * LN2
    return found


def exponential(x: np.ndarray) -> np.ndarray:
    """e^x of float64 up to 700, to the last digits; 0 below -700."""
    halvings = np.rint(np.maximum(x, -700.0) / LN2)
    rest = np.maximum(x, -700.0) - halvings * LN2  # at most 0.347
    total = np.ones_like(rest)
    for divisor in range(14, 0, -1):
        total = total * rest / divisor + 1
    return np.where(x < -700, 0.0, np.ldexp(total, halvings.astype(np.int64)))


def summed(x: np.ndarray) -> np.ndarray:
    """Sums over the last axis, added up in its order."""
    sums: np.ndarray = np.cumsum(x, axis=-1)[..., -1]
    return sums


def single(x: np.ndarray) -> Tensor:
    """Float64 as a float32 tensor; what is below the normal numbers is 0, which some processors make of it."""
    return torch.from_numpy(np.where(np.abs(x) < 2.0**-126, 0.0, x).astype(np.float32))


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float64."""
    powers = exponential(x - x.max(-1, keepdims=True))
    rows: np.ndarray = powers / summed(powers)[..., None]
    return rows


class Make(Protocol):
    """What makes a tensor of words."""

    def __call__(self, *, words: Words) -> Tensor: ...


@dataclass(frozen=True)
class Draw:
    """A tensor by its seed.

    Args:
        make: makes it of the words of the seed, on the CPU.
    """

    make: Make
    shape: tuple[int, ...]
    seed: int
    dtype: torch.dtype = torch.float32

    def tensor(self) -> Tensor:
        """The tensor, on the current default device; on ``meta`` nothing is drawn."""
        place = torch.empty(0).device
        if place.type == "meta":
            return torch.empty(self.shape, dtype=self.dtype)
        return self.make(words=Words(self.seed)).to(place)

    def seeded(self, seed: int) -> Self:
        """The same of another seed."""
        return replace(self, seed=seed)


def new_seed() -> int:
    """A seed, from torch's global generator."""
    drawn = torch.randint(LARGEST_SEED, ())
    return 0 if drawn.is_meta else int(drawn)


def put(module: nn.Module, name: str, draw: Draw) -> None:
    """Fills a parameter of a module, or adds a buffer, with what is drawn, and writes down how (see `drawn`)."""
    parameter = module._parameters.get(name)
    if parameter is None:
        module.register_buffer(name, draw.tensor())
    elif not parameter.is_meta:
        with torch.no_grad():
            parameter.copy_(draw.tensor())
    draws: Mapping[str, Draw] = vars(module).get("draws", {})
    module.draws = {**draws, name: draw}  # type: ignore[assignment]


def drawn(network: nn.Module) -> dict[str, Draw]:
    """How tensors of a network were drawn, by their names in its state; trained ones have only begun so."""
    return {
        f"{path}.{name}" if path else name: draw
        for path, module in network.named_modules()
        for name, draw in vars(module).get("draws", {}).items()
    }

"""Filter banks of depthwise convolutions: the filters of a frozen bank, or the start of a trained one.

Source: Cazenavette, Julin, Lucey, "Rethinking the Role of Spatial Mixing" (2503.16760): random, same, identity, box
and smoothed filters; the others are controls. Every filter is scaled to the L2 norm sqrt(1/3), the expected norm of a
random one, so that modes differ in shape and not in gain, unless it is to keep its own: that of its definition, and for
a smoothed filter that of the filter before the blur.
"""

import math
import re
from functools import partial

import numpy as np
from torch import Tensor, nn

from searchspaces.layers.draws import Draw, Words, exponential, new_seed, put, single, summed
from searchspaces.registry import unknown

FILTER_MODES = {
    "random": "independent, uniform in [-1/k, 1/k]",
    "normal": "independent, normal with the variance of random, 1/(3 k^2)",
    "same": "one random filter for all channels",
    "same_per_multiplier": "one random filter for each of the d outputs of a channel, shared by all channels",
    "identity": "1 at the centre tap ((k-1)//2, (k-1)//2)",
    "impulse": "1 at an independent random tap for each channel",
    "box": "all taps equal, 1/k^2",
    "smooth": "smooth(sigma): random filters, each blurred by a Gaussian of sigma taps",
    "heads": "heads(r): r distinct random filters reused over the channels",
    "taps": "taps(n): n taps of 1/n at random places, independent for each channel",
    "gauss": "gauss(sigma): a Gaussian bump of sigma taps at a random tap, independent for each channel",
    "orthogonal": "the k^2 filters of each channel form an orthonormal basis; needs multiplier = k^2",
}
"""Name of each mode -> what the bank holds."""

NUMBERED = ("smooth", "heads", "taps", "gauss")
"""Modes that take a number, as in ``smooth(1.5)``."""

WHOLE = ("heads", "taps")
"""Modes whose number is an integer."""

INEXACT = ("orthogonal",)
"""Modes whose last bits are those of a machine: their filters are never stored as a seed."""

FILTER_NORM = math.sqrt(1 / 3)


def parse_filters(mode: str) -> tuple[str, float | None]:
    """Name and number of a filter mode: ``"smooth(1.5)"`` -> ``("smooth", 1.5)``.

    Raises:
        ValueError: if the mode is unknown, or lacks its number, or has one it does not take.
    """
    match = re.fullmatch(r"(\w+)(?:\((\d+\.?\d*|\.\d+)\))?", mode)
    name = match[1] if match else mode.partition("(")[0]
    if name not in FILTER_MODES:
        raise ValueError(unknown("filter mode", name, FILTER_MODES))
    number = float(match[2]) if match and match[2] else None
    if name in NUMBERED and not number:
        raise ValueError(f"filter mode {name!r} takes a positive number, as in {name}(1), got {mode!r}.")
    if name in WHOLE and number != int(number or 1):
        raise ValueError(f"filter mode {name!r} takes a whole number, as in {name}(4), got {mode!r}.")
    if name not in NUMBERED and name != mode:
        raise ValueError(f"filter mode {name!r} takes no number, got {mode!r}.")
    return name, number


def canonical_filters(mode: str, kernel: int, multiplier: int = 1) -> str:
    """The simplest mode with the same bank for this kernel and multiplier; ``taps(9)`` of 3x3 filters is ``box``.

    Raises:
        ValueError: if there is no such bank.
    """
    name, number = parse_filters(mode)
    if name == "orthogonal" and multiplier != kernel**2:
        raise ValueError(f"orthogonal filters need multiplier = kernel^2 = {kernel**2}, got {multiplier}.")
    if (name == "heads" and number == 1) or (name == "same_per_multiplier" and multiplier == 1):
        return "same"
    if name == "smooth" and kernel == 1:
        return "random"  # nothing to smooth
    if name == "taps" and number is not None and number >= kernel**2:
        return "box"
    return name if number is None else f"{name}({np.format_float_positional(number, trim='-')})"


def filter_bank(
    mode: str, channels: int, kernel: int, words: Words, *, multiplier: int = 1, norm_match: bool = True
) -> Tensor:
    """Filters of a depthwise convolution, ``(channels * multiplier, 1, kernel, kernel)``.

    Each has the L2 norm sqrt(1/3), or its own without ``norm_match``. All but orthogonal ones are the same bit for bit
    on every machine (`searchspaces.layers.draws`).

    Filter ``i * multiplier + q`` is filter ``q`` of input channel ``i`` (PyTorch's order for ``groups=channels``).

    Raises:
        ValueError: if the mode is unknown, or orthogonal and multiplier is not kernel^2.
    """
    name, number = parse_filters(mode)
    k, n = kernel, channels * multiplier

    def uniform(count: int) -> np.ndarray:
        return (2 * words.units(count, k, k) - 1) / k

    if name == "random":
        bank = uniform(n)
    elif name == "normal":
        bank = words.normals(n, k, k) / (math.sqrt(3) * k)
    elif name == "same":
        bank = uniform(1).repeat(n, 0)
    elif name == "same_per_multiplier":
        bank = np.tile(uniform(multiplier), (channels, 1, 1))
    elif name == "heads":
        distinct = uniform(min(int(number or 1), n))
        bank = distinct[np.arange(n) % len(distinct)]
    elif name == "smooth":
        sharp = uniform(n)
        bank = _scaled(_blur(sharp, float(number or 1.0)), _norms(sharp))
    elif name == "box":
        bank = np.full((n, k, k), 1 / k**2)
    elif name == "taps":
        ranks = words.order(n, k * k)
        taps = min(int(number or 1), k * k)
        bank = (ranks < taps).astype(np.float64).reshape(n, k, k) / taps
    elif name == "gauss":
        centres = words.below(k, 2, n, 1)
        rows, columns = exponential(-0.5 * ((np.arange(k) - centres) / float(number or 1.0)) ** 2)
        bank = rows[:, :, None] * columns[:, None, :]
    elif name in ("identity", "impulse"):
        centre = (k - 1) // 2 * (k + 1)  # flat index of the tap ((k-1)//2, (k-1)//2)
        places = words.below(k * k, n) if name == "impulse" else np.full(n, centre)
        bank = (np.arange(k * k) == places[:, None]).astype(np.float64).reshape(n, k, k)
    else:
        if multiplier != k * k:
            raise ValueError(f"orthogonal filters need multiplier = kernel^2 = {k * k}, got {multiplier}.")
        q, r = np.linalg.qr(words.normals(channels, k * k, k * k))
        # With the signs of R's diagonal, Q is uniform over the orthogonal matrices (Mezzadri 2007).
        signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))[:, None, :]
        bank = (q * signs).swapaxes(-1, -2).reshape(n, k, k)
    bank = _scaled(bank, np.full(n, FILTER_NORM)) if norm_match else bank
    return single(bank[:, None])


def put_filters(
    convolution: nn.Conv2d, mode: str, channels: int, kernel: int, *, multiplier: int = 1, norm_match: bool = True
) -> None:
    """Fills a depthwise convolution with the bank of a mode, drawn from a new seed."""
    make = partial(filter_bank, mode, channels, kernel, multiplier=multiplier, norm_match=norm_match)
    draw = Draw(make, tuple(convolution.weight.shape), new_seed())
    if parse_filters(mode)[0] in INEXACT:
        if not convolution.weight.is_meta:
            convolution.weight.data.copy_(draw.tensor())
    else:
        put(convolution, "weight", draw)


def _norms(bank: np.ndarray) -> np.ndarray:
    """L2 norms of filters (n, k, k)."""
    flat = bank.reshape(len(bank), -1)
    norms: np.ndarray = np.sqrt(summed(flat * flat))
    return norms


def _scaled(bank: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Filters (n, k, k) scaled to the L2 norms (n,)."""
    scaled: np.ndarray = bank * (norms / np.maximum(_norms(bank), 1e-12))[:, None, None]
    return scaled


def _blur(bank: np.ndarray, sigma: float) -> np.ndarray:
    """Filters convolved with a Gaussian of radius ceil(3 sigma), zero outside the filter, cropped to its size."""
    k, radius = bank.shape[-1], math.ceil(3 * sigma)
    distances = np.arange(-max(radius, k), max(radius, k) + 1)
    tap = np.where(abs(distances) <= radius, exponential(-0.5 * (distances / sigma) ** 2), 0.0)
    tap = tap / summed(tap)
    shifts = [tap[len(tap) // 2 + np.arange(k) - j] for j in range(k)]  # what each place takes of place j
    rows, columns = np.zeros_like(bank), np.zeros_like(bank)
    for j in range(k):
        rows += shifts[j][:, None] * bank[:, j : j + 1, :]
    for j in range(k):
        columns += shifts[j] * rows[:, :, j : j + 1]
    return columns

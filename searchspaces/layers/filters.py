"""Filter banks of depthwise convolutions: the filters of a frozen bank, or the start of a trained one.

Source: Cazenavette, Julin, Lucey, "Rethinking the Role of Spatial Mixing" (2503.16760): random, same, identity, box
and smoothed filters; the others are controls. Every filter is scaled to the L2 norm sqrt(1/3), the expected norm of a
random one, so that modes differ in shape and not in gain, unless it is to keep its own: that of its definition, and for
a smoothed filter that of the filter before the blur.
"""

import math
import re

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
    mode: str,
    channels: int,
    kernel: int,
    generator: torch.Generator,
    *,
    multiplier: int = 1,
    norm_match: bool = True,
) -> Tensor:
    """Filters of a depthwise convolution, ``(channels * multiplier, 1, kernel, kernel)``.

    Each has the L2 norm sqrt(1/3), or its own without ``norm_match``.

    Filter ``i * multiplier + q`` is filter ``q`` of input channel ``i`` (PyTorch's order for ``groups=channels``).

    Raises:
        ValueError: if the mode is unknown, or orthogonal and multiplier is not kernel^2.
    """
    name, number = parse_filters(mode)
    k, n = kernel, channels * multiplier

    def uniform(count: int) -> Tensor:
        return (2 * torch.rand(count, k, k, generator=generator) - 1) / k

    if name == "random":
        bank = uniform(n)
    elif name == "normal":
        bank = torch.randn(n, k, k, generator=generator)
    elif name == "same":
        bank = uniform(1).expand(n, k, k)
    elif name == "same_per_multiplier":
        bank = uniform(multiplier).repeat(channels, 1, 1)
    elif name == "heads":
        distinct = uniform(min(int(number or 1), n))
        bank = distinct[torch.arange(n) % len(distinct)]
    elif name == "smooth":
        sharp = uniform(n)
        bank = _scaled(_blur(sharp, float(number or 1.0)), sharp.flatten(1).norm(dim=1))
    elif name == "box":
        bank = torch.full((n, k, k), 1 / k**2)
    elif name == "taps":
        ranks = torch.rand(n, k * k, generator=generator).argsort(1).argsort(1)  # a random permutation for each filter
        taps = min(int(number or 1), k * k)
        bank = (ranks < taps).float().view(n, k, k) / taps
    elif name == "gauss":
        centres = torch.randint(k, (2, n, 1), generator=generator)
        rows, columns = torch.exp(-0.5 * ((torch.arange(k) - centres) / float(number or 1.0)) ** 2)
        bank = rows[:, :, None] * columns[:, None, :]
    elif name in ("identity", "impulse"):
        centre = (k - 1) // 2 * (k + 1)  # flat index of the tap ((k-1)//2, (k-1)//2)
        places = torch.randint(k * k, (n,), generator=generator) if name == "impulse" else torch.full((n,), centre)
        bank = F.one_hot(places, k * k).float().view(n, k, k)
    else:
        if multiplier != k * k:
            raise ValueError(f"orthogonal filters need multiplier = kernel^2 = {k * k}, got {multiplier}.")
        q, r = torch.linalg.qr(torch.randn(channels, k * k, k * k, generator=generator))
        # With the signs of R's diagonal, Q is uniform over the orthogonal matrices (Mezzadri 2007).
        bank = (q * torch.sign(torch.diagonal(r, dim1=-2, dim2=-1)).unsqueeze(-2)).mT.reshape(n, k, k)
    bank = _scaled(bank, torch.full((n,), FILTER_NORM)) if norm_match else bank
    filters: Tensor = bank.unsqueeze(1).contiguous()
    return filters


def _scaled(bank: Tensor, norms: Tensor) -> Tensor:
    """Filters (n, k, k) scaled to the L2 norms (n,)."""
    scaled: Tensor = bank * (norms / bank.flatten(1).norm(dim=1).clamp_min(1e-12)).view(-1, 1, 1)
    return scaled


def _blur(bank: Tensor, sigma: float) -> Tensor:
    """Filters convolved with a Gaussian of radius ceil(3 sigma), zero outside the filter, cropped to its size."""
    radius = math.ceil(3 * sigma)
    tap = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    tap = tap / tap.sum()
    rows = F.conv2d(bank.unsqueeze(1), tap.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(rows, tap.view(1, 1, 1, -1), padding=(0, radius)).squeeze(1)

"""Fourier transforms of a graph as products with fixed matrices, for runtimes that have no DFT.

The functions of `torch.fft` that operators call (`searchspaces.layers.transforms`) are replaced while the graph is
traced: real ones along the last of some dimensions, complex ones along the others, all with ``norm="ortho"``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


@contextmanager
def transforms_as_products() -> Iterator[None]:
    """While it lasts, `torch.fft` computes by matrices what the operators ask of it."""
    products = {
        "rfftn": _rfftn,
        "irfftn": _irfftn,
        "rfft2": lambda x, norm: _rfftn(x, (-2, -1), norm),
        "irfft2": lambda y, s, norm: _irfftn(y, s, (-2, -1), norm),
    }
    before = {name: getattr(torch.fft, name) for name in products}
    try:
        for name, function in products.items():
            setattr(torch.fft, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(torch.fft, name, function)


def _rfftn(x: Tensor, dim: Sequence[int], norm: str) -> Tensor:
    """Spectrum of real x; the last of ``dim`` has n // 2 + 1 bins."""
    _check(norm)
    *others, last = dim
    length = x.shape[last]
    cosines, sines = _waves(length // 2 + 1, length)
    real, imaginary = _along(x, cosines, last), _along(x, -sines, last)
    for one in others:
        real, imaginary = _turned(real, imaginary, one, -1)
    return torch.view_as_complex(torch.stack([real, imaginary], -1))


def _irfftn(y: Tensor, s: Sequence[int], dim: Sequence[int], norm: str) -> Tensor:
    """Real x of sides ``s`` along ``dim`` whose spectrum is y."""
    _check(norm)
    *others, last = dim
    real, imaginary = torch.view_as_real(y).unbind(-1)
    for one in others:
        real, imaginary = _turned(real, imaginary, one, 1)
    length = int(s[-1])
    cosines, sines = _waves(length, length // 2 + 1)
    counted = np.full(length // 2 + 1, 2.0)  # every bin stands for its mirror image too, but for these
    counted[0] = 1
    if length % 2 == 0:
        counted[-1] = 1
    return _along(real, cosines * counted, last) - _along(imaginary, sines * counted, last)


def _turned(real: Tensor, imaginary: Tensor, dim: int, sign: int) -> tuple[Tensor, Tensor]:
    """Complex transform along a dimension: of e^(sign 2 pi i j k / n)."""
    cosines, sines = _waves(real.shape[dim], real.shape[dim])
    sines = sign * sines
    return (
        _along(real, cosines, dim) - _along(imaginary, sines, dim),
        _along(real, sines, dim) + _along(imaginary, cosines, dim),
    )


def _waves(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns), float64: cosines and sines of 2 pi i j / n over sqrt(n), n the larger side."""
    period = max(rows, columns)
    turns = np.outer(np.arange(rows), np.arange(columns)) % period
    angles = turns * (2 * np.pi / period)
    return np.cos(angles) / np.sqrt(period), np.sin(angles) / np.sqrt(period)


def _along(x: Tensor, matrix: np.ndarray, dim: int) -> Tensor:
    weight = torch.from_numpy(matrix.T.astype(np.float32)).to(x.dtype)
    return (x.movedim(dim, -1) @ weight).movedim(-1, dim)


def _check(norm: str) -> None:
    if norm != "ortho":
        raise ValueError(f"transforms as products have norm = 'ortho', got {norm!r}")

"""Fixed transforms and trained filters in the frequency domain, along one axis or on the grid of ``(B, C, H, W)``.

hfft of a real signal is a cosine transform (DCT-I), so it is evaluated as a product with a real matrix: up to about
600 elements that is twice to four times as fast as torch.fft.hfft, works in every dtype and exports anywhere. rfft has
no such drawback and is called as such, in float32 at least, because half-precision FFTs want powers of two.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from searchspaces.costs import Cost, elementwise

SHRINK = 0.01
"""Threshold of the mask of `FrequencyMask`, as published (2307.14008)."""


def cosine_analysis(length: int, bins: int) -> Tensor:
    """Matrix (bins, length), float64, of ``hfft(x, norm="ortho")[:bins]`` for real x of ``length`` elements.

    ``y[k] = sum_n c_n x[n] cos(2 pi k n / M) / sqrt(M)`` with M = 2 (length - 1); c is 1 at both ends, else 2. With
    bins = length it is its own inverse.
    """
    period = 2 * (length - 1)
    counted = torch.full((length,), 2.0, dtype=torch.float64)
    counted[:: length - 1] = 1
    return counted * _cosines(bins, length, period) / math.sqrt(period)


def cosine_synthesis(length: int) -> Tensor:
    """Matrix (length, length // 2 + 1), float64, of ``irfft(y, n=length, norm="ortho")`` for real y."""
    bins = length // 2 + 1
    counted = torch.full((bins,), 2.0, dtype=torch.float64)
    counted[0] = 1
    if length % 2 == 0:
        counted[-1] = 1
    return counted * _cosines(length, bins, length) / math.sqrt(length)


def _cosines(rows: int, columns: int, period: int) -> Tensor:
    """(rows, columns), float64: ``cos(2 pi i j / period)``."""
    # The remainder of integers is exact; cosines of large angles are not.
    turns = torch.outer(torch.arange(rows), torch.arange(columns)) % period
    return torch.cos(turns.double() * (2 * math.pi / period))


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 if it has fewer bits."""
    return x.float() if x.element_size() < 4 else x


class Along(nn.Module):
    """Product with a fixed matrix along one dimension; the matrix is computed anew and not stored in checkpoints."""

    matrix: Tensor

    def __init__(self, matrix: Tensor, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("matrix", matrix.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x.movedim(self.dim, -1) @ self.matrix.T).movedim(-1, self.dim)


class Gain(nn.Module):
    """Multiplies by trained factors that start at 1."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(*shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class FourierFilter(nn.Module):
    """``irfft(w * rfft(x))`` along one dimension with trained complex w, stored as pairs; start 0.02 N(0, 1) (GFNet).

    Args:
        shape: of w; must broadcast with the spectrum.
    """

    def __init__(self, shape: Sequence[int], dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.pairs = nn.Parameter(0.02 * torch.randn(*shape, 2))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(full_precision(x), dim=self.dim, norm="ortho")  # n // 2 + 1 bins along dim
        filtered = spectrum * torch.view_as_complex(full_precision(self.pairs))
        back: Tensor = torch.fft.irfft(filtered, n=x.shape[self.dim], dim=self.dim, norm="ortho")
        return back.to(x.dtype)


class FrequencyMask(nn.Module):
    """Adaptive frequency filter with residual, ``x + irfft2(M * X)``, X = rfft2(x), M an MLP of X (2307.14008).

    The MLP has two layers of complex, block-diagonal maps over the channels, ReLU and softshrink on real and imaginary
    parts. A complex map is run as a real one on (real, imaginary), hence the weights ``[[Wr, Wi], [-Wi, Wr]]``.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        width = channels // blocks
        self.maps = nn.ParameterList(0.02 * torch.randn(2, blocks, width, width) for _ in range(2))
        self.biases = nn.ParameterList(0.02 * torch.randn(blocks, 1, 2 * width) for _ in range(2))

    def _layer(self, x: Tensor, number: int) -> Tensor:
        real, imaginary = full_precision(self.maps[number]).unbind()
        weight = torch.cat([torch.cat([real, imaginary], -1), torch.cat([-imaginary, real], -1)], -2)
        return torch.baddbmm(full_precision(self.biases[number]), x, weight)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        spectrum = torch.fft.rfft2(full_precision(x), norm="ortho")  # (B, C, H, W // 2 + 1)
        bins, blocks = height * (width // 2 + 1), self.biases[0].shape[0]
        pairs = torch.view_as_real(spectrum).reshape(batch, blocks, channels // blocks, bins, 2)
        # (blocks, B * bins, 2 * C // blocks): in each row the real parts of a block's channels, then the imaginary ones
        rows = pairs.permute(1, 0, 3, 4, 2).reshape(blocks, batch * bins, 2 * channels // blocks)
        with torch.autocast(x.device.type, enabled=False):  # there are no complex numbers of 16 bits
            mask = nn.functional.softshrink(self._layer(torch.relu(self._layer(rows, 0)), 1), SHRINK)
        # (B, blocks, C // blocks, bins, 2)
        mask = mask.view(blocks, batch, bins, 2, channels // blocks).permute(1, 0, 4, 2, 3).contiguous()
        masked = torch.view_as_complex(mask).view(spectrum.shape) * spectrum
        filtered: Tensor = torch.fft.irfft2(masked, s=(height, width), norm="ortho")
        return x + filtered.to(x.dtype)


def product_cost(size: int, length: int, rows: int) -> Cost:
    """Cost of `Along` on ``size`` elements: in ``macs_executed``, not in ``macs``."""
    macs = size // length * length * rows
    return Cost(macs_executed=macs, transform_macs=macs)


def gain_cost(size: int, factors: int, *, trained: bool) -> Cost:
    """Cost of `Gain` on ``size`` elements."""
    kept = size if trained else 0
    return elementwise(size, kept) + Cost(parameters=factors, trainable_parameters=factors if trained else 0)


def fourier_filter_cost(size: int, length: int, factors: int, *, trained: bool) -> Cost:
    """Cost of `FourierFilter` on ``size`` elements with ``factors`` complex factors; rfft keeps its input."""
    products = size // length * (length // 2 + 1)
    return Cost(
        transform_flops=2 * int(2.5 * size * math.log2(length)),
        elementwise_flops=6 * products,
        parameters=2 * factors,
        trainable_parameters=2 * factors if trained else 0,
        activations=size + (2 * products if trained else 0),
    )


def frequency_mask_cost(channels: int, height: int, width: int, blocks: int, *, trained: bool) -> Cost:
    """Cost of `FrequencyMask`.

    Kept are its input, the spectrum, three steps of the MLP and the rows that the first map reads if it trains, and
    once the composed weights.
    """
    size, products = channels * height * width, channels * height * (width // 2 + 1)
    weights = 2 * channels * channels // blocks
    parameters = 2 * (weights + 2 * channels)
    return Cost(
        macs=4 * weights * products // channels,
        macs_executed=4 * weights * products // channels,
        transform_flops=2 * int(2.5 * size * math.log2(max(height * width, 2))),
        elementwise_flops=size + 10 * products + weights,
        parameters=parameters,
        trainable_parameters=parameters if trained else 0,
        activations=size + 2 * products * (5 if trained else 4),
        kept_once=4 * weights,
    )

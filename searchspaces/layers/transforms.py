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
from searchspaces.layers.activations import ACTIVATIONS

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


def uncast(x: Tensor) -> torch.autocast:
    """A context without automatic casts to half precision on the device of ``x``."""
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)


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
    """``irfft(w * rfft(x))`` along some dimensions with trained complex w, stored as pairs (GFNet).

    Args:
        shape: of w; must broadcast with the spectrum.
        dims: transformed dimensions; the last one has half the bins, n // 2 + 1.
        start: standard deviation of real and imaginary parts at the start.
    """

    def __init__(self, shape: Sequence[int], *dims: int, start: float = 0.02) -> None:
        super().__init__()
        self.dims = dims
        self.pairs = nn.Parameter(start * torch.randn(*shape, 2))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfftn(full_precision(x), dim=self.dims, norm="ortho")
        # Four dimensions: a module that was made channels last has the pairs far apart in memory.
        filtered = spectrum * torch.view_as_complex(full_precision(self.pairs).contiguous())
        sides = [x.shape[dim] for dim in self.dims]
        back: Tensor = torch.fft.irfftn(filtered, s=sides, dim=self.dims, norm="ortho")
        return back.to(x.dtype)


class FrequencyMask(nn.Module):
    """Adaptive frequency filter ``irfft2(M * X)``, X = rfft2(x), M an MLP of X (2307.14008), in float32 at least.

    The MLP has two layers of complex, block-diagonal maps over the channels, an activation and softshrink on real and
    imaginary parts. A complex map is run as a real one on (real, imaginary), with weights ``[[Wr, Wi], [-Wi, Wr]]``.

    Args:
        expansion: hidden units for each channel.
        shrink: threshold of softshrink; 0 for none.
        residual: adds x, as published. Without it M starts near 1, where it is nearly 0 with it.
        magnitude: M is a function of ``|X|``, so that shifting x shifts the output.
        start: standard deviation of weights and biases at the start.
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        *,
        expansion: int = 1,
        shrink: float = SHRINK,
        activation: str = "relu",
        residual: bool = True,
        magnitude: bool = False,
        start: float = 0.02,
    ) -> None:
        super().__init__()
        width, hidden = channels // blocks, expansion * channels // blocks
        self.maps = nn.ParameterList(
            start * torch.randn(2, blocks, *sides) for sides in ((width, hidden), (hidden, width))
        )
        self.biases = nn.ParameterList(start * torch.randn(blocks, 1, 2 * side) for side in (hidden, width))
        if not residual:
            self.biases[1].data[..., :width] += 1
        self.activation = ACTIVATIONS[activation]()
        self.shrink, self.residual, self.magnitude = shrink, residual, magnitude

    def _layer(self, x: Tensor, number: int, *, real_input: bool = False) -> Tensor:
        real, imaginary = full_precision(self.maps[number]).unbind()
        weight = torch.cat([real, imaginary], -1)
        if not real_input:
            weight = torch.cat([weight, torch.cat([-imaginary, real], -1)], -2)
        return torch.baddbmm(full_precision(self.biases[number]), x, weight)

    def _mask(self, spectrum: Tensor) -> Tensor:
        """M for X (B, C, H, W // 2 + 1)."""
        batch, channels, height, columns = spectrum.shape
        bins, blocks = height * columns, self.biases[0].shape[0]
        parts = spectrum.abs()[..., None] if self.magnitude else torch.view_as_real(spectrum)
        parts = parts.reshape(batch, blocks, channels // blocks, bins, -1)
        # (blocks, B * bins, 2 * C // blocks): in each row the real parts of a block's channels, then the imaginary ones
        rows = parts.permute(1, 0, 3, 4, 2).reshape(blocks, batch * bins, -1)
        mask = self._layer(self.activation(self._layer(rows, 0, real_input=self.magnitude)), 1)
        if self.shrink:
            mask = nn.functional.softshrink(mask, self.shrink)
        # (B, blocks, C // blocks, bins, 2)
        mask = mask.view(blocks, batch, bins, 2, channels // blocks).permute(1, 0, 4, 2, 3).contiguous()
        return torch.view_as_complex(mask.view(*spectrum.shape, 2))

    def forward(self, x: Tensor) -> Tensor:
        with uncast(x):
            spectrum = torch.fft.rfft2(full_precision(x), norm="ortho")  # (B, C, H, W // 2 + 1)
            masked = self._mask(spectrum) * spectrum
            filtered: Tensor = torch.fft.irfft2(masked, s=x.shape[2:], norm="ortho").to(x.dtype)
        return x + filtered if self.residual else filtered


def product_cost(size: int, length: int, rows: int) -> Cost:
    """Cost of `Along` on ``size`` elements: in ``macs_executed``, not in ``macs``."""
    macs = size // length * length * rows
    return Cost(macs_executed=macs, transform_macs=macs)


def gain_cost(size: int, factors: int, *, trained: bool) -> Cost:
    """Cost of `Gain` on ``size`` elements."""
    kept = size if trained else 0
    return elementwise(size, kept) + Cost(parameters=factors, trainable_parameters=factors if trained else 0)


def fourier_filter_cost(size: int, sides: Sequence[int], factors: int, *, trained: bool) -> Cost:
    """Cost of `FourierFilter` on ``size`` elements along ``sides`` with ``factors`` complex factors; it keeps x."""
    products, length = size // sides[-1] * (sides[-1] // 2 + 1), math.prod(sides)
    return Cost(
        transform_flops=2 * int(2.5 * size * math.log2(max(length, 2))),
        elementwise_flops=6 * products,
        parameters=2 * factors,
        trainable_parameters=2 * factors if trained else 0,
        activations=size + (2 * products if trained else 0),
    )


def frequency_mask_cost(
    shape: tuple[int, int, int],
    blocks: int,
    *,
    expansion: int = 1,
    shrink: float = SHRINK,
    activation: str = "relu",
    residual: bool = True,
    magnitude: bool = False,
    trained: bool,
) -> Cost:
    """Cost of `FrequencyMask` for ``shape`` = (C, H, W).

    Kept are its input, the spectrum, the mask with what softshrink reads, the input of an activation or the output of
    ReLU, and what the maps read if they train; once the composed weights.
    """
    channels, height, width = shape
    size, products = channels * height * width, channels * height * (width // 2 + 1)
    weights = expansion * channels * channels // blocks  # real ones of each layer, and as many imaginary ones
    read = 1 if magnitude else 2  # real numbers of each bin that the first layer reads
    parameters = 4 * weights + 2 * expansion * channels + 2 * channels
    macs = (2 * read + 4) * weights * products // channels
    hidden = 2 * expansion * products
    kept = size + 4 * products + hidden + (2 * products if shrink else 0) + (read * products if trained else 0)
    kept += hidden if activation != "relu" and trained else 0
    work = hidden + (2 * products if shrink else 0) + 6 * products + (products if magnitude else weights) + weights
    return Cost(
        macs=macs,
        macs_executed=macs,
        transform_flops=2 * int(2.5 * size * math.log2(max(height * width, 2))),
        elementwise_flops=work + (size if residual else 0),
        parameters=parameters,
        trainable_parameters=parameters if trained else 0,
        activations=kept,
        kept_once=(2 * read + 4) * weights,
    )

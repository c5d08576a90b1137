"""Figures of mixing layers: spectra of filter banks ``(N, 1, k, k)`` or ``(N, k, k)``, width and singular values.

2503.16760 explains which frozen banks fail (box, one filter for all channels) by poor coverage of the spectrum. That is
half of it: ``identity`` covers all and fails too, being one filter only; ``impulse``, as flat, does not (2401.12511).
So read coverage and effective rank together. The paper has no formulas; these definitions are ours: filters are scaled
to L2 norm 1 and their spectra W_i taken on a 32 x 32 grid, so that the mean of |W_i|^2 is 1; the envelope is the
largest |W_i| at each frequency.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape

GRID = 32
"""Side of the grid of frequencies, in multiples of 1/32 cycle a pixel."""


@dataclass(frozen=True)
class BankFigures:
    """Spectral figures of a whole bank of depthwise filters (2503.16760)."""

    layer: str
    filters: int
    trained: bool
    coverage: float
    flatness: float
    high_frequency: float
    rank: float


@dataclass(frozen=True)
class MixingFigures:
    """A mixing layer as one wide, sparse matrix product (2306.01470).

    Args:
        width: m, elements of the table that it acts on.
        omega: mean non-zeros of its effective matrices.
        density: share of non-zeros in them.
        sigma_max: their largest singular values.
    """

    layer: str
    width: int
    omega: float
    density: float
    sigma_max: tuple[float, ...]


@runtime_checkable
class Factored(Protocol):
    """A mixing layer that states its matrices."""

    def factors(self) -> Iterable[Tensor]:
        """Its two matrices in order of execution; the effective ones are block-diagonal with copies of them."""
        ...


def bank_figures(network: nn.Module) -> list[BankFigures]:
    """Figures of every depthwise bank of square filters larger than one pixel, in order of execution."""
    return [
        BankFigures(
            layer=name,
            filters=len(module.weight),
            trained=module.weight.requires_grad,
            coverage=coverage(module.weight),
            flatness=flatness(module.weight),
            high_frequency=high_frequency_ratio(module.weight),
            rank=effective_rank(module.weight),
        )
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.weight.shape[1] == 1 < module.groups and module.kernel_size[0] > 1
    ]


def mixing_figures(network: nn.Module, shape: Shape) -> list[MixingFigures]:
    """Figures of every `Factored` layer, in order of execution, for images ``shape`` = (C, H, W)."""
    found: list[MixingFigures] = []

    def measure(name: str, layer: Factored) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            width = inputs[0][0].numel()
            first, second = [matrix.detach() for matrix in layer.factors()]
            # The first matrix reads the table of m elements, the second writes it, block by block.
            copies = (width // first.shape[1], width // second.shape[0])
            nonzeros = [n * int(f.count_nonzero()) for n, f in zip(copies, (first, second), strict=True)]
            sizes = [n * n * f.numel() for n, f in zip(copies, (first, second), strict=True)]
            sigma = (_largest_singular_value(first), _largest_singular_value(second))
            found.append(MixingFigures(name, width, sum(nonzeros) / 2, sum(nonzeros) / sum(sizes), sigma))

        return hook

    handles = [
        network.get_submodule(name).register_forward_hook(measure(name, module))
        for name, module in network.named_modules()
        if isinstance(module, Factored)
    ]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    finally:
        for handle in handles:
            handle.remove()
    return found


def sigma_max(layer: nn.Module) -> tuple[float, ...]:
    """Largest singular value of every effective matrix of a layer or network.

    That of a Kronecker product with an identity, permuted or not, is that of its block: nothing large is formed.

    Raises:
        ValueError: if no module in it is `Factored`.
    """
    layers = [module for module in layer.modules() if isinstance(module, Factored)]
    if not layers:
        raise ValueError(
            f"sigma_max needs a token, channel, raft or sparse MLP or an S-Mixer, got {type(layer).__name__}."
        )
    return tuple(_largest_singular_value(matrix) for module in layers for matrix in module.factors())


def coverage(bank: Tensor) -> float:
    """Share of the frequencies at which some filter passes at least what a flat spectrum would."""
    return float((_spectra(bank).amax(0) >= 0.999).double().mean())


def flatness(bank: Tensor) -> float:
    """Geometric over arithmetic mean of the envelope: 1 for a flat one, near 0 if it has zeros."""
    envelope = _spectra(bank).amax(0)
    return float(envelope.clamp_min(1e-12).log().mean().exp() / envelope.mean())


def high_frequency_ratio(bank: Tensor) -> float:
    """Share of the bank's energy at radial frequencies above 1/4 cycle a pixel; 0.808 for white filters."""
    energy = _spectra(bank).square().mean(0)
    frequency = torch.fft.fftfreq(GRID, dtype=torch.float64, device=bank.device)
    high = frequency[:, None].square() + frequency.square() > 0.25**2
    return float(energy[high].sum() / energy.sum())


def effective_rank(bank: Tensor) -> float:
    """Exponential of the entropy of the normalised squared singular values of the N x k^2 matrix: 1 to min(N, k^2)."""
    share = torch.linalg.svdvals(_normalised(bank).flatten(1)).square()
    share = share / share.sum()
    return float(torch.special.entr(share).sum().exp())


def _normalised(bank: Tensor) -> Tensor:
    """(N, k, k) in float64, every filter of L2 norm 1.

    Raises:
        ValueError: if this is not a bank of square filters, or one of them is zero.
    """
    if bank.dim() == 4 and bank.shape[1] == 1:
        bank = bank.squeeze(1)
    if bank.dim() != 3 or not bank.shape[0] or not 1 <= bank.shape[1] == bank.shape[2] <= GRID:
        raise ValueError(
            f"a bank must be (N, 1, k, k) or (N, k, k) with N at least 1 and k at most {GRID}, got {tuple(bank.shape)}."
        )
    bank = bank.detach().double()
    norms = bank.flatten(1).norm(dim=1)
    if not norms.all():
        raise ValueError("every filter of a bank must differ from zero, got one that is zero.")
    filters: Tensor = bank / norms.view(-1, 1, 1)
    return filters


def _spectra(bank: Tensor) -> Tensor:
    """(N, GRID, GRID): the magnitudes |W_i|."""
    magnitudes: Tensor = torch.fft.fft2(_normalised(bank), s=(GRID, GRID)).abs()
    return magnitudes


def _largest_singular_value(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix.detach(), ord=2))

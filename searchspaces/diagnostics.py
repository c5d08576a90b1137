"""Spectral diagnostics of a filter bank ``(N, 1, k, k)`` or ``(N, k, k)``: how much of the spectrum, how many filters.

2503.16760 explains which frozen banks fail (box, one filter for all channels) by poor coverage of the spectrum. That is
half of it: ``identity`` covers all and fails too, being one filter only; ``impulse``, as flat, does not (2401.12511).
So read coverage and effective rank together. The paper gives no formulas; these definitions are ours.

Filters are scaled to L2 norm 1 and their spectra W_i taken on a 32 x 32 grid, so that the mean of |W_i|^2 is 1; the
envelope is the largest |W_i| at each frequency.
"""

import torch
from torch import Tensor

GRID = 32
"""Side of the grid of frequencies, in multiples of 1/32 cycle a pixel."""


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
        ValueError: if this is no bank of square filters, or one of them is zero.
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

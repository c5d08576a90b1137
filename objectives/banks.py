"""Spectra and ranks of banks of depthwise filters ``(N, 1, k, k)`` or ``(N, k, k)``, frozen ones above all.

2503.16760 explains which frozen banks fail (box, one filter for all channels) by poor coverage of the spectrum. That is
half of it: ``identity`` covers all and fails too, being one filter only; ``impulse``, as flat, does not (2401.12511).
So read coverage and effective rank together. The paper has no formulas; these definitions are ours: filters are scaled
to L2 norm 1 and their spectra W_i taken on a 32 x 32 grid, so that the mean of |W_i|^2 is 1; the envelope is the
largest |W_i| at each frequency.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from objectives.objective import Candidate, Direction, Estimate, Needs, Objective, Scale, objective

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
class OfBanks(Objective):
    """Mean figure of the frozen banks, or of those that train, as they start, if none is frozen.

    A network without a bank passes every frequency once, as one identity filter does; the value carries a flag then.
    """

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "weights"

    figure: ClassVar[Callable[[BankFigures], float]]

    def measure(self, candidate: Candidate) -> Estimate:
        chosen = _chosen(bank_figures(candidate.model))
        if not chosen:
            return Estimate(1.0, flags=("no_filter_bank",))
        return Estimate(sum(type(self).figure(bank) for bank in chosen) / len(chosen))

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        chosen = _chosen(bank_figures(candidate.model))
        return {"banks": len(chosen), "frozen": bool(chosen) and not chosen[0].trained}


def _chosen(figures: Sequence[BankFigures]) -> list[BankFigures]:
    return [bank for bank in figures if not bank.trained] or list(figures)


@objective("spectral_coverage")
@dataclass(frozen=True)
class SpectralCoverage(OfBanks):
    """Share of the frequencies at which some filter of a bank passes at least what a flat spectrum would."""

    scale: ClassVar[Scale] = "fraction"

    figure: ClassVar[Callable[[BankFigures], float]] = staticmethod(lambda bank: bank.coverage)


@objective("effective_rank")
@dataclass(frozen=True)
class EffectiveRank(OfBanks):
    """How many different filters a bank is worth, from 1 to their number or size."""

    scale: ClassVar[Scale] = "count"
    unit: ClassVar[str] = "filters"

    def worst(self) -> float:
        return 0.99  # one filter is worth 1

    figure: ClassVar[Callable[[BankFigures], float]] = staticmethod(lambda bank: bank.rank)


def banks(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and weights (N, 1, k, k) of every depthwise bank of square filters, in order of execution."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.shape[1] == 1 < module.groups and module.kernel_size[0] > 1:
            yield name, module.weight


def bank_figures(network: nn.Module) -> list[BankFigures]:
    """Figures of every bank of `banks`."""
    return [
        BankFigures(
            layer=name,
            filters=len(weight),
            trained=weight.requires_grad,
            coverage=coverage(weight),
            flatness=flatness(weight),
            high_frequency=high_frequency_ratio(weight),
            rank=effective_rank(weight),
        )
        for name, weight in banks(network)
    ]


def envelope(bank: Tensor) -> Tensor:
    """(GRID, GRID): the largest magnitude of a filter of a bank at each frequency, that of zero first."""
    return _spectra(bank).amax(0)


def coverage(bank: Tensor) -> float:
    """Share of the frequencies at which some filter passes at least what a flat spectrum would."""
    return float((envelope(bank) >= 0.999).double().mean())


def flatness(bank: Tensor) -> float:
    """Geometric over arithmetic mean of the envelope: 1 for a flat one, near 0 if it has zeros."""
    seen = envelope(bank)
    return float(seen.clamp_min(1e-12).log().mean().exp() / seen.mean())


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

"""What the mixing layers of a network are like: spectra of filter banks, width and singular values of matrices."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from searchspaces import Network, Shape
from searchspaces.diagnostics import coverage, effective_rank, flatness, high_frequency_ratio


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


def mixing_figures(network: Network, shape: Shape) -> list[MixingFigures]:
    """Figures of every layer that states its mixing matrices (``factors``), for images ``shape`` = (C, H, W)."""
    found: list[MixingFigures] = []

    def looking(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            width = inputs[0][0].numel()
            first, second = [matrix.detach() for matrix in module.factors()]  # type: ignore[operator]
            copies = (width // first.shape[1], width // second.shape[0])
            nonzeros = [n * int(f.count_nonzero()) for n, f in zip(copies, (first, second), strict=True)]
            sizes = [n * n * f.numel() for n, f in zip(copies, (first, second), strict=True)]
            sigma = tuple(float(torch.linalg.matrix_norm(f, ord=2)) for f in (first, second))
            found.append(MixingFigures(name, width, sum(nonzeros) / 2, sum(nonzeros) / sum(sizes), sigma))

        return look

    handles = [m.register_forward_hook(looking(n)) for n, m in network.named_modules() if hasattr(m, "factors")]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    finally:
        for handle in handles:
            handle.remove()
    return found

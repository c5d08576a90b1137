"""Figures of mixing layers as wide, sparse matrix products (2306.01470): width, density and singular values."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape

SMALL = 64
"""Side up to which a sparse matrix is made dense for its singular values."""


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
        """Its two matrices in order of execution, of which some are sparse.

        The effective ones are block-diagonal: with copies of a matrix, or with the matrices of a stack (n1, rows,
        columns).
        """
        ...


def mixing_figures(network: nn.Module, shape: Shape) -> list[MixingFigures]:
    """Figures of every `Factored` layer, in order of execution, for images ``shape`` = (C, H, W)."""
    found: list[MixingFigures] = []

    def measure(name: str, layer: Factored) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            width = inputs[0][0].numel()
            first, second = [matrix.detach() for matrix in layer.factors()]
            # The first matrix reads the table of m elements, the second writes it, block by block.
            blocks = (width // first.shape[-1], width // second.shape[-2])
            both = list(zip(blocks, (first, second), strict=True))
            nonzeros = [(n if matrix.ndim == 2 else 1) * _nonzeros(matrix) for n, matrix in both]
            sizes = [n * n * matrix.shape[-2] * matrix.shape[-1] for n, matrix in both]
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


def _nonzeros(matrix: Tensor) -> int:
    return int((matrix.values() if matrix.is_sparse else matrix).count_nonzero())


def _largest_singular_value(matrix: Tensor) -> float:
    """Of a matrix, or of all in a stack; a large sparse one is not made dense."""
    matrix = matrix.detach()
    if matrix.is_sparse and min(matrix.shape) > SMALL:
        import scipy.sparse.linalg  # takes as long to import as all of this module

        lists = matrix.cpu().double()
        form = scipy.sparse.coo_array((lists.values(), lists.indices()), lists.shape)
        found = scipy.sparse.linalg.svds(form, k=1, v0=np.ones(min(lists.shape)), return_singular_vectors=False)
        return float(found[0])
    return float(torch.linalg.matrix_norm(matrix.to_dense(), ord=2).max())

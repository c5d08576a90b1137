"""Linear CKA: how alike the layers of two networks represent the same images.

Source: Nguyen et al. 2021 (2010.15327), equations 2 and 3: the unbiased estimator of HSIC in batches, summed before the
ratio, so that batches of a few images suffice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from searchspaces.network import Network

LEAST = 4
"""Images in a batch, at least: with fewer the estimator divides by zero."""


@dataclass(frozen=True)
class Similarity:
    """CKA of each layer of one network with each of another.

    Args:
        rows, columns: names of the layers of the first and of the second network, in order of execution.
        cka: (rows, columns), 1 for layers that are alike up to rotation and scale; about 0, and below it by chance, for
            layers that have nothing in common. A layer that says the same of all images has 0 with every other.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cka: Tensor

    @property
    def diagonal(self) -> float | None:
        """Mean over layers of the same place, the statistic of 2306.01470; None if one network has more layers."""
        return float(self.cka.diagonal().mean()) if len(self.rows) == len(self.columns) else None


@torch.no_grad()
def linear_cka(first: Network, second: Network, batches: Iterable[Tensor]) -> Similarity:
    """Compares stem, blocks and head of two networks in eval mode.

    Args:
        batches: images (B, C, H, W), of at least 4 each.

    Raises:
        ValueError: if there is no batch, or one is too small.
    """
    products: list[tuple[Tensor, Tensor, Tensor]] = []
    for images in batches:
        if len(images) < LEAST:
            raise ValueError(f"CKA needs batches of at least {LEAST} images, got {len(images)}.")
        k, m = _grams(first.eval(), images), _grams(second.eval(), images)
        products.append((_hsic(k, m), _hsic(k, k).diagonal(), _hsic(m, m).diagonal()))
    if not products:
        raise ValueError("CKA needs images, got none.")
    both, one, other = (sum(parts[1:], parts[0]) for parts in zip(*products, strict=True))
    scale = (one[:, None] * other).clamp_min(0).sqrt()
    cka = torch.where(scale > 0, both / scale, 0.0)
    return Similarity(tuple(_layers(first)), tuple(_layers(second)), cka)


def _layers(network: Network) -> dict[str, nn.Module]:
    """The parts that are compared, in order of execution."""
    blocks = {f"blocks.{number}": block for number, block in enumerate(network.blocks)}
    return {"stem": network.stem, **blocks, "head": network.head}


def _grams(network: Network, images: Tensor) -> Tensor:
    """(layers, n, n): products of the features of each two images, zero on the diagonal."""
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        features = output.flatten(1).double()
        found.append((features @ features.T).fill_diagonal_(0))

    handles = [layer.register_forward_hook(keep) for layer in _layers(network).values()]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(found)


def _hsic(k: Tensor, m: Tensor) -> Tensor:
    """HSIC1 of each of the matrices ``k`` (a, n, n) with each of ``m`` (b, n, n): (a, b)."""
    n = k.shape[1]
    products = k.flatten(1) @ m.flatten(1).T  # tr(K M) of symmetric matrices
    sums = k.sum((1, 2))[:, None] * m.sum((1, 2)) / ((n - 1) * (n - 2))
    rows = 2 / (n - 2) * k.sum(2) @ m.sum(2).T
    return (products + sums - rows) / (n * (n - 3))

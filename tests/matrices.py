"""Mixing as products with matrices in float64: what tests of the permuted-Kronecker family compare layers with."""

import torch
from torch import Tensor

from searchspaces.freezing import Mixer
from searchspaces.layers.permutations import PermutedMLP


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def eye(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64)


def matrix(index: Tensor) -> Tensor:
    """The permutation matrix J of an index, ``J x = x[index]``."""
    return eye(len(index))[index]


def kron(a: Tensor, b: Tensor) -> Tensor:
    """torch.kron, which takes no transposed matrices of one row or column."""
    return torch.kron(a.clone(memory_format=torch.contiguous_format), b.clone(memory_format=torch.contiguous_format))


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


def lively(mixer: Mixer) -> Mixer:
    """The mixer in float64 with biases that are not zero."""
    for parameter in mixer.double().parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return mixer


def effective(layer: PermutedMLP, x: Tensor) -> Tensor:
    """The layer by its definition, on vectors (B, m), with Kronecker products and permutation matrices in full."""
    size = x.shape[1]
    if layer.random:
        j1, j2 = matrix(layer.before), matrix(layer.after)
    else:
        index = layer.arrange(torch.arange(size).view(1, -1)).flatten()
        j1, j2 = matrix(index), matrix(index).T
    blocks = size // layer.length
    up, down = (torch.block_diag(*w.expand(blocks, *w.shape[-2:])) for w in layer.factors())
    one, two = (
        maps.bias.repeat(width // len(maps.bias)) for maps, width in ((layer.up, up.shape[0]), (layer.down, size))
    )
    return (layer.activation(x @ j1.T @ up.T + one) @ down.T + two) @ j2.T

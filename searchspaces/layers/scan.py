"""Selective scan: ``h_t = exp(delta_t A) h_(t-1) + delta_t B_t u_t``, ``y_t = C_t h_t``, without a loop over tokens.

The N tokens are cut into about sqrt(N) chunks of about sqrt(N). All chunks are scanned side by side from zero, which
yields their last states; these are carried from chunk to chunk; a second pass starts every chunk from the state that it
inherits. No product of decays is divided by, so that nothing can overflow. States are not kept: the backward pass
computes them again. Rows are worked on in groups whose states fit a cache, or the memory of a GPU.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from searchspaces.costs import Cost

CACHED, ON_GPU = 2**19, 2**25
"""States of a group of rows that are worked on together, on a CPU and on a GPU, unless one row has more."""


def chunks(tokens: int) -> tuple[int, int]:
    """Length of a chunk and number of chunks; the last one may be filled up."""
    length = math.ceil(math.sqrt(tokens))
    return length, math.ceil(tokens / length)


def selective_scan(delta: Tensor, u: Tensor, b: Tensor, c: Tensor, a: Tensor) -> Tensor:
    """y (K, B, N, E) for K independent sets of weights.

    Args:
        delta, u: (K, B, N, E), step sizes and inputs.
        b, c: (K, B, N, S), what a token writes into the states, and reads from them.
        a: (K, S, E), negative.
    """
    y: Tensor = _Scan.apply(delta, u, b, c, a)  # type: ignore[no-untyped-call]
    return y


def selective_scan_cost(tokens: int, channels: int, states: int) -> Cost:
    """Cost of one direction of `selective_scan`, without what it keeps."""
    length, number = chunks(tokens)
    row, size = channels * states, channels * states * length * number
    first = 2 * (length - 1) * number * row  # a product and a sum for each state
    carried = 2 * number * row + (number - 1) * row
    second = (number - 1) * row + (length - 1) * number * row
    work = 3 * size + 2 * length * number * channels + first + carried + second
    return Cost(macs=size, macs_executed=size, elementwise_flops=work)


@dataclass
class _Rows:
    """Some rows of one set of weights, chunk by chunk: (G, L, M, E or S), token m L + l at [l, m]."""

    delta: Tensor
    u: Tensor
    b: Tensor
    c: Tensor
    a: Tensor

    @classmethod
    def of(cls, tensors: Sequence[Tensor], weights: int, some: slice) -> "_Rows":
        """From delta, u, b, c and a of all rows and weights."""
        delta, u, b, c = (_chunked(t[weights, some]) for t in tensors[:4])
        return cls(delta, u, b, c, tensors[4][weights])

    def decays(self) -> tuple[Tensor, Tensor]:
        """exp(delta A) of each token, (G, L, M, S, E), and the product of each chunk, (G, M, S, E)."""
        each = (self.delta[..., None, :] * self.a).exp_()
        return each, (self.delta.sum(1)[..., None, :] * self.a).exp_()

    def states(self, each: Tensor, whole: Tensor) -> Tensor:
        """h, (G, L, M, S, E)."""
        h = (self.delta * self.u)[..., None, :] * self.b[..., None]
        length, number = h.shape[1:3]
        ends = h[:, 0].clone()
        for step in range(1, length):
            ends.mul_(each[:, step]).add_(h[:, step])
        for chunk in range(1, number):
            ends[:, chunk].addcmul_(whole[:, chunk], ends[:, chunk - 1])
        h[:, 0, 1:].addcmul_(each[:, 0, 1:], ends[:, :-1])
        for step in range(1, length):
            h[:, step].addcmul_(each[:, step], h[:, step - 1])
        return h

    def adjoint(self, each: Tensor, whole: Tensor, gradient: Tensor) -> Tensor:
        """Gradients of the states: the same scan from the last token to the first."""
        g = self.c[..., None] * gradient[..., None, :]
        length, number = g.shape[1:3]
        starts = g[:, -1].clone()
        for step in range(length - 2, -1, -1):
            starts.mul_(each[:, step + 1]).add_(g[:, step])
        starts.mul_(each[:, 0])
        for chunk in range(number - 2, -1, -1):
            starts[:, chunk].addcmul_(whole[:, chunk], starts[:, chunk + 1])
        g[:, -1, :-1] += starts[:, 1:]
        for step in range(length - 2, -1, -1):
            g[:, step].addcmul_(each[:, step + 1], g[:, step + 1])
        return g


def _chunked(rows: Tensor) -> Tensor:
    """(G, N, F) to (G, L, M, F)."""
    length, number = chunks(rows.shape[1])
    filled = F.pad(rows, (0, 0, 0, length * number - rows.shape[1]))
    return filled.view(rows.shape[0], number, length, -1).transpose(1, 2).contiguous()


def _flat(cut: Tensor, tokens: int) -> Tensor:
    """(G, L, M, F) to (G, N, F)."""
    return cut.transpose(1, 2).flatten(1, 2)[:, :tokens]


def _times(vectors: Tensor, matrices: Tensor) -> Tensor:
    """Products of every token's vector (..., R) with its matrix (..., R, F)."""
    shape = matrices.shape
    found = torch.bmm(vectors.reshape(-1, 1, shape[-2]), matrices.reshape(-1, *shape[-2:]))
    return found.view(*shape[:-2], shape[-1])


def _groups(delta: Tensor, a: Tensor) -> Iterator[tuple[int, slice]]:
    """Weights and rows of each group; of a graph that is taken, which is for any batch, all rows are one."""
    sets, batch, tokens, channels = delta.shape
    if torch.compiler.is_compiling():
        yield from ((weights, slice(None)) for weights in range(sets))
        return
    most = max(1, (ON_GPU if delta.is_cuda else CACHED) // (tokens * channels * a.shape[1]))
    for weights in range(sets):
        for first in range(0, batch, most):
            yield weights, slice(first, first + most)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, delta: Tensor, u: Tensor, b: Tensor, c: Tensor, a: Tensor) -> Tensor:
        ctx.save_for_backward(delta, u, b, c, a)
        y = torch.empty_like(u)
        for weights, some in _groups(delta, a):
            rows = _Rows.of((delta, u, b, c, a), weights, some)
            y[weights, some] = _flat(_times(rows.c, rows.states(*rows.decays())), u.shape[2])
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        delta, u, b, c, a = ctx.saved_tensors
        found = [torch.empty_like(t) for t in (delta, u, b, c)] + [torch.zeros_like(a)]
        for weights, some in _groups(delta, a):
            rows = _Rows.of((delta, u, b, c, a), weights, some)
            gradient = _chunked(gradients[0][weights, some])
            each, whole = rows.decays()
            h, g = rows.states(each, whole), rows.adjoint(each, whole, gradient)
            of_c = _times(gradient, h.transpose(-1, -2))
            driven = _times(rows.b, g)
            of_b = _times(rows.delta * rows.u, g.transpose(-1, -2))
            # In place of the decays, the gradients of delta A: g_t exp(delta_t A) h_(t-1).
            each[:, 1:] *= h[:, :-1]
            each[:, 0, 1:] *= h[:, -1, :-1]
            each[:, 0, 0] = 0
            each *= g
            found[4][weights] += (each * rows.delta[..., None, :]).sum((0, 1, 2))
            of_delta = each.mul_(rows.a).sum(-2).addcmul_(driven, rows.u)
            for whole_gradient, part in zip(found, (of_delta, driven * rows.delta, of_b, of_c), strict=False):
                whole_gradient[weights, some] = _flat(part, u.shape[2])
        return tuple(found)

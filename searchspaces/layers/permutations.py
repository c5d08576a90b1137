"""Permuted-Kronecker layers: a block MLP between two permutations of the table of tokens and channels (2306.01470).

A table X of S tokens and C channels is the vector ``vec(X)`` of its columns, x[c S + s] = X[s, c]: the memory order of
``(B, C, H, W)``, so ``x.flatten(1)`` is vec. On m = S C = n1 n2 elements the layer computes
``u = J2 (I_{n1} kron W2) phi((I_{n1} kron W1) J1 x)`` with W1 (h, n2), W2 (n2, h) and biases: one MLP shared by n1
blocks of n2 elements. Token mixing has n2 = S and J1 = J2 = I; channel mixing n2 = C, J1 = J_c and J2 = J_c^T. RP-Mixer
draws J1 and J2 at random, once. Unshared, every block has an MLP of its own: the two mixings of a network are then the
factors of Monarch matrices (2204.00595), those of a Mixer the case of equal blocks. Neither Kronecker products nor
matrices J are ever formed: a commutation is a view, a random permutation one ``index_select``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape
from searchspaces.costs import Cost, elementwise, linear
from searchspaces.layers.activations import ACTIVATIONS
from searchspaces.layers.draws import Draw, Words, new_seed, put
from searchspaces.registry import check_one_of

Permutation = Literal["commutation", "random", "random_inverse", "identity"]
"""J1 and J2: the operator's own transposition and its inverse; two independent random permutations; a random one and
its inverse; none."""
PERMUTATIONS: tuple[Permutation, ...] = get_args(Permutation)

MlpActivation = Literal["gelu", "relu"]
"""Activations of the layers of this family."""
MLP_ACTIVATIONS: tuple[MlpActivation, ...] = get_args(MlpActivation)


def vec(table: Tensor) -> Tensor:
    """Columns of ``table`` (..., S, C) one below the other, (..., S C)."""
    return table.mT.flatten(-2)


def commutation(tokens: int, channels: int) -> Tensor:
    """Index of J_c, (S C,): ``vec(X)[index] = vec(X^T)`` for X (S, C)."""
    return torch.arange(tokens * channels).view(channels, tokens).t().reshape(-1)


def draw_order(size: int, words: Words) -> Tensor:
    """Index of a random J, int64 (size,): ``(J x)[i] = x[index[i]]``."""
    return torch.from_numpy(words.order(size))


def draw_inverse(size: int, words: Words) -> Tensor:
    """Index of the inverse of what `draw_order` returns."""
    return torch.from_numpy(words.order(size).argsort())


def draw(kind: Permutation, size: int) -> tuple[Draw, Draw]:
    """Indices of random J1 and J2."""
    before = Draw(partial(draw_order, size), (size,), new_seed(), torch.int64)
    if kind == "random_inverse":
        return before, replace(before, make=partial(draw_inverse, size))
    return before, replace(before, seed=new_seed())


def check_mlp(expansion: float, hidden: int, activation: str, permutation: str = "commutation") -> None:
    """Makes sure that the fields that the operators of this family share have values that make sense.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    if not 0 < expansion < math.inf or hidden < 0:
        raise ValueError(
            f"expansion must be positive and hidden at least 0 (0: from expansion), "
            f"got expansion={expansion}, hidden={hidden}."
        )
    check_one_of("activation", activation, MLP_ACTIVATIONS)
    check_one_of("permutation", permutation, PERMUTATIONS)


def hidden_units(length: int, expansion: float, hidden: int = 0) -> int:
    """Hidden units of a block of ``length``: ``hidden`` unless it is 0, else the expansion, rounded, at least 1."""
    return hidden or max(1, round(expansion * length))


def mlp_label(
    name: str, expansion: float, hidden: int, activation: str, permutation: str = "commutation", *, shared: bool = True
) -> str:
    """Label such as ``token_mlp x0.5``, followed by the fields that are not at their usual value."""
    size = f"h{hidden}" if hidden else f"x{expansion:g}"
    rest = [word for word in (activation, permutation) if word not in ("gelu", "commutation")]
    return " ".join([name, size, *rest, *([] if shared else ["unshared"])])


def mlp_cost(
    size: int,
    length: int,
    hidden: int,
    activation: MlpActivation,
    permutation: Permutation,
    *,
    trained: bool,
    shared: bool = True,
) -> Cost:
    """Cost of a `PermutedMLP` over ``size`` elements in blocks of ``length``."""
    units = size // length * hidden
    mlps = 1 if shared else size // length
    up = linear(size * hidden, mlps * (length * hidden + hidden), size, trained=trained)
    down = linear(size * hidden, mlps * (hidden * length + length), units, trained=trained)
    # ReLU keeps its output, which is what the second matrix keeps too.
    kept = units if activation == "gelu" or not trained else 0
    indices = 2 * 8 * size if permutation.startswith("random") else 0
    return up + elementwise(units, kept=kept) + down + Cost(buffer_bytes=indices)


def _channels_last(x: Tensor) -> bool:
    """Whether the channels of a position are neighbours in memory; then a permutation works on them in that order.

    Copying them to the usual order first costs as much as the permutation.
    """
    # Not is_contiguous(memory_format=...), which does not work under torch.vmap.
    return x.stride(1) == 1 and x.shape[1] > 1


def _derive_channels_last(layer: "PermutedMLP", *loaded: object) -> None:
    """Computes the random permutations of a layer for channels-last memory, which checkpoints do not hold."""
    places = torch.arange(len(layer.before), device=layer.before.device).view(-1, layer.channels).T.flatten()
    layer.register_buffer("before_last", places.index_select(0, layer.before), persistent=False)
    layer.register_buffer("after_last", layer.after.view(layer.channels, -1).T.flatten(), persistent=False)


class BlockLinear(nn.Module):
    """A linear map of its own for each of n1 blocks, ``(B, n1, inputs) -> (B, n1, outputs)``."""

    def __init__(self, blocks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.in_features = inputs
        self.weight = nn.Parameter(torch.empty(blocks, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(blocks * outputs))  # a vector, as all biases are, which do not decay

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias.view(len(self.weight), 1, -1)  # (n1, 1, outputs)
        return torch.baddbmm(bias, x.transpose(0, 1), self.weight.mT).transpose(0, 1)


class PermutedMLP(nn.Module):
    """Permuted-Kronecker MLP ``(B, C, H, W) -> (B, C, H, W)``.

    Weights start normal with variance 1 / fan-in (LeCun, as the official token mixing), biases at 0, so that networks
    of this family and sparse ones of equal width start with equal scales.

    Args:
        length: n2, elements of a block; must divide C H W.
        shared: one MLP for all blocks, not one for each.
        sizes, order: the transposition of ``commutation``: the table viewed as ``sizes``, its axes in ``order``.
    """

    before: Tensor
    after: Tensor
    before_last: Tensor
    after_last: Tensor

    def __init__(
        self,
        shape: Shape,
        length: int,
        hidden: int,
        *,
        activation: MlpActivation = "gelu",
        permutation: Permutation = "commutation",
        shared: bool = True,
        sizes: Sequence[int],
        order: Sequence[int],
    ) -> None:
        super().__init__()
        self.length, self.random = length, permutation.startswith("random")
        self.sizes = tuple(sizes)
        self.order = tuple(order) if permutation == "commutation" else tuple(range(len(sizes)))
        if self.random:
            before, after = draw(permutation, shape[0] * shape[1] * shape[2])
            put(self, "before", before)
            put(self, "after", after)
            self.channels = shape[0]
            _derive_channels_last(self)
            self.register_load_state_dict_post_hook(_derive_channels_last)  # type: ignore[no-untyped-call]
        blocks = shape[0] * shape[1] * shape[2] // length
        self.up, self.down = (
            nn.Linear(*sides) if shared else BlockLinear(blocks, *sides)
            for sides in ((length, hidden), (hidden, length))
        )
        self.activation = ACTIVATIONS[activation]()
        for layer in (self.up, self.down):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        # Contiguous, because on other rows a linear layer adds its bias in a pass of its own. After a LayerNorm the
        # rows of channel mixing are contiguous already.
        rows = self.arrange(x).contiguous()
        return self.restore(self.down(self.activation(self.up(rows))), x)

    def arrange(self, x: Tensor) -> Tensor:
        """J1: ``(B, C, H, W)`` to the blocks ``(B, n1, n2)``."""
        if self.random:
            # index_select takes an eighth of the time of indexing, measured.
            if _channels_last(x):
                x = x.permute(0, 2, 3, 1).flatten(1).index_select(1, self.before_last)  # (B, H W C) to (B, C H W)
            else:
                x = x.flatten(1).index_select(1, self.before)  # (B, C H W)
        else:
            x = x.reshape(-1, *self.sizes).permute(0, *(axis + 1 for axis in self.order))
        return x.reshape(x.shape[0], -1, self.length)

    def restore(self, rows: Tensor, like: Tensor) -> Tensor:
        """J2: the blocks ``(B, n1, n2)`` to the shape of ``like``."""
        if self.random:
            if _channels_last(like):
                last = like.permute(0, 2, 3, 1).shape  # (B, H, W, C)
                return rows.flatten(1).index_select(1, self.after_last).view(last).permute(0, 3, 1, 2)
            return rows.flatten(1).index_select(1, self.after).view(like.shape)
        table = rows.reshape(-1, *(self.sizes[axis] for axis in self.order))
        inverse = (self.order.index(axis) + 1 for axis in range(len(self.order)))
        return table.permute(0, *inverse).reshape(like.shape)

    def factors(self) -> Iterable[Tensor]:
        """W1 and W2, of which the effective matrices have copies; unshared all of their blocks."""
        return self.up.weight, self.down.weight

"""Permuted-Kronecker layers: a block MLP between two permutations of the table of tokens and channels (2306.01470).

A table X of S tokens and C channels is the vector ``vec(X)`` of its columns, x[c S + s] = X[s, c]: the memory order of
``(B, C, H, W)``, so ``x.flatten(1)`` is vec. On m = S C = n1 n2 elements the layer computes

    u = J2 (I_{n1} kron W2) phi((I_{n1} kron W1) J1 x),    W1 (h, n2), W2 (n2, h), with biases,

one MLP shared by n1 blocks of n2 elements. Token mixing has n2 = S and J1 = J2 = I; channel mixing n2 = C, J1 = J_c and
J2 = J_c^T. RP-Mixer draws J1 and J2 at random, once. Neither Kronecker products nor matrices J are ever formed: a
commutation is a view, a random permutation one ``index_select`` (8 times as fast as indexing, measured).
"""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape
from searchspaces.costs import Cost, elementwise, linear

Permutation = Literal["commutation", "random", "random_inverse", "identity"]
"""J1 and J2: the operator's own transposition and its inverse; two independent random permutations; a random one and
its inverse; none."""
PERMUTATIONS: tuple[Permutation, ...] = get_args(Permutation)

Activation = Literal["gelu", "relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU}


def vec(table: Tensor) -> Tensor:
    """Columns of ``table`` (..., S, C) one below the other, (..., S C)."""
    return table.mT.flatten(-2)


def commutation(tokens: int, channels: int) -> Tensor:
    """Index of J_c, (S C,): ``vec(X)[index] = vec(X^T)`` for X (S, C)."""
    return torch.arange(tokens * channels).view(channels, tokens).t().reshape(-1)


def draw(kind: Permutation, size: int) -> tuple[Tensor, Tensor]:
    """Indices of random J1 and J2, int64 (size,) each, from torch's global generator: ``(J x)[i] = x[index[i]]``."""
    before = torch.randperm(size)
    return before, before.argsort() if kind == "random_inverse" else torch.randperm(size)


def check_mlp(expansion: float, hidden: int, activation: str, permutation: str = "commutation") -> None:
    """Holds the fields that the operators of this family share to their meaning.

    Raises:
        ValueError: naming the field, what came and what is allowed.
    """
    if expansion <= 0 or hidden < 0:
        raise ValueError(
            f"expansion must be positive and hidden at least 0 (0: from expansion), "
            f"got expansion={expansion}, hidden={hidden}."
        )
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}.")
    if permutation not in PERMUTATIONS:
        raise ValueError(f"permutation must be one of {', '.join(PERMUTATIONS)}, got {permutation!r}.")


def hidden_units(length: int, expansion: float, hidden: int = 0) -> int:
    """Hidden units of a block of ``length``: ``hidden`` if it is given, else the expansion, rounded, at least 1."""
    return hidden or max(1, round(expansion * length))


def mlp_label(name: str, expansion: float, hidden: int, activation: str, permutation: str = "commutation") -> str:
    """``token_mlp x0.5``, and what is not ordinary."""
    size = f"h{hidden}" if hidden else f"x{expansion:g}"
    rest = [word for word in (activation, permutation) if word not in ("gelu", "commutation")]
    return " ".join([name, size, *rest])


def mlp_cost(
    size: int, length: int, hidden: int, activation: Activation, permutation: Permutation, *, trained: bool
) -> Cost:
    """Cost of a `PermutedMLP` over ``size`` elements in blocks of ``length``."""
    units = size // length * hidden
    up = linear(size * hidden, length * hidden + hidden, size, trained=trained)
    down = linear(size * hidden, hidden * length + length, units, trained=trained)
    # ReLU keeps its output, which is what the second matrix keeps too.
    kept = units if activation == "gelu" or not trained else 0
    indices = 2 * 8 * size if permutation.startswith("random") else 0
    return up + elementwise(units, kept=kept) + down + Cost(buffer_bytes=indices)


def _channels_last(x: Tensor) -> bool:
    """Whether the channels of a position lie side by side; then a permutation reads and writes them as they lie.

    To bring them in order first costs as much as the permutation. (`is_contiguous` cannot say it under `torch.vmap`.)
    """
    return x.stride(1) == 1 and x.shape[1] > 1


def _derive_channels_last(layer: "PermutedMLP", *loaded: object) -> None:
    """Works out what the random permutations of a layer are where channels lie side by side; checkpoints lack it."""
    places = torch.arange(len(layer.before), device=layer.before.device).view(-1, layer.channels).T.flatten()
    layer.register_buffer("before_last", places.index_select(0, layer.before), persistent=False)
    layer.register_buffer("after_last", layer.after.view(layer.channels, -1).T.flatten(), persistent=False)


class PermutedMLP(nn.Module):
    """Permuted-Kronecker MLP ``(B, C, H, W) -> (B, C, H, W)``.

    Weights start normal with variance 1 / fan-in (LeCun, as the official token mixing), biases at 0, so that networks
    of this family and sparse ones of equal width start with equal scales.

    Args:
        length: n2, elements of a block; must divide C H W.
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
        activation: Activation = "gelu",
        permutation: Permutation = "commutation",
        sizes: Sequence[int],
        order: Sequence[int],
    ) -> None:
        super().__init__()
        self.length, self.random = length, permutation.startswith("random")
        self.sizes = tuple(sizes)
        self.order = tuple(order) if permutation == "commutation" else tuple(range(len(sizes)))
        if self.random:
            before, after = draw(permutation, shape[0] * shape[1] * shape[2])
            self.register_buffer("before", before)
            self.register_buffer("after", after)
            self.channels = shape[0]
            _derive_channels_last(self)
            self.register_load_state_dict_post_hook(_derive_channels_last)  # type: ignore[no-untyped-call]
        self.up, self.down = nn.Linear(length, hidden), nn.Linear(hidden, length)
        self.activation = ACTIVATIONS[activation]()
        for layer in (self.up, self.down):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        # Contiguous rows, because a linear layer on others adds its bias in a pass of its own; after a LayerNorm the
        # rows of channel mixing are contiguous as they come.
        rows = self.arrange(x).contiguous()
        return self.restore(self.down(self.activation(self.up(rows))), x)

    def arrange(self, x: Tensor) -> Tensor:
        """J1: ``(B, C, H, W)`` to the blocks ``(B, n1, n2)``."""
        if self.random:
            if _channels_last(x):
                x = x.permute(0, 2, 3, 1).flatten(1).index_select(1, self.before_last)
            else:
                x = x.flatten(1).index_select(1, self.before)
        else:
            x = x.reshape(-1, *self.sizes).permute(0, *(axis + 1 for axis in self.order))
        return x.reshape(x.shape[0], -1, self.length)

    def restore(self, rows: Tensor, like: Tensor) -> Tensor:
        """J2: the blocks ``(B, n1, n2)`` to the shape of ``like``."""
        if self.random:
            if _channels_last(like):
                last = like.permute(0, 2, 3, 1).shape
                return rows.flatten(1).index_select(1, self.after_last).view(last).permute(0, 3, 1, 2)
            return rows.flatten(1).index_select(1, self.after).view(like.shape)
        table = rows.view(-1, *(self.sizes[axis] for axis in self.order))
        inverse = (self.order.index(axis) + 1 for axis in range(len(self.order)))
        return table.permute(0, *inverse).reshape(like.shape)

    def factors(self) -> Iterable[Tensor]:
        """W1 and W2, whose copies on a diagonal are the effective matrices."""
        return self.up.weight, self.down.weight

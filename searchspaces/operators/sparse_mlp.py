"""Sparse MLP on the flattened table, ``(B, C, H, W) -> (B, C, H, W)``: the SW-MLP of 2306.01470.

The control of the mixers of the same width m = C H W and density: unstructured sparse matrices M1 * W1 (gamma m, m) and
M2 * W2 (m, gamma m) with static random masks. A mixer's four matrices have density (1/S + 1/C)/2 on average, the
default here. Masks are applied in the forward pass, so that neither momentum nor weight decay can revive a zero. The
dense matrices are stored: meant for m up to about a thousand.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from searchspaces.architecture import ChannelMixer, Shape, TokenMixer, spec
from searchspaces.costs import Cost, elementwise, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.activations import ACTIVATIONS
from searchspaces.layers.permutations import MLP_ACTIVATIONS, MlpActivation, check_mlp, hidden_units, mlp_label
from searchspaces.registry import check_one_of

Mask = Literal["exact", "bernoulli"]


@dataclass(frozen=True)
class _Sparse:
    """``M2 W2 phi(M1 W1 x + b1) + b2`` on the m = C H W elements of the table.

    Args:
        density: share of connections kept, p; 0 for that of a mixer of the same table, (1/S + 1/C)/2.
        expansion: gamma, hidden units for each element of the table.
        mask: ``exact``: round(p gamma m^2) connections in each matrix, at random; ``bernoulli``: each with
            probability p (its ``macs`` are then the expected ones).
    """

    density: float = 0.0
    expansion: float = 1.0
    activation: MlpActivation = "gelu"
    mask: Mask = "exact"

    def __post_init__(self) -> None:
        check_mlp(self.expansion, 0, self.activation)
        if not 0 <= self.density <= 1:
            raise ValueError(f"density must be 0 to 1 (0: that of a mixer), got {self.density}.")
        check_one_of("mask", self.mask, get_args(Mask))

    def sizes(self, shape: Shape) -> tuple[int, int, float]:
        """m, hidden units, density."""
        channels, tokens = shape[0], shape[1] * shape[2]
        size = channels * tokens
        return size, hidden_units(size, self.expansion), self.density or (1 / tokens + 1 / channels) / 2

    def _label(self, name: str) -> str:
        density = f" p{self.density:g}" if self.density else ""
        mask = " bernoulli" if self.mask == "bernoulli" else ""
        return mlp_label(name, self.expansion, 0, self.activation) + density + mask

    def _cost(self, shape: Shape, *, trained: bool) -> Cost:
        size, hidden, density = self.sizes(shape)
        dense = size * hidden
        run = linear(2 * dense, 2 * dense + hidden + size, size + (hidden if self.activation == "gelu" else 0))
        if not trained:
            run = linear(2 * dense, 2 * dense + hidden + size, 0, trained=False)
        masked = elementwise(2 * dense) + Cost(buffer_bytes=2 * dense, kept_once=2 * dense)
        return run + masked + elementwise(hidden, kept=hidden) + Cost(macs=2 * round(density * dense) - 2 * dense)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        """Densities and expansions of layers that fit into the memory of a test."""
        return {
            "density": (0.0, 0.3),
            "expansion": (0.5, 1.0),
            "activation": MLP_ACTIVATIONS,
            "mask": get_args(Mask),
        }


@spec("sparse_mlp")
@dataclass(frozen=True)
class SparseMLP(_Sparse, TokenMixer):
    __doc__ = _Sparse.__doc__

    def label(self) -> str:
        return self._label("sparse_mlp")

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        return self._cost(shape, trained=freeze != "chans")

    def build(self, shape: Shape) -> "SparseMixing":
        return SparseMixing(shape, self, mixes="tokens")


@spec("sparse_channel_mlp")
@dataclass(frozen=True)
class SparseChannelMLP(_Sparse, ChannelMixer):
    __doc__ = _Sparse.__doc__

    def label(self) -> str:
        return self._label("sparse_channel_mlp")

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        return self._cost(shape, trained=freeze != "space")

    def build(self, shape: Shape) -> "SparseMixing":
        return SparseMixing(shape, self, mixes="channels")


class MaskedLinear(nn.Module):
    """Linear map with a static mask on its weights, (B, inputs) -> (B, outputs).

    Weights start normal with variance 1 / (p inputs), so that sums over the kept connections have variance 1.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, density: float, mask: Mask) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / (density * inputs) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("mask", draw_mask(outputs, inputs, density, mask))

    def effective(self) -> Tensor:
        """The masked matrix."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.effective(), self.bias)


def draw_mask(rows: int, columns: int, density: float, mask: Mask) -> Tensor:
    """Boolean (rows, columns) from torch's global generator, True where a connection is kept."""
    if mask == "bernoulli":
        return torch.rand(rows, columns) < density
    size = rows * columns
    kept = torch.zeros(size, dtype=torch.bool)
    kept[torch.randperm(size)[: round(density * size)]] = True
    return kept.view(rows, columns)


class SparseMixing(Mixer):
    """Module of `SparseMLP` and `SparseChannelMLP`, which differ in the pattern that freezes it."""

    def __init__(self, shape: Shape, config: _Sparse, *, mixes: Literal["tokens", "channels"]) -> None:
        super().__init__()
        size, hidden, density = config.sizes(shape)
        self.mixes = mixes
        self.up = MaskedLinear(size, hidden, density, config.mask)
        self.down = MaskedLinear(hidden, size, density, config.mask)
        self.activation = ACTIVATIONS[config.activation]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.activation(self.up(x.flatten(1)))).view(x.shape)  # (B, C H W) to (B, C, H, W)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters() if self.mixes == "tokens" else ()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters() if self.mixes == "channels" else ()

    def factors(self) -> Iterable[Tensor]:
        """The two effective matrices."""
        return self.up.effective(), self.down.effective()

"""Sparse MLP on the flattened table, ``(B, C, H, W) -> (B, C, H, W)``: the SW-MLP of 2306.01470.

The control of the mixers of the same width m = C H W and density: unstructured sparse matrices M1 * W1 (gamma m, m) and
M2 * W2 (m, gamma m) with static random masks. A mixer's four matrices have density (1/S + 1/C)/2 on average, the
default here. Nothing can revive a zero, neither momentum nor weight decay: masks are applied in the forward pass, or
the connections alone are stored, with which m is limited by the connections and not by its square.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, TokenMixer, spec
from searchspaces.connections import density
from searchspaces.costs import Cost, elementwise, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.activations import ACTIVATIONS
from searchspaces.layers.permutations import MLP_ACTIVATIONS, MlpActivation, check_mlp, hidden_units, mlp_label
from searchspaces.layers.sparse import MASKS, ListedLinear, Mask, MaskedLinear, connection_count
from searchspaces.registry import check_one_of

Form = Literal["auto", "masked", "csr"]
FORMS: tuple[Form, ...] = get_args(Form)

LARGEST_MASKED = 128
"""Largest m of which ``auto`` makes dense matrices: a training step takes 2 times as long as with lists at m = 256, 7
times at 1,024 (gamma 2, batch 64, one thread)."""


@dataclass(frozen=True)
class _Sparse:
    """``M2 W2 phi(M1 W1 x + b1) + b2`` on the m = C H W elements of the table.

    Args:
        density: share of connections kept, p; unset: that of a mixer of the same table, (1/S + 1/C)/2.
        expansion: gamma, hidden units for each element of the table.
        mask: ``exact``: round(p gamma m^2) connections in each matrix, at random; ``bernoulli``: each with
            probability p (its ``macs`` are then the expected ones); ``fan_in``: round(p n) to each output of n inputs.
        form: ``masked``: dense matrices and their masks; ``csr``: lists of the connections, not for ``bernoulli``;
            ``auto``: lists where m is above 128.
    """

    density: float | None = None
    expansion: float = 1.0
    activation: MlpActivation = "gelu"
    mask: Mask = "exact"
    form: Form = "auto"

    def __post_init__(self) -> None:
        check_mlp(self.expansion, 0, self.activation)
        if self.density is not None and not 0 < self.density <= 1:
            raise ValueError(f"density must be above 0 and at most 1 (unset: that of a mixer), got {self.density}.")
        check_one_of("mask", self.mask, MASKS)
        check_one_of("form", self.form, FORMS)
        if self.form == "csr" and self.mask == "bernoulli":
            raise ValueError("form = csr needs a fixed number of connections: mask = exact or fan_in, got bernoulli.")

    def listed(self, size: int) -> bool:
        """Whether the connections are stored as lists if the table has ``size`` elements."""
        return self.form == "csr" or (self.form == "auto" and self.mask != "bernoulli" and size > LARGEST_MASKED)

    def sizes(self, shape: Shape) -> tuple[int, int, float]:
        """m, hidden units, density.

        Raises:
            ValueError: if a matrix would have no connection.
        """
        channels, tokens = shape[0], shape[1] * shape[2]
        size = channels * tokens
        hidden, share = hidden_units(size, self.expansion), self.density or density(tokens, channels)
        if not connection_count(hidden, size, share, self.mask):
            least = 1 / (hidden * size)
            raise ValueError(
                f"density must be at least {least:.2g} for a connection in {shape}, got density={share:g}."
            )
        return size, hidden, share

    def _label(self, name: str) -> str:
        density = f" p{self.density:g}" if self.density else ""
        words = [word for word in (self.mask, self.form) if word not in ("exact", "auto")]
        return " ".join([mlp_label(name, self.expansion, 0, self.activation) + density, *words])

    def _cost(self, shape: Shape, *, trained: bool) -> Cost:
        size, hidden, share = self.sizes(shape)
        dense, biases = size * hidden, hidden + size
        sides = ((hidden, size), (size, hidden))
        connections = sum(connection_count(rows, columns, share, self.mask) for rows, columns in sides)
        stored = connections if self.listed(size) else 2 * dense
        run = linear(stored, stored + biases, size + (hidden if self.activation == "gelu" else 0), trained=trained)
        run += elementwise(hidden, kept=hidden)
        if self.listed(size):
            return run + elementwise(biases) + Cost(buffer_bytes=4 * (connections + biases))
        return run + elementwise(2 * dense) + Cost(connections - 2 * dense, buffer_bytes=2 * dense, kept_once=2 * dense)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        """Densities and expansions of layers that fit into the memory of a test."""
        return {
            "density": (None, 0.3),
            "expansion": (0.5, 1.0),
            "activation": MLP_ACTIVATIONS,
            "mask": ("exact", "fan_in"),
            "form": FORMS,
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


class SparseMixing(Mixer):
    """Module of `SparseMLP` and `SparseChannelMLP`, which differ in the pattern that freezes it."""

    def __init__(self, shape: Shape, config: _Sparse, *, mixes: Literal["tokens", "channels"]) -> None:
        super().__init__()
        size, hidden, density = config.sizes(shape)
        self.mixes = mixes
        layer = ListedLinear if config.listed(size) else MaskedLinear
        self.up, self.down = (layer(*sides, density, config.mask) for sides in ((size, hidden), (hidden, size)))
        self.activation = ACTIVATIONS[config.activation]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.activation(self.up(x.flatten(1)))).reshape(x.shape)  # (B, C H W) to (B, C, H, W)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters() if self.mixes == "tokens" else ()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters() if self.mixes == "channels" else ()

    def factors(self) -> Iterable[Tensor]:
        """The two effective matrices; those of ``csr`` sparse."""
        return self.up.effective(), self.down.effective()

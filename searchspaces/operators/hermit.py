"""Hermit-Frequency-mixing of ASM-RH (2402.18007) as a channel mixer: a channel MLP in or beside a frequency domain.

The paper says "hfft on the token dimension, then irfft" and leaves the rest open; each reading is one value of a field.

Cost: the cosine transforms are run as products with fixed matrices. They are in ``macs_executed`` and not in ``macs``,
which leaves transforms out; there are no ``transform_flops`` because no FFT is run.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, Weights, spec
from searchspaces.costs import Cost, convolution
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers import transforms
from searchspaces.layers.activations import activation_cost, make_activation
from searchspaces.layers.groups import most_groups
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.operators.roll_token_mlp import ROLL_ACTIVATIONS, RollActivation
from searchspaces.registry import check_one_of

Reading = Literal["literal", "dct", "dct_filter", "rfft_filter", "aff", "none"]
Axis = Literal["token", "freq_rows", "time_cols", "embed"]
Position = Literal["around", "before", "after"]

FILTERS = ("dct_filter", "rfft_filter", "aff")


@spec("hermit")
@dataclass(frozen=True)
class Hermit(ChannelMixer):
    """Channel MLP ``W2 act(W1 x + b1) + b2`` with frequency mixing.

    Args:
        reading: ``literal``: hfft, then irfft to the same length (see `mixing`); ``dct``: hfft cut to the length, which
            is its own inverse; ``dct_filter``, ``rfft_filter``: that or the real FFT with a trained gain for each
            frequency and channel; ``aff``: adaptive mask of the 2-D spectrum; ``none``: the plain MLP.
        axis: of the transform: all ``token``s in a row, ``freq_rows`` along H, ``time_cols`` along W, or the channels.
        position: transform and inverse ``around`` the MLP, or both ``before`` or ``after`` it; filters are before the
            MLP unless ``after``.
        expansion: hidden units for each channel.
        activation: between the two linear maps; ``acon-c`` learns three factors for each hidden channel.
    """

    reading: Reading = "literal"
    axis: Axis = "token"
    position: Position = "around"
    expansion: float = 4.0
    activation: RollActivation = "gelu"

    def __post_init__(self) -> None:
        if not 0 < self.expansion < math.inf:
            raise ValueError(f"expansion must be above 0, got {self.expansion}. Published: 4.")
        check_one_of("activation", self.activation, ROLL_ACTIVATIONS)

    def canonical(self) -> "Hermit":
        simple = self
        if self.reading == "dct" and self.position != "around":
            simple = replace(simple, reading="none")  # twice the DCT is the identity
        if simple.reading in ("none", "aff"):
            simple = replace(simple, axis="token")
        if simple.reading == "none" or (simple.reading in FILTERS and self.position == "before"):
            simple = replace(simple, position="around")
        return simple

    def weights(self) -> frozenset[Weights]:
        over_positions = self.reading in FILTERS and self.canonical().axis != "embed"
        return frozenset(("spatial", "channel") if over_positions else ("channel",))

    def label(self) -> str:
        words = [] if self.reading in ("none", "aff") else [self.position, self.axis]
        activation = [self.activation] if self.activation != "gelu" else []
        return " ".join([f"hermit {self.reading}", *words, f"x{self.expansion:g}", *activation])

    def _length(self, shape: Shape) -> int:
        """Elements along the axis of the transform.

        Raises:
            ValueError: if there is only one, too few for a transform.
        """
        channels, height, width = shape
        lengths = {"token": height * width, "freq_rows": height, "time_cols": width, "embed": channels}
        check_one_of("axis", self.axis, lengths)
        if lengths[self.axis] < 2 and self.reading not in ("none", "aff"):
            allowed = [axis for axis, length in lengths.items() if length > 1]
            raise ValueError(
                f"a transform needs at least 2 elements, got axis={self.axis!r} for input {shape}. "
                f"Allowed: {', '.join(allowed) or 'none, with reading none'}."
            )
        return lengths[self.axis]

    def _mlp_shape(self, shape: Shape) -> tuple[int, int, int]:
        """Channels, hidden units and positions of the MLP: fewer if it works only on the bins that irfft reads."""
        channels, positions, length = shape[0], shape[1] * shape[2], self._length(shape)
        hidden = max(1, round(self.expansion * channels))
        if self.reading != "literal" or self.position != "around":
            return channels, hidden, positions
        bins = length // 2 + 1
        return (bins, hidden, positions) if self.axis == "embed" else (channels, hidden, positions // length * bins)

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        width, hidden, positions = self._mlp_shape(shape)
        inputs, inner, weights, mixing = width * positions, hidden * positions, width * hidden, freeze != "space"
        total = convolution(weights * positions, weights + hidden, inputs, trained=mixing)
        total += activation_cost(self.activation, hidden, positions, trained=mixing)
        total += convolution(weights * positions, weights + width, inner, trained=mixing)
        size, length = shape[0] * shape[1] * shape[2], self._length(shape)
        if self.reading == "literal" and self.position == "around":
            return total + transforms.product_cost(size, length, length // 2 + 1) * 2
        if self.reading == "literal":
            return total + transforms.product_cost(size, length, length)
        if self.reading == "aff":
            return total + transforms.frequency_mask_cost(shape, most_groups(shape[0], 8), trained=freeze != "chans")
        trained = freeze != ("space" if self.axis == "embed" else "chans")
        channels = 1 if self.axis == "embed" else shape[0]
        if self.reading == "rfft_filter":
            factors = channels * (length // 2 + 1)
            return total + transforms.fourier_filter_cost(size, (length,), factors, trained=trained)
        if self.reading == "dct_filter":
            total += transforms.gain_cost(size, channels * length, trained=trained)
        if self.reading == "none" or (self.reading == "dct" and self.position != "around"):
            return total  # twice the DCT is the identity
        return total + transforms.product_cost(size, length, length) * 2

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        sides = {"token": shape[1] * shape[2], "freq_rows": shape[1], "time_cols": shape[2], "embed": shape[0]}
        return {
            "reading": get_args(Reading),
            "axis": tuple(axis for axis, length in sides.items() if length > 1),
            "position": get_args(Position),
            "expansion": (0.5, 4.0),
            "activation": ROLL_ACTIVATIONS,
        }

    def build(self, shape: Shape) -> "HermitMixing":
        return HermitMixing(shape, self.canonical())

    def mlp(self, shape: Shape) -> nn.Sequential:
        """The MLP, 1x1 convolutions."""
        width, hidden, _ = self._mlp_shape(shape)
        activation = make_activation(self.activation, hidden, images=True)
        return nn.Sequential(Conv1x1(width, hidden), activation, Conv1x1(hidden, width))

    def mixing(self, shape: Shape) -> tuple[nn.Module, nn.Module]:
        """The modules before and after the MLP; they work on dimension 1 for the channels, else on dimension 3.

        hfft of n real values is a DCT-I of 2 (n - 1) values, extended evenly, and ``irfft(n=n)`` reads the first
        n // 2 + 1 of them: the chain ``literal`` is exact on those bins, at half the cost of the MLP on all tokens, and
        has rank n // 2 + 1: half of the information in the tokens is lost (the block's residual keeps it). ``dct``
        loses nothing.
        """
        length, embed = self._length(shape), self.axis == "embed"
        dim, bins = (1 if embed else 3), length // 2 + 1
        if self.reading == "literal":
            analysis, synthesis = transforms.cosine_analysis(length, bins), transforms.cosine_synthesis(length)
            if self.position == "around":
                return transforms.Along(analysis, dim), transforms.Along(synthesis, dim)
            mixing: nn.Module = transforms.Along(synthesis @ analysis, dim)
        elif self.reading in ("dct", "dct_filter"):
            forth, back = (transforms.Along(transforms.cosine_analysis(length, length), dim) for _ in range(2))
            if self.reading == "dct":
                return forth, back
            gain = transforms.Gain((length, 1, 1) if embed else (shape[0], 1, length))
            mixing = nn.Sequential(forth, gain, back)
        elif self.reading == "rfft_filter":
            mixing = transforms.FourierFilter((bins, 1, 1) if embed else (shape[0], 1, bins), dim)
        elif self.reading == "aff":
            mixing = transforms.FrequencyMask(shape[0], most_groups(shape[0], 8))
        else:
            return nn.Identity(), nn.Identity()
        return (nn.Identity(), mixing) if self.position == "after" else (mixing, nn.Identity())


class HermitMixing(Mixer):
    """Module of `Hermit`."""

    def __init__(self, shape: Shape, config: Hermit) -> None:
        super().__init__()
        self.axis = config.axis if config.reading not in ("none", "aff") else "grid"
        self.before, self.after = config.mixing(shape)
        self.mlp = config.mlp(shape)

    def forward(self, x: Tensor) -> Tensor:
        # A transform mixes the last dimension of ``lines``, or the channels.
        lines = x.flatten(2).unsqueeze(2) if self.axis == "token" else x  # (B, C, 1, H W)
        lines = lines.transpose(2, 3) if self.axis == "freq_rows" else lines  # (B, C, W, H)
        y: Tensor = self.after(self.mlp(self.before(lines)))
        return (y.transpose(2, 3) if self.axis == "freq_rows" else y).reshape(x.shape)

    def _filters(self) -> Iterable[nn.Parameter]:
        return (*self.before.parameters(), *self.after.parameters())

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """Filters over positions; the mask of ``aff`` too, which has the positions' frequencies as its input."""
        return () if self.axis == "embed" else self._filters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return (*self.mlp.parameters(), *(self._filters() if self.axis == "embed" else ()))

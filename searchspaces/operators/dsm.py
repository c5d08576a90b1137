"""Dynamic spectrum mixer, ``(B, C, H, W) -> (B, C, H, W)``: an equaliser whose gains each channel's spectrum decides.

Source: 2309.06721, equations partly from 2608.18662: a reconstruction, there is no code. Transforms are products with
cosine matrices, which take bfloat16 and export anywhere. It has few gains for each channel and no phases, so that
content does not move: alternate it with a mixer that moves it.

Cost: the transforms are in ``macs_executed`` and not in ``macs``, as `hermit`'s are.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost, elementwise, layer_norm, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.transforms import Along, product_cost
from searchspaces.registry import check_least, check_one_of

Order = Literal["zigzag", "radial"]
Gains = Literal["softmax", "sigmoid", "tanh"]

USUAL_BANDS = 16


@spec("dsm")
@dataclass(frozen=True)
class SpectrumMixer(TokenMixer):
    """``y = IDCT(g * X)``, X = DCT(x) of each channel, with one gain for each band of frequencies.

    Gains are ``gate(W2 GELU(W1 LN(F)))`` of the means F of X over the bands, the same maps for all channels.

    Args:
        bands: K, of nearly equal numbers of frequencies. 0: 16, or all frequencies if there are fewer.
        hidden: V, units of the map from means to gains.
        gate: ``softmax``, times K so that the mean gain is 1; ``sigmoid``; ``tanh``, 1 + tanh.
        order: in which frequencies are cut into bands: ``zigzag`` along the diagonals, or by ``radial`` frequency.
        static: trained gains, the same for every image and channel, before the gate: the control of this operator.
    """

    bands: int = 0
    hidden: int = 64
    gate: Gains = "softmax"
    order: Order = "zigzag"
    static: bool = False

    def __post_init__(self) -> None:
        check_least(self, bands=0, hidden=1)
        check_one_of("gate", self.gate, get_args(Gains))
        check_one_of("order", self.order, get_args(Order))

    def canonical(self) -> "SpectrumMixer":
        return replace(self, hidden=SpectrumMixer.hidden) if self.static else self

    def at(self, shape: Shape) -> "SpectrumMixer":
        simple = self.canonical()
        return replace(simple, bands=0) if self.bands == replace(self, bands=0).count(shape) else simple

    def label(self) -> str:
        words = [f"k{self.bands}"] if self.bands else []
        words += [f"v{self.hidden}"] if self.hidden != SpectrumMixer.hidden else []
        words += [word for word in (self.gate, self.order) if word not in ("softmax", "zigzag")]
        return " ".join(["dsm", *words, *(["static"] if self.static else [])])

    def count(self, shape: Shape) -> int:
        """Number of bands.

        Raises:
            ValueError: if there are more bands than frequencies.
        """
        frequencies = shape[1] * shape[2]
        if self.bands > frequencies:
            raise ValueError(f"bands must be at most the positions, got bands={self.bands} for input {shape}.")
        return self.bands or min(USUAL_BANDS, frequencies)

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, height, width = shape
        bands, size, trained = self.count(shape), channels * height * width, freeze != "chans"
        total = (product_cost(size, height, height) + product_cost(size, width, width)) * 2
        positions, rows, hidden = height * width, 1 if self.static else channels, self.hidden
        total += product_cost(rows * bands, bands, positions)  # a gain for each frequency
        gates = elementwise({"softmax": 6, "sigmoid": 1, "tanh": 2}[self.gate] * rows * bands)
        if self.static:
            own = Cost(parameters=bands, trainable_parameters=bands if trained else 0)
            kept = Cost(activations=size if trained else 0, kept_once=positions + (bands if trained else 0))
            return total + gates + elementwise(size) + own + kept
        total += product_cost(size, positions, bands) + layer_norm(bands, channels)
        total += linear(channels * bands * hidden, (bands + 1) * hidden, channels * bands, trained=trained)
        total += elementwise(channels * hidden, kept=channels * hidden)
        total += linear(channels * bands * hidden, (hidden + 1) * bands, channels * hidden, trained=trained)
        return total + gates + elementwise(size, kept=2 * size + channels * bands)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "bands": tuple(k for k in (8, 16, 32, 64) if k <= shape[1] * shape[2]),
            "hidden": (32, 64, 128),
            "gate": get_args(Gains),
            "order": get_args(Order),
            "static": (False, True),
        }

    def build(self, shape: Shape) -> "Equaliser":
        return Equaliser(shape, self)


def cosines(length: int) -> Tensor:
    """Orthonormal DCT-II, (length, length), float64: row k is ``s_k cos(pi (n + 1/2) k / length)``."""
    k, n = torch.arange(length)[:, None], torch.arange(length)[None, :]
    # The remainder of integers is exact; cosines of large angles are not.
    angles = ((2 * n + 1) * k % (4 * length)).double() * (math.pi / (2 * length))
    scale = torch.full((length, 1), math.sqrt(2 / length), dtype=torch.float64)
    scale[0] = math.sqrt(1 / length)
    return scale * torch.cos(angles)


def band_of(height: int, width: int, bands: int, order: Order) -> Tensor:
    """Band of each frequency, int64 (H W,): equal numbers of frequencies to each, up to one."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    if order == "zigzag":
        diagonal = rows + columns
        along = torch.where(diagonal % 2 == 0, columns, rows)  # up the even diagonals, down the odd ones
        place = diagonal * (height + width) + along
    else:
        place = (rows * width) ** 2 + (columns * height) ** 2
    ranks = torch.empty(height * width, dtype=torch.int64)
    ranks[place.flatten().argsort(stable=True)] = torch.arange(height * width)
    return ranks * bands // (height * width)


class Equaliser(Mixer):
    """Module of `SpectrumMixer`."""

    def __init__(self, shape: Shape, config: SpectrumMixer) -> None:
        super().__init__()
        _, height, width = shape
        bands, hidden = config.count(shape), config.hidden
        self.gate, self.bands = config.gate, bands
        self.forth = nn.Sequential(Along(cosines(height), 2), Along(cosines(width), 3))
        self.back = nn.Sequential(Along(cosines(height).T, 2), Along(cosines(width).T, 3))
        members = F.one_hot(band_of(height, width, bands, config.order), bands).double()  # (H W, K)
        # Products with fixed matrices, because sums into bands by index are not reproducible on a GPU.
        self.spread = Along(members, -1)
        if config.static:
            self.scores = nn.Parameter(torch.zeros(1, 1, bands))
            return
        self.mean, self.norm = Along((members / members.sum(0)).T, -1), nn.LayerNorm(bands, eps=1e-6)
        self.maps = nn.Sequential(nn.Linear(bands, hidden), nn.GELU(), nn.Linear(hidden, bands))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = self.forth(x)
        scores = self.maps(self.norm(self.mean(spectrum.flatten(2)))) if hasattr(self, "maps") else self.scores
        if self.gate == "softmax":
            gains = scores.softmax(-1) * self.bands
        else:
            gains = scores.sigmoid() if self.gate == "sigmoid" else 1 + scores.tanh()  # (B or 1, C or 1, K)
        y: Tensor = self.back(spectrum * self.spread(gains).unflatten(-1, x.shape[2:]))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """The maps from bands to gains, or static gains; the norm trains in every pattern."""
        return self.maps.parameters() if hasattr(self, "maps") else (self.scores,)

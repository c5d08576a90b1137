"""Gaussians of the channels, ``(B, C, H, W) -> (B, C, H, W)``: a KAN layer with radial basis functions (2408.08338)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost, elementwise, layer_norm, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.registry import check_least

REACH = 2.0
"""The centres lie from -REACH to REACH."""


@spec("rbf_kan")
@dataclass(frozen=True)
class GaussianKan(ChannelMixer):
    """``W phi(LN x) + V SiLU(x) + b``; ``phi`` holds ``exp(-((u - c) / h)^2)`` for centres c of distance h on [-2, 2].

    The norm trains under every freeze pattern.

    Args:
        centres: number of Gaussians for each channel.
    """

    centres: int = 8

    def __post_init__(self) -> None:
        check_least(self, centres=2)

    def label(self) -> str:
        return f"rbf_kan g{self.centres}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"centres": (2, 4, 8)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions, trained = shape[0], shape[1] * shape[2], freeze != "space"
        size, square, wide = channels * positions, channels**2, self.centres * channels * positions
        # Distances and Gaussians are kept; the Gaussians are what the map reads.
        gaussians = elementwise(size + 4 * wide, kept=2 * wide)
        mapped = linear(self.centres * channels * size, self.centres * square, 0, trained=trained)
        beside = linear(channels * size, square + channels, size, trained=trained) + elementwise(2 * size)
        return layer_norm(channels, positions) + gaussians + mapped + beside

    def build(self, shape: Shape) -> "Gaussians":
        return Gaussians(shape[0], self.centres)


class Gaussians(Mixer):
    """Module of `GaussianKan`; weights start with variance 1 / inputs, of both maps together."""

    places: Tensor

    def __init__(self, channels: int, centres: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        # In units of their distance.
        self.width = 2 * REACH / (centres - 1)
        places = torch.arange(centres, dtype=torch.get_default_dtype()) - (centres - 1) / 2
        self.register_buffer("places", places[:, None], persistent=False)
        self.wide, self.beside = nn.Linear(centres * channels, channels, bias=False), nn.Linear(channels, channels)
        for layer in (self.wide, self.beside):
            nn.init.normal_(layer.weight, std=((centres + 1) * channels) ** -0.5)
        nn.init.zeros_(self.beside.bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C); no copy if x is channels last
        distances = (self.norm(rows) / self.width).unsqueeze(3) - self.places  # (B, H, W, G, C)
        gaussians = torch.exp(-(distances * distances)).flatten(3)
        y: Tensor = self.wide(gaussians) + self.beside(F.silu(rows))
        return y.permute(0, 3, 1, 2)

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return (*self.wide.parameters(), *self.beside.parameters())

"""MogaNet's channel mixer, ``(B, C, H, W) -> (B, C, H, W)``: an MLP whose channels are set apart from their mixture.

Source: 2211.03295, channel aggregation.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, Weights, spec
from searchspaces.costs import Cost, convolution, elementwise
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.mlps import pointwise_mlp_cost
from searchspaces.layers.permutations import hidden_units
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_least, check_odd, check_positive


@spec("channel_aggregation")
@dataclass(frozen=True)
class ChannelAggregation(ChannelMixer):
    """``W2 CA(GELU(DW(W1 x)))``, all with bias, ``CA(h) = h + gamma (h - GELU(Wr h))``, Wr to a single channel.

    The depthwise filters are spatial parameters; gamma, one factor for each channel, is a channel parameter.

    Args:
        expansion: hidden channels over channels; published: 8 in the first two stages, 4 in the others.
        kernel: side of the depthwise filters, odd.
        start: of gamma, 0 for none at the start; published: 1e-5.
    """

    expansion: float = 4.0
    kernel: int = 3
    start: float = 1e-5

    def __post_init__(self) -> None:
        check_positive(self, "expansion")
        check_least(self, start=0)
        check_odd(self, "kernel")

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        start = f" from {self.start:g}" if self.start != 1e-5 else ""
        return f"channel_aggregation x{self.expansion:g} dw{self.kernel}{start}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (0.5, 2.0, 4.0, 8.0), "kernel": (3, 5), "start": (0.0, 1e-5, 1.0)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        hidden, positions, taps = hidden_units(shape[0], self.expansion), shape[1] * shape[2], self.kernel**2
        size, trained = hidden * positions, freeze != "space"
        filters = convolution(taps * size, (taps + 1) * hidden, size, trained=freeze != "chans")
        # The GELU of the MLP keeps what the filters return; kept are also h, and what gamma multiplies if it trains.
        mixture = convolution(size, hidden + 1, size, trained=trained) + elementwise(positions, kept=positions)
        scaled = elementwise(2 * size, kept=size if trained else 0)
        scaled += Cost(parameters=hidden, trainable_parameters=hidden if trained else 0)
        return pointwise_mlp_cost(shape, hidden, trained=trained) + filters + mixture + scaled

    def build(self, shape: Shape) -> "AggregatingMlp":
        return AggregatingMlp(shape[0], self)


class Aggregation(nn.Module):
    """``h + gamma (h - GELU(Wr h))``."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.mixture = Conv1x1(channels, 1)
        self.gamma = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        apart = x - F.gelu(self.mixture(x))
        return torch.addcmul(x, apart, self.gamma.to(x.dtype))


class AggregatingMlp(Mixer):
    """Module of `ChannelAggregation`."""

    def __init__(self, channels: int, config: ChannelAggregation) -> None:
        super().__init__()
        hidden, kernel = hidden_units(channels, config.expansion), config.kernel
        self.expand, self.reduce = Conv1x1(channels, hidden), Conv1x1(hidden, channels)
        self.depthwise = nn.Conv2d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden)
        self.aggregation = Aggregation(hidden, config.start)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.reduce(self.aggregation(F.gelu(self.depthwise(self.expand(x)))))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.depthwise.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return [p for layer in (self.expand, self.aggregation, self.reduce) for p in layer.parameters()]

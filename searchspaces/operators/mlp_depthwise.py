"""Channel MLP with a depthwise convolution, ``(B, C, H, W) -> (B, C, H, W)``: a control of SpaRTAN's channel mixer.

The controls of SpaRTAN (2507.10999), an MLP and an MLP with a channel gate, lack the wave mixer's 3x3 convolution, to
which a small experiment owed most of the gain (0.926 with it in the MLP, 0.931 wave, 0.884 plain, on 8x8 digits):
compare with this one too. Weights start as in the other mixers of SpaRTAN.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, Weights, spec
from searchspaces.costs import Cost, convolution
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.initialization import fan_out_normal
from searchspaces.layers.mlps import pointwise_mlp_cost
from searchspaces.layers.permutations import hidden_units
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_positive


@spec("mlp_depthwise")
@dataclass(frozen=True)
class MlpDepthwise(ChannelMixer):
    """``Conv1x1(GELU(DepthwiseConv3x3(Conv1x1(x))))``, all with bias; the depthwise filters are spatial parameters.

    Args:
        expansion: hidden channels over channels.
    """

    expansion: float = 2.0

    def __post_init__(self) -> None:
        check_positive(self, "expansion")

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        return f"mlp+dw3 r{self.expansion:g}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (0.5, 1.0, 2.0, 4.0)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        hidden, positions = hidden_units(shape[0], self.expansion), shape[1] * shape[2]
        filters = convolution(9 * hidden * positions, 10 * hidden, hidden * positions, trained=freeze != "chans")
        return pointwise_mlp_cost(shape, hidden, trained=freeze != "space") + filters

    def build(self, shape: Shape) -> "DepthwiseMlp":
        return DepthwiseMlp(shape[0], self)


class DepthwiseMlp(Mixer):
    """Module of `MlpDepthwise`."""

    def __init__(self, channels: int, config: MlpDepthwise) -> None:
        super().__init__()
        hidden = hidden_units(channels, config.expansion)
        self.expand, self.reduce = Conv1x1(channels, hidden), Conv1x1(hidden, channels)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        fan_out_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.reduce(F.gelu(self.depthwise(self.expand(x))))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.depthwise.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return [*self.expand.parameters(), *self.reduce.parameters()]

"""1x1 convolution as a channel mixer, ``(B, C, H, W) -> (B, C, H, W)``: one linear map at every position."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost, convolution
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.pointwise import Conv1x1


@spec("pointwise")
@dataclass(frozen=True)
class Pointwise(ChannelMixer):
    """1x1 convolution with bias."""

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        inputs = channels * positions
        return convolution(inputs * channels, channels * (channels + 1), inputs, trained=freeze != "space")

    def build(self, shape: Shape) -> "PointwiseConvolution":
        return PointwiseConvolution(shape[0])


class PointwiseConvolution(Mixer):
    """1x1 convolution C -> C with bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv1x1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.conv.parameters()

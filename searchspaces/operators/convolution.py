"""Full and grouped convolution as a token mixer, ``(B, C, H, W) -> (B, C, H, W)``: the dense end of hybrid placement.

It mixes channels as it mixes positions; its filters count as spatial, as SpaRTAN's full convolutions do (2507.10999),
so that a freeze pattern acts on the same weights whatever the placement.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost, convolution
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.groups import check_groups


@spec("convolution")
@dataclass(frozen=True)
class Convolution(TokenMixer):
    """Convolution with bias in groups of channels.

    Args:
        kernel: side of the filters in pixels, odd.
        dilation: distance between taps in pixels; no effect for kernel 1.
        groups: groups of channels that are not mixed with each other; must divide the channels. 1 is the full
            convolution.
    """

    kernel: int = 3
    dilation: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0 or self.dilation < 1:
            raise ValueError(
                f"kernel must be odd and dilation at least 1, got kernel={self.kernel}, dilation={self.dilation}."
            )

    def canonical(self) -> "Convolution":
        return Convolution(self.kernel, 1 if self.kernel == 1 else self.dilation, self.groups)

    def label(self) -> str:
        dilation = f" dil{self.dilation}" if self.dilation > 1 else ""
        return f"conv{self.kernel}{dilation}" + (f" g{self.groups}" if self.groups > 1 else "")

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        check_groups(self.groups, shape[0])
        channels, positions = shape[0], shape[1] * shape[2]
        weights = channels * channels // self.groups * self.kernel**2
        return convolution(positions * weights, weights + channels, channels * positions, trained=freeze != "chans")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        groups = tuple(g for g in (1, 2, 4, 8) if shape[0] % g == 0)
        return {"kernel": (1, 3, 5), "dilation": (1, 2), "groups": groups}

    def build(self, shape: Shape) -> "GroupedConvolution":
        check_groups(self.groups, shape[0])
        return GroupedConvolution(shape[0], self)


class GroupedConvolution(Mixer):
    """Module of `Convolution`, "same" zero padding."""

    def __init__(self, channels: int, config: Convolution) -> None:
        super().__init__()
        padding = config.dilation * (config.kernel // 2)
        self.conv = nn.Conv2d(
            channels, channels, config.kernel, padding=padding, dilation=config.dilation, groups=config.groups
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.conv.parameters()

"""Depthwise convolution as a token mixer, ``(B, C, H, W) -> (B, C, H, W)``: every channel is filtered by itself.

Padding is ``dilation * ((kernel - 1) // 2)`` before and the rest after, so that the tap ((k-1)//2, (k-1)//2) is the
identity for every kernel and dilation. An even kernel's is not symmetric and makes a padded copy of the image; else the
convolution pads, in 0.5 to 0.7 of the time (forward and backward, channels last, on a CPU).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost, convolution
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.filters import canonical_filters, put_filters


@spec("depthwise")
@dataclass(frozen=True)
class Depthwise(TokenMixer):
    """Depthwise convolution.

    Args:
        kernel: side of the filters, in pixels.
        dilation: distance between taps, in pixels; no effect for kernel 1.
        filters: mode of the bank (`searchspaces.layers.filters.FILTER_MODES`): its content if frozen, else its start.
        norm_match: scale every filter to one norm; off: the filters keep their own scale.
    """

    kernel: int = 3
    dilation: int = 1
    filters: str = "random"
    norm_match: bool = True

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.dilation < 1:
            raise ValueError(
                f"kernel and dilation must be at least 1, got kernel={self.kernel}, dilation={self.dilation}."
            )
        canonical_filters(self.filters, self.kernel)

    def canonical(self) -> "Depthwise":
        mode = canonical_filters(self.filters, self.kernel)
        return replace(self, dilation=1 if self.kernel == 1 else self.dilation, filters=mode)

    def label(self) -> str:
        dilation = f" dil{self.dilation}" if self.dilation > 1 else ""
        scale = "" if self.norm_match else " own scale"
        return f"dw{self.kernel}{dilation}" + (f" {self.filters}" if self.filters != "random" else "") + scale

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, height, width = shape
        taps, (before, after) = self.kernel**2, self.padding
        beyond = 0 if before == after else before + after
        kept = channels * (height + beyond) * (width + beyond)
        return convolution(channels * height * width * taps, channels * (taps + 1), kept, trained=freeze != "chans")

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after each row and column."""
        reach, before = self.dilation * (self.kernel - 1), self.dilation * ((self.kernel - 1) // 2)
        return before, reach - before

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        filters = ("random", "smooth(1)", "identity", "box")
        return {"kernel": (1, 3, 5, 7, 8), "dilation": (1, 2), "filters": filters, "norm_match": (True, False)}

    def build(self, shape: Shape) -> "DepthwiseConvolution":
        return DepthwiseConvolution(shape[0], self)


class DepthwiseConvolution(Mixer):
    """Depthwise convolution with bias and "same" zero padding."""

    def __init__(self, channels: int, config: Depthwise) -> None:
        super().__init__()
        before, after = config.padding
        inside = before if before == after else 0
        self.pad = nn.Identity() if before == after else nn.ZeroPad2d((before, after, before, after))
        self.conv = nn.Conv2d(
            channels, channels, config.kernel, padding=inside, dilation=config.dilation, groups=channels
        )
        put_filters(self.conv, config.filters, channels, config.kernel, norm_match=config.norm_match)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.pad(x))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.conv.parameters()

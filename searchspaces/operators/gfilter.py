"""Global filter, ``(B, C, H, W) -> (B, C, H, W)``: a trained factor for each frequency of the grid and channel.

Source: GFNet (2107.00645): a circular convolution with a window as large as the grid. It is the static control of
`aff`, whose factors depend on the image. Bound to the resolution it was built for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.transforms import FourierFilter, fourier_filter_cost
from searchspaces.registry import check_least


@spec("gfilter")
@dataclass(frozen=True)
class GlobalFilter(TokenMixer):
    """``y = irfft2(K * rfft2(x))`` with trained complex K of shape (C, H, W // 2 + 1).

    Args:
        start: standard deviation of the parts of K at the start; published: 0.02. A frozen filter needs more, as 0.4.
    """

    start: float = 0.02

    def __post_init__(self) -> None:
        check_least(self, start=1e-6)

    def label(self) -> str:
        return "gfilter" + (f" start{self.start:g}" if self.start != GlobalFilter.start else "")

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, height, width = shape
        factors = channels * height * (width // 2 + 1)
        return fourier_filter_cost(channels * height * width, (height, width), factors, trained=freeze != "chans")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"start": (0.02, 0.1, 0.4)}

    def build(self, shape: Shape) -> "Filtering":
        return Filtering(shape, self)


class Filtering(Mixer):
    """Module of `GlobalFilter`."""

    def __init__(self, shape: Shape, config: GlobalFilter) -> None:
        super().__init__()
        self.filter = FourierFilter((shape[0], shape[1], shape[2] // 2 + 1), 2, 3, start=config.start)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.filter(x)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.filter.parameters()

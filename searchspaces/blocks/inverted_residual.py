"""Inverted residual of MobileNetV2 (1801.04381), ``(B, C, H, W) -> (B, dim, H', W')``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Block, Shape, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.layers.permutations import hidden_units
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_least, check_odd, check_one_of, check_positive


@spec("inverted_residual")
@dataclass(frozen=True)
class InvertedResidual(Block):
    """``x + BN(W2 s(BN(DW(s(BN(W1 x))))))``, s SiLU; without x where channels or stride change. No biases.

    Args:
        dim: output channels.
        stride: of the depthwise filters, in pixels.
        expansion: channels of the filters over C.
        kernel: side of the filters in pixels, odd.
        freeze: which mixing is trained: ``full``, ``chans``, ``space``.
    """

    dim: int
    stride: int = 1
    expansion: float = 4.0
    kernel: int = 3
    freeze: Freeze = "full"

    def __post_init__(self) -> None:
        check_least(self, dim=1, stride=1)
        check_odd(self, "kernel")
        check_positive(self, "expansion")
        check_one_of("freeze", self.freeze, FREEZE_PATTERNS)

    def output(self, shape: Shape) -> Shape:
        return self.dim, (shape[1] - 1) // self.stride + 1, (shape[2] - 1) // self.stride + 1

    def adds(self, shape: Shape) -> bool:
        """Whether x is added."""
        return self.output(shape) == shape

    def label(self) -> str:
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"inverted{self.kernel} dim {self.dim}{stride} x{self.expansion:g} {self.freeze}"

    def cost(self, shape: Shape) -> Cost:
        hidden, out = hidden_units(shape[0], self.expansion), self.output(shape)
        before, after, taps = shape[1] * shape[2], out[1] * out[2], self.kernel**2
        mixes, filters = self.freeze != "space", self.freeze != "chans"
        wide, narrow, weights = hidden * before, hidden * after, hidden * shape[0]
        total = convolution(weights * before, weights, shape[0] * before, trained=mixes)
        total += batch_norm(hidden, before) + elementwise(wide, kept=wide)
        total += convolution(taps * narrow, taps * hidden, wide, trained=filters)
        total += batch_norm(hidden, after) + elementwise(narrow, kept=narrow)
        total += convolution(self.dim * narrow, self.dim * hidden, narrow, trained=mixes)
        return total + batch_norm(self.dim, after) + elementwise(self.dim * after if self.adds(shape) else 0)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "dim": (shape[0], 12),
            "stride": (1, 2),
            "expansion": (0.5, 2.0, 4.0),
            "kernel": (3, 5),
            "freeze": FREEZE_PATTERNS,
        }

    def build(self, shape: Shape) -> "Inverted":
        return Inverted(shape, self)


class Inverted(Mixer):
    """Module of `InvertedResidual`."""

    def __init__(self, shape: Shape, config: InvertedResidual) -> None:
        super().__init__()
        hidden, side = hidden_units(shape[0], config.expansion), config.kernel
        self.expand, self.reduce = Conv1x1(shape[0], hidden, bias=False), Conv1x1(hidden, config.dim, bias=False)
        self.depthwise = nn.Conv2d(hidden, hidden, side, config.stride, side // 2, groups=hidden, bias=False)
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(hidden), nn.BatchNorm2d(hidden), nn.BatchNorm2d(config.dim)
        self.adds = config.adds(shape)
        freeze(config.freeze, [self])

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norm1(self.expand(x)))
        y = F.silu(self.norm2(self.depthwise(y)))
        z: Tensor = self.norm3(self.reduce(y))
        return x + z if self.adds else z

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.depthwise.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return (*self.expand.parameters(), *self.reduce.parameters())

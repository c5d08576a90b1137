"""ResNet's basic block (1512.03385) of separable convolutions, ``(B, C, H, W) -> (B, dim, H', W')``.

Source: 2503.16760, where the depthwise or the 1x1 convolutions are frozen at random. The 1x1 convolution of a shortcut
counts as channel mixing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Block, Shape, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.layers.filters import canonical_filters
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.layers.separable import Separable, Variant
from searchspaces.registry import check_one_of


@spec("separable_basic")
@dataclass(frozen=True)
class BasicBlock(Block):
    """``relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))`` of separable convolutions.

    The shortcut is x itself, or a 1x1 convolution and a norm where channels or stride change.

    Args:
        dim: output channels.
        stride: of the first convolution, in pixels.
        multiplier: depthwise filters for each channel.
        kernel: side of the filters in pixels, odd.
        filters: mode of the banks (`searchspaces.layers.filters.FILTER_MODES`): content if frozen, else start.
        freeze: which mixing is trained: ``full``, ``chans``, ``space``.
        freeze_norm: keep the factors and offsets of the norms as they start; their statistics follow the data.
        variant: ``mobilenet`` puts a norm between the depthwise and the 1x1 convolutions.
        norm_match: scale every filter to one norm; off: the filters keep their own scale.
    """

    dim: int
    stride: int = 1
    multiplier: int = 1
    kernel: int = 3
    filters: str = "random"
    freeze: Freeze = "full"
    freeze_norm: bool = False
    variant: Variant = "plain"
    norm_match: bool = True

    def __post_init__(self) -> None:
        check_one_of("freeze", self.freeze, FREEZE_PATTERNS)
        self.convolutions()

    def convolutions(self) -> tuple[Separable, Separable]:
        """The two convolutions in order."""
        second = Separable(
            self.dim,
            self.kernel,
            multiplier=self.multiplier,
            filters=self.filters,
            variant=self.variant,
            norm_match=self.norm_match,
        )
        return replace(second, stride=self.stride), second

    def reshapes(self, shape: Shape) -> bool:
        """Whether the shortcut is a convolution."""
        return self.stride > 1 or shape[0] != self.dim

    def canonical(self) -> "BasicBlock":
        return replace(self, filters=canonical_filters(self.filters, self.kernel, self.multiplier))

    def output(self, shape: Shape) -> Shape:
        return self.convolutions()[0].output(shape)

    def label(self) -> str:
        stride = f" /{self.stride}" if self.stride > 1 else ""
        filters = "" if self.filters == "random" else f" {self.filters}"
        filters += "" if self.norm_match else " own scale"
        norm = " bn" if self.variant == "mobilenet" else ""
        frozen = f" {self.freeze} norms" if self.freeze_norm else f" {self.freeze}"
        return f"basic{self.kernel} dim {self.dim}{stride} d{self.multiplier}{filters}{norm}{frozen}"

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = inner = self.output(shape)
        first, second = self.convolutions()
        positions, size = height * width, dim * height * width
        norm = batch_norm(dim, positions)
        # The result of the first ReLU is kept once, as the input of the second convolution, and so is x.
        total = first.cost(shape, self.freeze) + norm + elementwise(size)
        total += second.cost(inner, self.freeze) + norm + elementwise(2 * size, kept=size)
        if self.reshapes(shape):
            weights = shape[0] * dim
            held = shape[0] * positions if self.stride > 1 else 0
            total += convolution(positions * weights, weights, held, trained=self.freeze != "space") + norm
        if self.freeze_norm:
            between = 2 * self.multiplier * (shape[0] + dim) if self.variant == "mobilenet" else 0
            affine = 2 * dim * (3 if self.reshapes(shape) else 2) + between
            total = replace(total, trainable_parameters=total.trainable_parameters - affine)
        return total

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        # Without freeze_norm: the contract test of blocks allows freezing what the mixers name and nothing else.
        return {
            "dim": (shape[0], 12),
            "stride": (1, 2),
            "multiplier": (1, 2, 9),
            "kernel": (3, 5),
            "filters": ("random", "smooth(1)", "same", "same_per_multiplier", "heads(3)"),
            "freeze": FREEZE_PATTERNS,
            "variant": get_args(Variant),
            "norm_match": (True, False),
        }

    def build(self, shape: Shape) -> nn.Module:
        return Basic(shape, self)


class Basic(nn.Module):
    """Module of `BasicBlock`, ``(B, C, H, W) -> (B, dim, H', W')``."""

    def __init__(self, shape: Shape, config: BasicBlock) -> None:
        super().__init__()
        first, second = config.convolutions()
        self.conv1, self.norm1 = first.build(shape, config.freeze), nn.BatchNorm2d(config.dim)
        self.conv2, self.norm2 = second.build(config.output(shape), config.freeze), nn.BatchNorm2d(config.dim)
        self.shortcut = Shortcut(shape[0], config.dim, config.stride) if config.reshapes(shape) else nn.Identity()
        freeze(config.freeze, (module for module in self.modules() if isinstance(module, Mixer)))
        if config.freeze_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class Shortcut(Mixer):
    """1x1 convolution with stride and without bias, then a norm: ``(B, C, H, W) -> (B, dim, H', W')``."""

    def __init__(self, channels: int, dim: int, stride: int) -> None:
        super().__init__()
        self.conv, self.norm = Conv1x1(channels, dim, stride=stride, bias=False), nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.conv.parameters()

"""Separable ResNet: the residual networks of He et al. (1512.03385) for small images, of separable convolutions.

Source: 2503.16760, where the depthwise or the 1x1 convolutions are frozen at random. The paper does not say which
ResNet: `resnet18` and `resnet20` are the layouts for CIFAR (stem 3x3 with stride 1, no pooling). The 1x1 convolution of
a shortcut counts as channel mixing; the stem, which is dense, and the classifier are always learned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Architecture, Block, Shape, Stage, Stem, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.filters import canonical_filters
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.heads import AverageHead
from searchspaces.separable import Separable, Variant

LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "resnet18": ((64, 128, 256, 512), (2, 2, 2, 2)),
    "resnet20": ((16, 32, 64), (3, 3, 3)),
}
"""Name -> channels and number of blocks of each stage."""


@spec("conv")
@dataclass(frozen=True)
class ConvStem(Stem):
    """Conv 3x3 without bias, BatchNorm, ReLU.

    Args:
        dim: channels that come out.
        stride: in pixels; one zero on every side.
    """

    dim: int
    stride: int = 1

    def __post_init__(self) -> None:
        if min(self.dim, self.stride) < 1:
            raise ValueError(f"dim and stride must be at least 1, got dim={self.dim}, stride={self.stride}.")

    def label(self) -> str:
        return f"dim {self.dim} conv3" + (f" /{self.stride}" if self.stride > 1 else "")

    def output(self, shape: Shape) -> Shape:
        return self.dim, (shape[1] - 1) // self.stride + 1, (shape[2] - 1) // self.stride + 1

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = self.output(shape)
        taps, positions = 9 * shape[0], height * width
        conv = convolution(positions * taps * dim, taps * dim, shape[0] * shape[1] * shape[2])
        return conv + batch_norm(dim, positions) + elementwise(dim * positions, kept=dim * positions)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16, 24), "stride": (1, 2)}

    def build(self, shape: Shape) -> nn.Module:
        conv = nn.Conv2d(shape[0], self.dim, 3, self.stride, 1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(self.dim), nn.ReLU())


@spec("separable_basic")
@dataclass(frozen=True)
class BasicBlock(Block):
    """ResNet's basic block, ``relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))``, of separable convolutions.

    The shortcut is x itself, or a 1x1 convolution and a norm where channels or stride change.

    Args:
        dim: channels that come out.
        stride: of the first convolution, in pixels.
        multiplier: depthwise filters for each channel.
        kernel: side of the filters in pixels, odd.
        filters: mode of the banks (`searchspaces.filters.FILTER_MODES`): what they hold if frozen, else their start.
        freeze: which mixing is trained: ``full``, ``chans``, ``space``.
        freeze_norm: keep the factors and offsets of the norms as they start; their statistics follow the data.
        variant: ``mobilenet`` puts a norm between the depthwise and the 1x1 convolutions.
    """

    dim: int
    stride: int = 1
    multiplier: int = 1
    kernel: int = 3
    filters: str = "random"
    freeze: Freeze = "full"
    freeze_norm: bool = False
    variant: Variant = "plain"

    def __post_init__(self) -> None:
        if self.freeze not in FREEZE_PATTERNS:
            raise ValueError(f"freeze must be one of {', '.join(FREEZE_PATTERNS)}, got {self.freeze!r}.")
        self.convolutions()

    def convolutions(self) -> tuple[Separable, Separable]:
        """The two convolutions in order."""
        second = Separable(
            self.dim, self.kernel, multiplier=self.multiplier, filters=self.filters, variant=self.variant
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
        extras = [self.filters] * (self.filters != "random") + ["bn"] * (self.variant == "mobilenet")
        frozen = f" {self.freeze}" + " norms" * self.freeze_norm
        return " ".join([f"basic{self.kernel} dim {self.dim}{stride} d{self.multiplier}", *extras]) + frozen

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
            total += convolution(positions * weights, weights, 0, trained=self.freeze != "space") + norm
        if self.freeze_norm:
            between = 2 * self.multiplier * (shape[0] + dim) if self.variant == "mobilenet" else 0
            affine = 2 * dim * (3 if self.reshapes(shape) else 2) + between
            total = replace(total, trainable_parameters=total.trainable_parameters - affine)
        return total

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        # Without freeze_norm: every block is held to freezing what its mixers say and nothing else.
        return {
            "dim": (shape[0], 12),
            "stride": (1, 2),
            "multiplier": (1, 2, 9),
            "kernel": (3, 5),
            "filters": ("random", "smooth(1)", "same", "same_per_multiplier", "heads(3)"),
            "freeze": FREEZE_PATTERNS,
            "variant": get_args(Variant),
        }

    def build(self, shape: Shape) -> nn.Module:
        return Basic(shape, self)


class Basic(nn.Module):
    """Module of `BasicBlock`, ``(B, C, H, W) -> (B, dim, H', W')``."""

    def __init__(self, shape: Shape, spec: BasicBlock) -> None:
        super().__init__()
        first, second = spec.convolutions()
        self.conv1, self.norm1 = first.build(shape, spec.freeze), nn.BatchNorm2d(spec.dim)
        self.conv2, self.norm2 = second.build(spec.output(shape), spec.freeze), nn.BatchNorm2d(spec.dim)
        self.shortcut = Shortcut(shape[0], spec.dim, spec.stride) if spec.reshapes(shape) else nn.Identity()
        freeze(spec.freeze, (module for module in self.modules() if isinstance(module, Mixer)))
        if spec.freeze_norm:
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
        self.conv, self.norm = nn.Conv2d(channels, dim, 1, stride, bias=False), nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.conv.parameters()


def resnet(input: Shape, classes: int, blocks: Sequence[BasicBlock], depths: Sequence[int]) -> Architecture:
    """ResNet whose stage ``s`` is ``depths[s]`` times ``blocks[s]``; the first of every later stage has stride 2."""
    stages = [Stage(blocks[0], depths[0])]
    for block, depth in zip(blocks[1:], depths[1:], strict=True):
        stages.append(Stage(replace(block, stride=2)))
        if depth > 1:
            stages.append(Stage(block, depth - 1))
    return Architecture(input, classes, ConvStem(blocks[0].dim), tuple(stages), AverageHead())


def resnet18(multiplier: int, freeze: Freeze = "full") -> Architecture:
    """Separable ResNet-18 for CIFAR-10, one freeze pattern for all blocks."""
    return _known("resnet18", multiplier, freeze)


def resnet20(multiplier: int, freeze: Freeze = "full") -> Architecture:
    """Separable ResNet-20 for CIFAR-10, one freeze pattern for all blocks."""
    return _known("resnet20", multiplier, freeze)


def _known(layout: str, multiplier: int, freeze: Freeze) -> Architecture:
    dims, depths = LAYOUTS[layout]
    blocks = [BasicBlock(dim, multiplier=multiplier, freeze=freeze) for dim in dims]
    return resnet((3, 32, 32), 10, blocks, depths)

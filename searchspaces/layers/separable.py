"""Separable convolution with a depth multiplier, ``(B, C, H, W) -> (B, dim, H', W')``: depthwise ``D``, then 1x1 ``P``.

Source: 2503.16760. With nothing between the parts they equal one dense convolution of kernel
``K[o, i] = sum_q P[o, i, q] D[i, q]``. Where D is frozen and multiplier d > 1, K is made from P in every forward pass
and only the dense convolution runs; P learns through it. The other form, D then P, is the definition and the oracle,
and what one image or a few small ones run without gradients, where it takes less.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape
from searchspaces.costs import Cost, batch_norm, convolution
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.filters import canonical_filters, put_filters
from searchspaces.layers.pointwise import Conv1x1, thinned
from searchspaces.registry import check_one_of

Variant = Literal["plain", "mobilenet"]
"""Between depthwise and 1x1 convolution: nothing, or a batch norm, with which they cannot be fused."""

FEW = 1024
"""Positions of a batch up to which the form that takes fewer multiply-accumulates is the faster one without gradients.

Measured on one CPU thread for one image, d of 2 to 9, k of 3 and 5: up to 14 times faster from 64 channels on, up to a
third slower at 16. Of more positions what lies between both parts costs more than it saves in multiplications.
"""


@dataclass(frozen=True)
class Separable:
    """Fields of a separable convolution; part of the spec of a block.

    Args:
        dim: output channels.
        kernel: side of the filters in pixels, odd; ``kernel // 2`` zeros on every side.
        stride: of the depthwise part, in pixels.
        multiplier: filters for each input channel; kernel^2 random ones span every dense convolution.
        filters: mode of the bank (`searchspaces.layers.filters.FILTER_MODES`): its filters if frozen, else its start.
        norm_match: scale every filter to one norm; off: the filters keep their own scale.
    """

    dim: int
    kernel: int = 3
    stride: int = 1
    multiplier: int = 1
    filters: str = "random"
    variant: Variant = "plain"
    norm_match: bool = True

    def __post_init__(self) -> None:
        if min(self.dim, self.stride, self.multiplier) < 1:
            raise ValueError(
                f"dim, stride and multiplier must be at least 1, "
                f"got dim={self.dim}, stride={self.stride}, multiplier={self.multiplier}."
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd (1, 3, 5, ...), got {self.kernel}.")
        check_one_of("variant", self.variant, get_args(Variant))
        canonical_filters(self.filters, self.kernel, self.multiplier)

    def output(self, shape: Shape) -> Shape:
        """Output (C, H, W) for ``shape``."""
        _, height, width = shape
        return self.dim, (height - 1) // self.stride + 1, (width - 1) // self.stride + 1

    def fused(self, freeze: Freeze) -> bool:
        """Whether the parts run as one dense convolution under ``freeze``."""
        # For every d > 1, although for d < k^2 that takes more multiply-accumulates: measured on one CPU thread, k = 3,
        # batch 32, forward and backward, it is 9 to 2 times faster at d = 9, 5 to 1.3 at d = 4, 2.7 to 0.8 at d = 2
        # (16 to 128 channels), because nothing of d channels is written or kept; at d = 1 it is up to 4 times slower.
        return freeze == "chans" and self.multiplier > 1 and self.variant == "plain"

    def cost(self, shape: Shape, freeze: Freeze) -> Cost:
        """Cost for inputs ``(1, *shape)``; K is kept for the backward pass once a step, not once an image."""
        channels, expanded = shape[0], shape[0] * self.multiplier
        dim, height, width = self.output(shape)
        positions, taps = height * width, self.kernel**2
        spatial, mixing = expanded * taps, dim * expanded
        held = channels * (positions if self.kernel == 1 else shape[1] * shape[2])
        first = convolution(positions * spatial, spatial, held, trained=freeze != "chans")
        second = convolution(positions * mixing, mixing, expanded * positions, trained=freeze != "space")
        if not self.fused(freeze):
            between = batch_norm(expanded, positions) if self.variant == "mobilenet" else Cost()
            return first + between + second
        dense = taps * channels * dim
        return Cost(
            macs=first.macs + second.macs,
            macs_executed=positions * dense + mixing * taps,
            parameters=spatial + mixing,
            trainable_parameters=mixing,
            activations=first.activations,
            kept_once=dense,
        )

    def build(self, shape: Shape, freeze: Freeze) -> "SeparableConvolution":
        """The module for inputs ``(B, *shape)``, fused where ``freeze`` allows; its caller freezes the parameters."""
        return SeparableConvolution(shape[0], self, fused=self.fused(freeze))


class SeparableConvolution(Mixer):
    """Module of `Separable`, ``(B, C, H, W) -> (B, dim, H', W')``; both convolutions without bias.

    Args:
        fused: run one dense convolution; may be set at any time, has no effect with a norm between the parts.
    """

    def __init__(self, channels: int, config: Separable, *, fused: bool = False) -> None:
        super().__init__()
        expanded, k = channels * config.multiplier, config.kernel
        self.fused, self.channels = fused, channels
        self.stride = config.stride if k == 1 else 1  # before the convolution, see `Conv1x1`
        self.step = stride = config.stride // self.stride
        self.apart_macs, self.dense_macs = expanded * (k * k + config.dim), k * k * channels * config.dim
        self.kernel_macs = expanded * k * k * config.dim
        self.depthwise = nn.Conv2d(channels, expanded, k, stride, k // 2, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(expanded) if config.variant == "mobilenet" else None
        self.pointwise = Conv1x1(expanded, config.dim, bias=False)
        multiplier, norm_match = config.multiplier, config.norm_match
        put_filters(self.depthwise, config.filters, channels, k, multiplier=multiplier, norm_match=norm_match)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = thinned(x, self.stride)
        if self.fused and self.norm is None and not self.apart(x):
            return F.conv2d(x, self.kernel(), stride=self.depthwise.stride, padding=self.depthwise.kernel_size[0] // 2)
        y: Tensor = self.depthwise(x)
        return F.conv2d(y if self.norm is None else self.norm(y), self.pointwise.weight)

    def apart(self, x: Tensor) -> bool:
        """Whether few positions run as defined although this is fused, because making a kernel for them costs more.

        Never where gradients are kept or a graph is taken: what is trained, counted and exported is one form.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return False
        count, _, height, width = x.shape
        positions = count * -(-height // self.step) * -(-width // self.step)
        return positions <= FEW and positions * self.apart_macs < positions * self.dense_macs + self.kernel_macs

    def kernel(self) -> Tensor:
        """The dense kernel ``(dim, C, k, k)`` that equals both parts if nothing is between them."""
        spatial = self.depthwise.weight.view(self.channels, -1, *self.depthwise.kernel_size)  # (C, d, k, k)
        mixing = self.pointwise.weight.view(-1, self.channels, spatial.shape[1])  # (dim, C, d)
        return torch.einsum("oiq,iqhw->oihw", mixing, spatial)

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.depthwise.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.pointwise.parameters()

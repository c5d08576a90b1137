"""Linear embedding of patches, ``(B, C, H, W) -> (B, dim, H', W')``."""

from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import NORM_COSTS, Cost, convolution
from searchspaces.layers.norms import Norm, make_norm
from searchspaces.layers.pointwise import full_convolution
from searchspaces.layers.positions import position_cost
from searchspaces.registry import check_least


@spec("embedding")
@dataclass(frozen=True)
class EmbeddingStem(Stem):
    """One convolution with bias; patches overlap if the stride is smaller than the kernel.

    Non-overlapping for MLP-Mixer (2105.01601), kernel 7 stride 4 for PoolFormer (2111.11418), kernel 16 stride 10 on
    spectrograms for AST and ASM-RH (2402.18007). Pixels at the right and bottom that do not fill a patch are left out.

    Args:
        dim: output channels.
        kernel, stride, padding: of the patches in pixels; padding on every side, 0 for none.
        position: add a learned embedding of each position.
        frozen: the convolution stays as it starts, a random lift of the pixels (2510.01796).
        norm: kind of the norm after the convolution, ``none`` for none.
    """

    dim: int
    kernel: int
    stride: int
    padding: int = 0
    position: bool = False
    frozen: bool = False
    norm: Norm = "none"

    def __post_init__(self) -> None:
        check_least(self, dim=1, kernel=1, stride=1, padding=0)

    def label(self) -> str:
        position = " position" if self.position else ""
        return f"dim {self.dim} patch {self.kernel}/{self.stride}{position}" + (" frozen" if self.frozen else "")

    def output(self, shape: Shape) -> Shape:
        sides = [(side + 2 * self.padding - self.kernel) // self.stride + 1 for side in shape[1:]]
        if min(sides) < 1:
            largest = min(shape[1:]) + 2 * self.padding
            raise ValueError(f"kernel must be 1 to {largest} for input {shape}, got kernel={self.kernel}.")
        return self.dim, sides[0], sides[1]

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = self.output(shape)
        taps, positions = shape[0] * self.kernel**2, height * width
        held = shape[0] * (positions if self.kernel == 1 else shape[1] * shape[2])
        conv = convolution(positions * taps * dim, dim * taps + dim, held, trained=not self.frozen)
        table = position_cost(dim * positions) if self.position else Cost()
        return conv + NORM_COSTS[self.norm](dim, positions) + table

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        switches = {"position": (False, True), "frozen": (False, True), "norm": get_args(Norm)}
        return {"dim": (16,), "kernel": (1, 2, 3), "stride": (1, 2), "padding": (0, 1), **switches}

    def build(self, shape: Shape) -> nn.Module:
        return Embedding(shape, self)


class Embedding(nn.Module):
    """Module of `EmbeddingStem`."""

    def __init__(self, shape: Shape, config: EmbeddingStem) -> None:
        super().__init__()
        dim, height, width = config.output(shape)
        self.conv = full_convolution(shape[0], dim, config.kernel, config.stride, config.padding)
        self.conv.requires_grad_(not config.frozen)
        self.norm = make_norm(config.norm, dim)
        self.position = nn.Parameter(0.02 * torch.randn(dim, height, width)) if config.position else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y if self.position is None else y + self.position

"""A fixed number of tokens from images of any size by resizing them, ``(B, C, H, W) -> (B, dim, sqrt(S), sqrt(S))``.

For sweeps of S tokens and C channels at a fixed number of connections (2306.01470).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost, convolution, elementwise


@spec("resized")
@dataclass(frozen=True)
class ResizedStem(Stem):
    """Bilinear resize to a square of sqrt(tokens) patches a side, then a linear embedding of every patch.

    The embedding keeps its size as the number of tokens changes; patches that grow instead confound a width sweep.
    A side that shrinks is averaged (antialiasing): no pixel is skipped.

    Args:
        dim: output channels.
        tokens: S, a square.
        patch: side of a patch in pixels of the resized image.
        frozen: the embedding stays as it starts, a random lift of the pixels (2510.01796).
    """

    dim: int
    tokens: int
    patch: int = 4
    frozen: bool = False

    def __post_init__(self) -> None:
        if self.tokens < 1 or math.isqrt(self.tokens) ** 2 != self.tokens:
            near = max(math.isqrt(max(self.tokens, 1)), 3)
            squares = ", ".join(str(side**2) for side in range(near - 2, near + 4))
            raise ValueError(f"tokens must be a square, got {self.tokens}. Squares near it: {squares}.")
        if min(self.dim, self.patch) < 1:
            raise ValueError(f"dim and patch must be at least 1, got dim={self.dim}, patch={self.patch}.")

    def label(self) -> str:
        frozen = " frozen" if self.frozen else ""
        return f"dim {self.dim} resized to {self.tokens} tokens of {self.patch}{frozen}"

    def output(self, shape: Shape) -> Shape:
        side = math.isqrt(self.tokens)
        return self.dim, side, side

    def cost(self, shape: Shape) -> Cost:
        side, taps = math.isqrt(self.tokens) * self.patch, shape[0] * self.patch**2
        size = shape[0] * side**2
        macs, weights = self.tokens * taps * self.dim, self.dim * taps + self.dim
        embedding = convolution(macs, weights, size, trained=not self.frozen)
        return embedding + elementwise(0 if shape[1:] == (side, side) else 7 * size)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16,), "tokens": (4, 9, 16, 36), "patch": (1, 2, 4), "frozen": (False, True)}

    def build(self, shape: Shape) -> nn.Module:
        return ResizedEmbedding(shape, self)


class ResizedEmbedding(nn.Module):
    """Module of `ResizedStem`."""

    def __init__(self, shape: Shape, config: ResizedStem) -> None:
        super().__init__()
        side = math.isqrt(config.tokens) * config.patch
        self.side = None if shape[1:] == (side, side) else side
        self.conv = nn.Conv2d(shape[0], config.dim, config.patch, config.patch).requires_grad_(not config.frozen)

    def forward(self, x: Tensor) -> Tensor:
        if self.side is not None:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        y: Tensor = self.conv(x)
        return y

"""A fixed number of tokens by a random projection of the patches, ``(B, C, H, W) -> (B, dim, 1, S)``.

For sweeps of S tokens and C channels at a fixed number of connections (2306.01470).
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost, convolution
from searchspaces.layers.draws import Draw, Words, new_seed, put, single
from searchspaces.layers.pointwise import Conv1x1


@spec("projected")
@dataclass(frozen=True)
class ProjectedStem(Stem):
    """Fixed random linear map from the patches of the image to ``tokens`` tokens, then a linear embedding.

    The map mixes whole patches; its entries are normal with variance 1 / patches, drawn once, stored in the checkpoint,
    never trained. Pixels at the right and bottom that do not fill a patch are left out. The tokens are one row,
    (dim, 1, tokens).

    Args:
        dim: output channels.
        tokens: S, any number.
        patch: side of a patch in pixels.
        frozen: the embedding stays as it starts too, a random lift of the pixels (2510.01796).
    """

    dim: int
    tokens: int
    patch: int = 4
    frozen: bool = False

    def __post_init__(self) -> None:
        if min(self.dim, self.tokens, self.patch) < 1:
            raise ValueError(f"dim, tokens and patch must be at least 1, got {self.dim}, {self.tokens}, {self.patch}.")

    def label(self) -> str:
        frozen = " frozen" if self.frozen else ""
        return f"dim {self.dim} projected to {self.tokens} tokens of {self.patch}{frozen}"

    def output(self, shape: Shape) -> Shape:
        if self.patch > min(shape[1:]):
            raise ValueError(f"patch must be 1 to {min(shape[1:])} for input {shape}, got {self.patch}.")
        return self.dim, 1, self.tokens

    def cost(self, shape: Shape) -> Cost:
        self.output(shape)
        taps, patches = shape[0] * self.patch**2, (shape[1] // self.patch) * (shape[2] // self.patch)
        fixed = taps * patches * self.tokens
        macs, weights = self.tokens * taps * self.dim, self.dim * taps + self.dim
        embedding = convolution(macs, weights, taps * self.tokens, trained=not self.frozen)
        return embedding + Cost(macs=fixed, macs_executed=fixed, buffer_bytes=4 * self.tokens * patches)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        patches = tuple(p for p in (1, 2, 3) if p <= min(shape[1:]))
        return {"dim": (16,), "tokens": (3, 16, 40), "patch": patches, "frozen": (False, True)}

    def build(self, shape: Shape) -> nn.Module:
        self.output(shape)
        return ProjectedEmbedding(shape, self)


def draw_projection(shape: tuple[int, int], words: Words) -> Tensor:
    """(tokens, patches), normal with variance 1 / patches."""
    return single(words.normals(*shape) / math.sqrt(shape[1]))


class ProjectedEmbedding(nn.Module):
    """Module of `ProjectedStem`."""

    projection: Tensor

    def __init__(self, shape: Shape, config: ProjectedStem) -> None:
        super().__init__()
        self.patch, self.grid = config.patch, (shape[1] // config.patch, shape[2] // config.patch)
        channels, patches = shape[0], self.grid[0] * self.grid[1]
        sides = config.tokens, patches
        put(self, "projection", Draw(partial(draw_projection, sides), sides, new_seed()))
        self.conv = Conv1x1(channels * config.patch**2, config.dim).requires_grad_(not config.frozen)

    def forward(self, x: Tensor) -> Tensor:
        (rows, columns), p = self.grid, self.patch
        x = x[:, :, : rows * p, : columns * p].reshape(-1, x.shape[1], rows, p, columns, p)
        patches = x.permute(0, 1, 3, 5, 2, 4).reshape(x.shape[0], -1, rows * columns)  # (B, C p p, patches)
        y: Tensor = self.conv(F.linear(patches, self.projection).unsqueeze(2))  # (B, C p p, 1, tokens) to dim channels
        return y

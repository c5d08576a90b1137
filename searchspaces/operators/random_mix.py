"""Frozen random matrices over all positions as a token mixer, ``(B, C, H, W) -> (B, C, H, W)``.

Source: 2210.13452 (RandFormer). Bound to the resolution it was built for. The published random matrix is almost a
global mean (at 196 positions 92 % of its energy is in one singular value), hence the orthogonal default.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.draws import Draw, Words, new_seed, put, single, softmax
from searchspaces.layers.groups import check_groups
from searchspaces.registry import check_least, check_positive


@spec("random_mix")
@dataclass(frozen=True)
class RandomMix(TokenMixer):
    """``y[b, c, :] = W x[b, c, :]`` with one random W for each group of channels, never trained.

    Args:
        init: ``orthogonal``; ``softmax``: rows softmax(tau * normal); ``uniform``: rows softmax(uniform), as published.
        tau: sharpness of ``softmax``.
        groups: number of matrices; must divide the channels.
    """

    init: Literal["orthogonal", "softmax", "uniform"] = "orthogonal"
    tau: float = 5.0
    groups: int = 1

    def __post_init__(self) -> None:
        check_positive(self, "tau")
        check_least(self, groups=1)

    def canonical(self) -> "RandomMix":
        return self if self.init == "softmax" else replace(self, tau=5.0)

    def label(self) -> str:
        return f"random {self.init}" + (f" g{self.groups}" if self.groups > 1 else "")

    def weights(self) -> frozenset[Weights]:
        return frozenset()

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        check_groups(self.groups, shape[0])
        channels, positions = shape[0], shape[1] * shape[2]
        macs = channels * positions * positions
        return Cost(macs=macs, macs_executed=macs, buffer_bytes=4 * self.groups * positions * positions)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        groups = tuple(g for g in (1, 4, 8, shape[0]) if shape[0] % g == 0)
        return {"init": ("orthogonal", "softmax", "uniform"), "tau": (3.0, 5.0), "groups": groups}

    def build(self, shape: Shape) -> "RandomMatrices":
        check_groups(self.groups, shape[0])
        return RandomMatrices(shape[1] * shape[2], self)


def draw_rows(shape: tuple[int, ...], tau: float | None, words: Words) -> Tensor:
    """Matrices whose rows are softmax(tau * normal), or softmax(uniform) for None."""
    return single(softmax(words.units(*shape) if tau is None else tau * words.normals(*shape)))


class RandomMatrices(Mixer):
    """Module of `RandomMix`; the matrices (groups, N, N) are buffers, stored in a checkpoint."""

    matrices: Tensor

    def __init__(self, positions: int, config: RandomMix) -> None:
        super().__init__()
        shape = (config.groups, positions, positions)
        if config.init != "orthogonal":
            make = partial(draw_rows, shape, None if config.init == "uniform" else config.tau)
            put(self, "matrices", Draw(make, shape, new_seed()))
            return
        matrices = torch.empty(shape)  # of which another machine has other last bits
        for matrix in matrices:
            nn.init.orthogonal_(matrix)
        self.register_buffer("matrices", matrices)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        groups = self.matrices.shape[0]
        rows = x.reshape(batch, groups, channels // groups, height * width).transpose(0, 1).flatten(1, 2)
        # rows: (groups, B * C // groups, N)
        mixed = torch.bmm(rows, self.matrices.mT).view(groups, batch, channels // groups, height * width)
        return mixed.transpose(0, 1).reshape(batch, channels, height, width)

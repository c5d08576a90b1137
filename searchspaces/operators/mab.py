"""Multi-axis gated MLP, ``(B, C, H, W) -> (B, C, H, W)``: half of the channels mix over a coarse grid, half in windows.

Source: MAXIM (2201.02973), multi-axis gMLP block. Most of its parameters are channel projections: compare it at equal
cost, beside a small channel mixer. Bound to the resolution it was built for.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost, elementwise, layer_norm, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.registry import check_least, check_one_of

Branches = Literal["both", "grid", "block"]


@spec("mab")
@dataclass(frozen=True)
class MultiAxis(TokenMixer):
    """``y = Wout [gmlp_grid(u), gmlp_block(v)]`` where ``[u, v] = GELU(Win LN(x))``, each p C / 2 channels wide.

    ``gmlp(t) = t + W2 (z1 * (1 + D LN(z2)))`` where ``[z1, z2] = GELU(W1 LN(t))``; D is a map over n positions: for
    ``grid`` those at one offset in each of ``grid`` x ``grid`` cells, for ``block`` those of a window of that side.

    Args:
        grid: cells along each side. 0: for each side its smallest divisor that is at least its square root.
        block: side of a window, in positions; 0 likewise.
        inner: p, channels of both branches together for each channel.
        hidden: f, units of a gated MLP for each of its channels.
        branches: both, or one, which has all p C channels.
        gated: off: a sum ``z1 + D LN(z2)`` in place of the product, the control of this operator.
    """

    grid: int = 0
    block: int = 0
    inner: int = 2
    hidden: int = 2
    branches: Branches = "both"
    gated: bool = True

    def __post_init__(self) -> None:
        check_least(self, grid=0, block=0, inner=1, hidden=1)
        check_one_of("branches", self.branches, get_args(Branches))

    def canonical(self) -> "MultiAxis":
        grid = 0 if self.branches == "block" else self.grid
        return replace(self, grid=grid, block=0 if self.branches == "grid" else self.block)

    def at(self, shape: Shape) -> "MultiAxis":
        simple, cells = self.canonical(), self.cells(shape)
        for usual in (replace(simple, grid=0), replace(simple, block=0), replace(simple, grid=0, block=0)):
            simple = usual if usual.cells(shape) == cells else simple
        if simple.branches == "block" and cells["block"] == shape[1:]:  # a single window is a single cell
            simple = replace(simple, grid=simple.block, block=0, branches="grid")
        return simple

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        words = [f"grid{self.grid}"] if self.grid else []
        words += [f"block{self.block}"] if self.block else []
        words += [f"p{self.inner}"] if self.inner != 2 else []
        words += [f"f{self.hidden}"] if self.hidden != 2 else []
        words += [self.branches] if self.branches != "both" else []
        return " ".join(["mab", *words, *(["ungated"] if not self.gated else [])])

    def cells(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """For each branch, height and width of the set of positions that are mixed.

        Raises:
            ValueError: if cells or windows do not divide the grid, or the channels cannot be halved.
        """
        channels, *sides = shape
        if (self.branches == "both" and self.inner * channels % 2) or self.hidden * self.width(shape) % 2:
            raise ValueError(f"mab halves its inner channels twice, got input {shape}. Take inner=2 and hidden=2.")
        found = {}
        for name, value in (("grid", self.grid), ("block", self.block)):
            if value and any(side % value for side in sides):
                allowed = [n for n in range(1, min(sides) + 1) if not any(side % n for side in sides)]
                raise ValueError(
                    f"{name} must divide both sides, got {name}={value} for input {shape}. "
                    f"Divisors: {', '.join(map(str, allowed))}."
                )
            if self.branches in ("both", name):
                found[name] = (value or _near_root(sides[0]), value or _near_root(sides[1]))
        return found

    def width(self, shape: Shape) -> int:
        """Channels of a branch."""
        return self.inner * shape[0] // (2 if self.branches == "both" else 1)

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        cells, width = self.cells(shape), self.width(shape)
        channels, positions, inner = shape[0], shape[1] * shape[2], self.inner * shape[0]
        half, spatial, channel = self.hidden * width // 2, freeze != "chans", freeze != "space"
        size, wide, gate = width * positions, inner * positions, half * positions
        total = layer_norm(channels, positions) + elementwise(wide, kept=wide)
        total += linear(channels * wide, channels * inner + inner, channels * positions, trained=channel)
        for down, right in cells.values():
            number = down * right
            total += layer_norm(width, positions) + layer_norm(half, positions)
            total += linear(2 * half * size, 2 * half * (width + 1), size, trained=channel)
            # GELU; both of its halves are kept, and the normed one is a part of them.
            total += elementwise(2 * gate, kept=3 * gate)
            total += linear(number * gate, number * number + number, gate, trained=spatial)
            total += elementwise(2 * gate + size, kept=gate) if self.gated else elementwise(gate + size)
            total += linear(half * size, half * width + width, gate, trained=channel)
        return total + linear(channels * wide, channels * inner + channels, wide, trained=channel)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        fitting = tuple(n for n in (4, 7, 8, 16) if not shape[1] % n and not shape[2] % n)
        return {
            "grid": (0, *fitting),
            "block": (0, *fitting),
            "inner": (1, 2) if shape[0] % 4 == 0 else (2,),
            "hidden": (1, 2) if shape[0] % 4 == 0 else (2,),
            "branches": get_args(Branches),
            "gated": (False, True),
        }

    def build(self, shape: Shape) -> "MultiAxisGates":
        return MultiAxisGates(shape, self)


def _near_root(side: int) -> int:
    """The smallest divisor of ``side`` that is at least its square root: 4 of 16, 7 of 14, 4 of 8."""
    return next(n for n in range(math.isqrt(side - 1) + 1, side + 1) if side % n == 0)


class GatedAxis(nn.Module):
    """The gmlp of `MultiAxis` on (B, H, W, c) in channels-last order."""

    def __init__(
        self, width: int, hidden: int, positions: tuple[int, int], *, dilated: bool, gated: bool = True
    ) -> None:
        super().__init__()
        self.positions, self.dilated, self.gated = positions, dilated, gated
        number = positions[0] * positions[1]
        self.norm, self.gate_norm = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(hidden // 2, eps=1e-6)
        self.expand, self.reduce = nn.Linear(width, hidden), nn.Linear(hidden // 2, width)
        self.gate = nn.Linear(number, number)
        nn.init.normal_(self.gate.weight, std=0.02)
        nn.init.zeros_(self.gate.bias)

    def forward(self, t: Tensor) -> Tensor:
        z1, z2 = F.gelu(self.expand(self.norm(t))).chunk(2, 3)
        batch, height, width, channels = z2.shape
        down, right = self.positions
        if self.dilated:
            cut = (batch, down, height // down, right, width // right, channels)
            order = (0, 2, 4, 5, 1, 3)
        else:
            cut = (batch, height // down, down, width // right, right, channels)
            order = (0, 1, 3, 5, 2, 4)
        rows = self.gate_norm(z2).view(cut).permute(order)
        # Contiguous: on the transposed rows of a single window the bias would be added in a pass of its own.
        mixed = self.gate(rows.flatten(4).contiguous()).view(rows.shape)
        back = [order.index(axis) for axis in range(6)]
        mixed = mixed.permute(back).reshape(z2.shape)
        y: Tensor = t + self.reduce(z1 * (mixed + 1) if self.gated else z1 + mixed)
        return y


class MultiAxisGates(Mixer):
    """Module of `MultiAxis`."""

    def __init__(self, shape: Shape, config: MultiAxis) -> None:
        super().__init__()
        cells, width, inner = config.cells(shape), config.width(shape), config.inner * shape[0]
        self.norm = nn.LayerNorm(shape[0], eps=1e-6)
        self.inward, self.outward = nn.Linear(shape[0], inner), nn.Linear(inner, shape[0])
        self.branches = nn.ModuleList(
            GatedAxis(width, config.hidden * width, sides, dilated=name == "grid", gated=config.gated)
            for name, sides in cells.items()
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = F.gelu(self.inward(self.norm(x.permute(0, 2, 3, 1))))  # (B, H, W, p C)
        mixed = [branch(t) for branch, t in zip(self.branches, inner.chunk(len(self.branches), 3), strict=True)]
        y: Tensor = self.outward(torch.cat(mixed, 3) if len(mixed) > 1 else mixed[0])
        return y.permute(0, 3, 1, 2)

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """The maps over positions."""
        return (p for name, p in self.named_parameters() if ".gate." in name)

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        """The maps over channels; norms train in every pattern."""
        return (p for name, p in self.named_parameters() if ".gate." not in name and "norm." not in name)

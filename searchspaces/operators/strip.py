"""Strip mixing, ``(B, C, H, W) -> (B, C, H, W)``: matrices over whole rows and columns beside long depthwise filters.

Source: Strip-MLP (2307.11458), from its equations. Rows and columns have matrices of their own, so that the grid need
not be square. Bound to the resolution it was built for. Position tables hold a value for each distance from column to
row, as in the released code.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.groups import check_groups, most_groups
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_least


@spec("strip")
@dataclass(frozen=True)
class Strip(TokenMixer):
    """``y = Wout [cgsmm(x1), lsmm(x2)]`` where ``[x1, x2] = GELU(BN(Win DW3x3(GELU(BN(x)))))``.

    ``cgsmm``: ``a = GELU(BN(Wh [rows(x1 + pos_h), x1])) + pos_w``, then ``Ww [x1, columns(a)]``. ``rows`` maps a row
    with its neighbours above and below to a row, by a matrix for each of g groups of channels; ``columns`` likewise.
    ``lsmm``: ``s0 v + s1 u + s2 x2`` with u, v = depthwise 3x7 and 7x3 of x2, s the softmax over 3 of an MLP of the
    mean of u + v + x2.

    Args:
        patches: p, channels that share the matrices: g = channels of x1 / p, p must divide them. 0: 4, or less if 4
            does not divide them.
        strip: rows that a row is made of, odd.
        local: longer side of the filters of lsmm, odd; 0: x2 stays as it is.
        share: of the channels that go into x1.
        depthwise: filter 3x3 at the start.
        position: tables in cgsmm.
    """

    patches: int = 0
    strip: int = 3
    local: int = 7
    share: float = 0.5
    depthwise: bool = True
    position: bool = True

    def __post_init__(self) -> None:
        check_least(self, patches=0)
        if self.strip < 1 or self.strip % 2 == 0:
            raise ValueError(f"strip must be odd, got {self.strip}. Take 1, 3 or 5.")
        if self.local and (self.local < 3 or self.local % 2 == 0):
            raise ValueError(f"local must be 0 or odd and at least 3, got {self.local}. Take 5, 7 or 11.")
        if not 0 < self.share < 1:
            raise ValueError(f"share must be between 0 and 1, got {self.share}. Take 0.25, 0.5 or 0.75.")

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        words = [f"p{self.patches}"] if self.patches else []
        words += [f"k{self.strip}"] if self.strip != 3 else []
        words += [f"local{self.local}"] if self.local != 7 else []
        words += [f"share{self.share:g}"] if self.share != 0.5 else []
        words += ["no dw"] if not self.depthwise else []
        return " ".join(["strip", *words, *(["no position"] if not self.position else [])])

    def parts(self, channels: int) -> tuple[int, int, int]:
        """Channels of x1 and x2, and groups of channels with a matrix of their own.

        Raises:
            ValueError: if a part is empty, or the patches do not divide x1.
        """
        if channels < 2:
            raise ValueError(f"strip needs at least 2 channels, got {channels}.")
        one = min(max(1, round(self.share * channels)), channels - 1)
        check_groups(self.patches or 1, one, name="patches")
        return one, channels - one, one // (self.patches or most_groups(one, 4))

    def at(self, shape: Shape) -> "Strip":
        usual = replace(self, patches=0)
        return usual if usual.parts(shape[0]) == self.parts(shape[0]) else self

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, height, width = shape
        positions, (one, two, groups) = height * width, self.parts(channels)
        size, first, second = channels * positions, one * positions, two * positions
        spatial, channel = freeze != "chans", freeze != "space"
        norm = batch_norm(channels, positions)
        total = norm + elementwise(size, kept=size)
        if self.depthwise:
            total += convolution(9 * size, 9 * channels, size, trained=spatial)
        total += convolution(channels * size, channels**2, size, trained=channel) + norm + elementwise(size, kept=size)
        for across, along in ((height, width), (width, height)):
            total += strip_cost(first, along, groups, self.strip, trained=spatial)
            total += convolution(2 * one * first, 2 * one * one, 2 * first, trained=channel)
            if self.position:
                table = (2 * across + 1) * one
                total += elementwise(first) + Cost(parameters=table, trainable_parameters=table if spatial else 0)
        total += batch_norm(one, positions) + elementwise(first, kept=first)
        if self.local:
            hidden, taps = max(1, two // 2), 3 * self.local
            total += convolution(taps * second, taps * two, size, trained=spatial)  # x2 is a part of [x1, x2]
            total += convolution(taps * second, taps * two, 0, trained=spatial)
            total += linear(two * hidden, two * hidden + hidden, two, trained=channel)
            total += elementwise(hidden, kept=hidden)
            total += linear(3 * two * hidden, 3 * two * hidden + 3 * two, hidden, trained=channel)
            total += elementwise(15 * two + 8 * second, kept=3 * two + 2 * second)
        return total + convolution(channels * size, channels**2 + channels, size, trained=channel)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        shares = (0.25, 0.5, 0.75)
        parts = [cls(share=share).parts(shape[0])[0] for share in shares]
        return {
            "patches": tuple(p for p in (1, 2, 4, 8) if all(part % p == 0 for part in parts)),
            "strip": (1, 3, 5),
            "local": (0, 5, 7, 11),
            "share": shares,
            "depthwise": (True, False),
            "position": (True, False),
        }

    def build(self, shape: Shape) -> "Strips":
        return Strips(shape, self)


class StripMap(nn.Module):
    """Maps each line with its neighbours to a line, (B, C, lines, length) to the same; C = patches * groups.

    A convolution of ``groups * length`` channels over the lines, every patch an image: on a CPU it takes half the time
    of batched matrix products.
    """

    def __init__(self, groups: int, length: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(groups * length, groups * length, kernel, padding=kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        (batch, _, lines, length), groups = x.shape, self.conv.groups
        patches = x.reshape(batch, -1, groups, lines, length).transpose(3, 4)
        y: Tensor = self.conv(patches.reshape(-1, groups * length, lines))
        return y.view(batch, -1, groups, length, lines).transpose(3, 4).reshape(x.shape)


def strip_cost(size: int, length: int, groups: int, kernel: int, *, trained: bool) -> Cost:
    """Cost of `StripMap` on ``size`` elements."""
    parameters = groups * (kernel * length * length + length)
    return convolution(kernel * length * size, parameters, size, trained=trained)


class Positions(nn.Module):
    """A table of values for the distance from column to row, within ``most``: ``() -> (C, H, W)``."""

    places: Tensor

    def __init__(self, channels: int, height: int, width: int, most: int) -> None:
        super().__init__()
        distances = torch.arange(width)[None, :] - torch.arange(height)[:, None]
        self.register_buffer("places", distances.clamp(-most, most) + most, persistent=False)
        self.table = nn.Parameter(0.02 * torch.randn(2 * most + 1, channels))

    def forward(self) -> Tensor:
        return F.embedding(self.places, self.table).permute(2, 0, 1)  # its gradient is the same every time on a GPU


class Strips(Mixer):
    """Module of `Strip`."""

    def __init__(self, shape: Shape, config: Strip) -> None:
        super().__init__()
        channels, height, width = shape
        one, two, groups = config.parts(channels)
        self.sizes = [one, two]
        self.norm = nn.BatchNorm2d(channels)
        self.depthwise = _depthwise(channels, 3, 3) if config.depthwise else None
        self.inward, self.inner_norm = Conv1x1(channels, channels, bias=False), nn.BatchNorm2d(channels)
        self.rows, self.columns = StripMap(groups, width, config.strip), StripMap(groups, height, config.strip)
        self.fuse_rows, self.fuse_columns = (Conv1x1(2 * one, one, bias=False) for _ in range(2))
        self.strip_norm = nn.BatchNorm2d(one)
        sides = (height, width) if config.position else ()
        self.positions = nn.ModuleList(Positions(one, height, width, side) for side in sides)
        self.local = LocalStrips(two, config.local) if config.local else nn.Identity()
        self.outward = Conv1x1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.norm(x))
        y = self.depthwise(y) if self.depthwise else y
        x1, x2 = torch.split(F.gelu(self.inner_norm(self.inward(y))), self.sizes, 1)
        above, beside = (position() for position in self.positions) if self.positions else (None, None)
        a = self.rows(x1 if above is None else x1 + above)
        a = F.gelu(self.strip_norm(self.fuse_rows(torch.cat([a, x1], 1))))
        a = a if beside is None else a + beside
        b = self.columns(a.transpose(2, 3)).transpose(2, 3)
        x1 = self.fuse_columns(torch.cat([x1, b], 1))
        z: Tensor = self.outward(torch.cat([x1, self.local(x2)], 1))
        return z

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """Matrices of rows and columns, depthwise filters, position tables."""
        filters = [self.depthwise] if self.depthwise else []
        filters += [self.local.wide, self.local.tall] if isinstance(self.local, LocalStrips) else []
        return (p for layer in (self.rows, self.columns, self.positions, *filters) for p in layer.parameters())

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        """The 1x1 convolutions and the MLP that weights the filters of lsmm; norms train in every pattern."""
        maps: list[nn.Module] = [self.inward, self.fuse_rows, self.fuse_columns, self.outward]
        maps += [self.local.reduce, self.local.expand] if isinstance(self.local, LocalStrips) else []
        return (p for layer in maps for p in layer.parameters())


class LocalStrips(nn.Module):
    """The lsmm of `Strip`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.wide, self.tall = _depthwise(channels, 3, length), _depthwise(channels, length, 3)
        hidden = max(1, channels // 2)
        self.reduce, self.expand = nn.Linear(channels, hidden), nn.Linear(hidden, 3 * channels)

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.wide(x), self.tall(x)
        scores = self.expand(F.gelu(self.reduce((u + v + x).mean((2, 3)))))
        weights = scores.view(x.shape[0], 3, -1, 1, 1).softmax(1).unbind(1)
        y: Tensor = weights[0] * v + weights[1] * u + weights[2] * x
        return y


def _depthwise(channels: int, height: int, width: int) -> nn.Conv2d:
    padding = (height // 2, width // 2)
    return nn.Conv2d(channels, channels, (height, width), padding=padding, groups=channels, bias=False)

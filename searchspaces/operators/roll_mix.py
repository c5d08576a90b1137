"""Rolled groups of channels as a token mixer, ``(B, C, H, W) -> (B, C, H, W)``.

One operator for two papers. RollBlock of ASM-RH (2402.18007): ``combine="select"`` without kernels; a few groups of
channels are rolled in one direction each, the others stay; no parameters and no multiplications. Mix-shift of MS-MLP
(2202.06510, section 3): ``combine="sum"`` with kernels; every group is rolled by its own distance, along the width in
one branch and along the height in the other, filtered by a depthwise convolution, and the branches are added.

Groups have explicit sizes, the remainder spread over the first ones: chunks of equal size, as in the published code,
are fewer than the groups asked for if there are few channels.
"""

import contextlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost, convolution, elementwise
from searchspaces.freezing import Freeze, Mixer

Fill = Literal["circular", "zero", "replicate"]
"""Content of vacated cells: the data rolled out at the other side, zeros, or copies of the last cell."""

SCHEDULES = "none, constant(k), index(k), distance(k) or one odd number for each group as in 1,1,3,5,7"


@dataclass(frozen=True)
class Band:
    """Neighbouring channels that are treated alike: rolled by (down, right) positions, then filtered.

    Args:
        kernel: side of the depthwise filters; 0 for none.
    """

    channels: int
    down: int
    right: int
    kernel: int


@spec("roll_mix")
@dataclass(frozen=True)
class RollMix(TokenMixer):
    """Groups of channels rolled over the grid, with or without a depthwise convolution after the roll.

    Args:
        groups: groups of channels.
        step_w, step_h: longest roll of a group along the width and the height, in positions; 0 for no roll.
        directions: ``lrud`` along both axes, ``lr`` along the width only.
        fill: content of vacated cells.
        combine: ``select``: the first groups move left, right, up and down by a whole step each, the rest stays.
            ``sum``: the groups are rolled by distances spread evenly from -step to
            step, in one branch along the width and in one along the height.
        one_sided: distances of ``sum`` from 0 to 2 step instead.
        kernels: sides of the depthwise filters by group: ``none``; ``constant(k)``; ``index(k)`` and ``distance(k)``
            grow linearly from 1 to k with the number of the group or the distance of its roll; a list, ``1,1,3,5,7``.
        sizes: of the groups where they do not divide the channels: ``spread``: the first ones have a channel more;
            ``chunks``: all are as large as the largest but the last, as in the code of MS-MLP.
    """

    groups: int
    step_w: int = 1
    step_h: int = 1
    directions: Literal["lrud", "lr"] = "lrud"
    fill: Fill = "circular"
    combine: Literal["select", "sum"] = "select"
    one_sided: bool = False
    kernels: str = "none"
    sizes: Literal["spread", "chunks"] = "spread"

    def __post_init__(self) -> None:
        least = 1 if self.still else len(self.directions) if self.combine == "select" else 2
        if self.groups < least:
            raise ValueError(
                f"groups must be at least {least} for {self.combine} {self.directions}, got {self.groups}."
            )
        if min(self.step_w, self.step_h) < 0:
            raise ValueError(f"steps must be at least 0, got step_w={self.step_w}, step_h={self.step_h}.")
        self.sides()

    @property
    def still(self) -> bool:
        """Whether nothing is rolled."""
        return self.step_w == 0 and (self.step_h == 0 or self.directions == "lr")

    def canonical(self) -> "RollMix":
        simple = self
        if self.kernels != "none":
            simple = replace(simple, kernels=",".join(map(str, self.sides())))
        if self.combine == "select":
            directions: Literal["lrud", "lr"] = self.directions if self.step_h else "lr"
            simple = replace(simple, directions=directions, one_sided=False)
        if simple.directions == "lr":
            simple = replace(simple, step_h=1)
        if simple.still:
            combine = "select" if simple.directions == "lr" else simple.combine  # one branch is no sum
            simple = replace(simple, fill="circular", one_sided=False, combine=combine)
            if simple.kernels == "none" and combine == "select":
                simple = RollMix(1, step_w=0, directions="lr")
        return simple

    def at(self, shape: Shape) -> "RollMix":
        simple = self.canonical()
        bands = simple.branches(shape)
        sides = [k for size, k in zip(simple._sizes(shape[0]), simple.sides(), strict=True) for _ in range(size)]
        for groups in range(1, simple.groups + 1):
            firsts = [g * (shape[0] // groups) + min(g, shape[0] % groups) for g in range(groups)]
            kernels = "none" if simple.kernels == "none" else ",".join(str(sides[first]) for first in firsts)
            with contextlib.suppress(ValueError):  # so few groups may not do
                fewer = replace(simple, groups=groups, sizes="spread", kernels=kernels).canonical()
                if fewer.branches(shape) == bands:
                    return fewer
        return simple

    def weights(self) -> frozenset[Weights]:
        return frozenset(() if self.kernels == "none" else ("spatial",))

    def label(self) -> str:
        reach = "" if self.directions == "lr" or self.step_h == self.step_w else f"/{self.step_h}"
        words = ["roll" if self.combine == "select" else "mixshift", f"{self.step_w}{reach}", f"g{self.groups}"]
        words += [self.directions] if self.directions != "lrud" else []
        words += [self.fill] if self.fill != "circular" else []
        words += ["chunks"] if self.sizes == "chunks" else []
        words += ["one-sided"] if self.one_sided else []
        kernels = self.kernels if len(self.kernels) < 20 else self.kernels[:16] + "..."
        return " ".join(words + ([f"k{kernels}"] if self.kernels != "none" else []))

    def _spread(self) -> list[float]:
        """Signed distance of each group's roll, in steps."""
        if self.combine == "select":
            return [1.0 if g < len(self.directions) else 0.0 for g in range(self.groups)]
        top, least = max(self.groups - 1, 1), 0 if self.one_sided else -1
        return [2 * g / top + least for g in range(self.groups)]

    def sides(self) -> list[int]:
        """Side of the depthwise filters of each group, 0 for none.

        Raises:
            ValueError: if ``kernels`` cannot be read, or a side is even or missing.
        """
        if self.kernels == "none":
            return [0] * self.groups
        if match := re.fullmatch(r"(constant|index|distance)\((\d+)\)", self.kernels):
            name, largest = match[1], int(match[2])
            spread = [abs(d) for d in self._spread()]
            by_distance = [d / max(*spread, 1e-9) for d in spread] if self.groups > 1 else [1.0]
            by_index = [g / max(self.groups - 1, 1) for g in range(self.groups)]
            share = {"constant": [1.0] * self.groups, "index": by_index, "distance": by_distance}[name]
            half = (largest - 1) / 2
            sides = [
                largest if s == 1 else 1 + 2 * math.ceil(half * s - 0.5) for s in share
            ]  # odd, ties to the smaller
        elif re.fullmatch(r"\d+(,\d+)*", self.kernels):
            sides = [int(k) for k in self.kernels.split(",")]
        else:
            raise ValueError(f"kernels must be {SCHEDULES}, got {self.kernels!r}.")
        if len(sides) != self.groups or any(k % 2 == 0 for k in sides):
            raise ValueError(f"kernels must be {SCHEDULES}, for {self.groups} groups, got {self.kernels!r}.")
        return sides

    def _sizes(self, channels: int) -> list[int]:
        """Channels of each group.

        Raises:
            ValueError: if some group would have none.
        """
        small, more = divmod(channels, self.groups)
        sizes = [small + 1 if g < more else small for g in range(self.groups)]
        if self.sizes == "chunks":
            sizes = [min(max(sizes), channels - g * max(sizes)) for g in range(self.groups)]
            if sizes[-1] < 1:
                raise ValueError(
                    f"chunks of {sizes[0]} channels leave none of the {channels} for the last of {self.groups} groups. "
                    "Take sizes='spread'."
                )
        return sizes

    def branches(self, shape: Shape) -> list[list[Band]]:
        """The bands of each branch; neighbouring groups that are treated alike are one band.

        Raises:
            ValueError: if the groups do not fit the channels, or a roll is a full turn or more.
        """
        channels, height, width = shape
        if self.groups > channels:
            raise ValueError(f"groups must be at most the {channels} channels of {shape}, got {self.groups}.")
        sizes = self._sizes(channels)
        if self.combine == "select":
            moves = [(0, -self.step_w), (0, self.step_w), (-self.step_h, 0), (self.step_h, 0)][: len(self.directions)]
            rolls = [(moves + [(0, 0)] * self.groups)[: self.groups]]
        else:
            # Python rounds halves to even, so that both directions get the same distances.
            rolls = [[(0, round(self.step_w * d)) for d in self._spread()]]
            rolls += [[(round(self.step_h * d), 0) for d in self._spread()]] if self.directions == "lrud" else []
        down, right = (max(abs(roll[axis]) for branch in rolls for roll in branch) for axis in (0, 1))
        if (down and down >= height) or (right and right >= width):
            raise ValueError(
                f"a roll must be shorter than the grid, {height}x{width} of input {shape}: "
                f"got {down} along the height, {right} along the width. Take smaller steps, or directions='lr'."
            )
        groups = [zip(sizes, branch, self.sides(), strict=True) for branch in rolls]
        return [_merged(Band(size, *roll, kernel) for size, roll, kernel in branch) for branch in groups]

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        branches = self.branches(shape)
        total = elementwise(channels * positions * (len(branches) - 1))
        filtered = [band for branch in branches for band in branch if band.kernel]
        for band in filtered:
            taps, size = band.kernel**2, band.channels * positions
            kept = size if band.down or band.right else 0
            total += convolution(size * taps, band.channels * (taps + 1), kept, trained=freeze != "chans")
        # A band that does not move is a view of the whole input, kept once.
        stays = any(not (band.down or band.right) for band in filtered)
        return total + Cost(activations=channels * positions if stays else 0)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        steps = tuple(s for s in (0, 1) if s < min(shape[1:]))
        fitting = tuple(g for g in (4, 8, 16, 32) if g <= shape[0])
        return {
            "groups": tuple(g for g in fitting if shape[0] % g == 0) or fitting,
            "step_w": tuple(s for s in (0, 1, 2) if 2 * s < shape[2]),
            "step_h": steps,
            "directions": ("lrud", "lr"),
            "fill": ("circular", "zero", "replicate"),
            "combine": ("select", "sum"),
            "one_sided": tuple(o for o in (False, True) if not o or min(shape[1:]) > 2),
            "kernels": ("none", "constant(3)", "index(7)", "distance(5)"),
            "sizes": ("spread", "chunks"),
        }

    def build(self, shape: Shape) -> "RolledGroups":
        return RolledGroups(self.branches(shape), self.fill)


def _merged(bands: Iterable[Band]) -> list[Band]:
    """Neighbouring bands that are treated alike as one."""
    merged: list[Band] = []
    for band in bands:
        if merged and replace(merged[-1], channels=band.channels) == band:
            band = replace(band, channels=merged.pop().channels + band.channels)
        merged.append(band)
    return merged


def shift(x: Tensor, down: int, right: int, fill: Fill = "circular") -> Tensor:
    """(..., H, W) moved by ``down`` and ``right`` positions, which may be negative."""
    if fill == "circular":
        return torch.roll(x, (down, right), (-2, -1)) if down or right else x
    for dim, step in ((-2, down), (-1, right)):
        if step:
            length = x.shape[dim]
            edge = x.narrow(dim, 0 if step > 0 else length - 1, 1)
            kept = x.narrow(dim, max(-step, 0), length - abs(step))
            vacated = [edge if fill == "replicate" else torch.zeros_like(edge)] * abs(step)
            x = torch.cat([*vacated, kept] if step > 0 else [kept, *vacated], dim)
    return x


class RolledGroups(Mixer):
    """Module of `RollMix`."""

    def __init__(self, branches: list[list[Band]], fill: Fill) -> None:
        super().__init__()
        self.branches, self.fill = branches, fill
        self.filters = nn.ModuleList(
            nn.Conv2d(band.channels, band.channels, band.kernel, padding=band.kernel // 2, groups=band.channels)
            if band.kernel
            else nn.Identity()
            for branch in branches
            for band in branch
        )

    def forward(self, x: Tensor) -> Tensor:
        filters = iter(self.filters)
        total: Tensor | None = None
        for branch in self.branches:
            inputs = torch.split(x, [band.channels for band in branch], 1) if len(branch) > 1 else (x,)
            outputs = [
                next(filters)(shift(group, band.down, band.right, self.fill))
                for group, band in zip(inputs, branch, strict=True)
            ]
            y = torch.cat(outputs, 1) if len(outputs) > 1 else outputs[0]
            total = y if total is None else total + y
        return x if total is None else total

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.filters.parameters()

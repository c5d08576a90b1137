"""ASM-RH networks (2402.18007): MLP-Mixers with rolled tokens and frequency mixing, for spectrograms or images.

A roll is at most ``grid // depth`` positions long along each axis, so that ``depth`` blocks together go round at most
once; longer picks are cut to it, and a network has one key whatever pick it comes from. The defaults are for small
spectrograms on a CPU; a study may ask for the published ``dim = 768``, ``depth = 12``, ``patch = "16/10"``.
"""

import math
import re
from typing import cast, get_args

from searchspaces.architecture import Architecture, Shape, Stage, Value
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.rolled_metaformer import RolledBlock
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead
from searchspaces.operators.hermit import Axis, Hermit, Position, Reading
from searchspaces.operators.roll_mix import Fill, RollMix
from searchspaces.operators.roll_token_mlp import ROLL_ACTIVATIONS, RollActivation, RollTokenMLP
from searchspaces.space import Choice, Picks, SearchSpace, search_space
from searchspaces.stems.embedding import EmbeddingStem

PATCHES = ("16/10", "16/16", "16/8", "8/8", "8/4", "4/4", "4/2", "2/2", "2/1", "1/1")
"""Side and stride of the patches, from the published ones to those that suit the smallest inputs."""

MAX_TOKENS = 1212
"""Tokens of the longest published input, 1,024 frames; the default patches make at most as many."""


def grid(patch: Value, input: Shape) -> tuple[int, int]:
    """Rows and columns of tokens for a patch such as ``"16/10"``; (0, 0) for other text or if it does not fit."""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", str(patch))
    if match is None or int(match[1]) > min(input[1:]):
        return 0, 0
    side, stride = int(match[1]), int(match[2])
    return (input[1] - side) // stride + 1, (input[2] - side) // stride + 1


class Patches:
    """Container of the patches, ``side/stride``, that make at least two rows and two columns of tokens."""

    def __init__(self, input: Shape) -> None:
        self.input = input

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and min(grid(value, self.input)) >= 2

    def __str__(self) -> str:
        return f"SIDE/STRIDE with two rows and columns of patches in {self.input}, as {self.usual()[0]}"

    def usual(self) -> tuple[Value, ...]:
        """Up to four of `PATCHES`, those with at least four rows and columns of tokens if there are any.

        Raises:
            ValueError: if none fits.
        """
        grids = {patch: grid(patch, self.input) for patch in PATCHES}
        for least in (4, 2):
            if found := [p for p, sides in grids.items() if min(sides) >= least and math.prod(sides) <= MAX_TOKENS]:
                return tuple(found[:4])
        raise ValueError(f"asm_rh needs two rows and columns of tokens, got input {self.input}. Take a larger input.")


class HiddenUnits:
    """Container of ``half`` and of positive numbers as text."""

    def __contains__(self, value: object) -> bool:
        return value == "half" or re.fullmatch(r"[1-9]\d*", str(value)) is not None

    def __str__(self) -> str:
        return "half (of the tokens), or a number in quotes"


@search_space("asm_rh")
def asm_rh(input: Shape, classes: int, *, allow_wrap: bool = False) -> SearchSpace:
    """ASM-RH networks for spectrograms ``input`` = (C, mel, frames).

    Args:
        allow_wrap: rolls of all blocks together may go round the grid more than once.
    """
    patches = Patches(input)
    lines: tuple[Value, ...] = ("lrud", "lr")
    fills: tuple[Value, ...] = get_args(Fill)
    readings: tuple[Value, ...] = ("none", "literal", "dct", "dct_filter", "rfft_filter", "aff")
    choices = (
        Choice("dim", (48, 96, 192), range(8, 4097, 8), "channels of every block"),
        Choice("depth", (2, 4, 8), range(1, 65), "number of blocks"),
        Choice("patch", patches.usual(), patches, "side and stride of the patches in pixels"),
        Choice("embedding", ("off", "on"), ("off", "on"), "learned embedding of each position"),
        Choice("token_hidden", ("half", "384"), HiddenUnits(), "units of the token MLP"),
        Choice("expansion", (4,), range(1, 17), "units of the channel MLP for each channel"),
        Choice("activation", ROLL_ACTIVATIONS, ROLL_ACTIVATIONS, "of both MLPs"),
        Choice("freeze", ("full",), FREEZE_PATTERNS, "which mixing is trained"),
        Choice("roll.step", (0, 1, 2, 4), range(65), "how far groups are rolled at most, in tokens; 0 for no roll"),
        Choice("roll.groups", (8, 16, 32), (8, 16, 32), "groups of channels; fewer if dim is no multiple"),
        Choice("roll.directions", lines, lines, "left, right, up, down"),
        Choice("roll.fill", fills, fills, "what vacated cells hold"),
        Choice("roll.on", ("branch", "residual"), ("branch", "residual"), "after the norm, or the residual stream"),
        Choice("hf.reading", readings, readings, "of the frequency mixing"),
        Choice("hf.axis", get_args(Axis), get_args(Axis), "of the transform"),
        Choice("hf.position", get_args(Position), get_args(Position), "of the transforms, relative to the channel MLP"),
    )

    def roll(picks: Picks, rows: int, columns: int) -> RollMix:
        def step(side: int) -> int:
            return min(int(picks["roll.step"]), side - 1 if allow_wrap else max(1, side // int(picks["depth"])))

        groups = math.gcd(int(picks["roll.groups"]), int(picks["dim"]))  # a power of two, at least 8
        down = step(rows) if picks["roll.directions"] == "lrud" else 0
        return RollMix(groups, step(columns), down, fill=cast(Fill, picks["roll.fill"]))

    def to_architecture(picks: Picks) -> Architecture:
        side, stride = map(int, str(picks["patch"]).split("/"))
        stem = EmbeddingStem(int(picks["dim"]), side, stride, position=picks["embedding"] == "on")
        rows, columns = grid(picks["patch"], input)
        hidden = rows * columns // 2 if picks["token_hidden"] == "half" else int(picks["token_hidden"])
        activation = cast(RollActivation, picks["activation"])
        channel = Hermit(
            cast(Reading, picks["hf.reading"]),
            cast(Axis, picks["hf.axis"]),
            cast(Position, picks["hf.position"]),
            float(picks["expansion"]),
            activation,
        )
        rolled, freeze = roll(picks, rows, columns).canonical(), cast(Freeze, picks["freeze"])
        if picks["roll.on"] == "residual" and not rolled.still:
            token = RollTokenMLP(hidden, RollMix(1, step_w=0, directions="lr"), activation)
            block: MetaFormerBlock = RolledBlock(token, channel, freeze, roll=rolled)
        else:
            block = MetaFormerBlock(RollTokenMLP(hidden, rolled, activation), channel, freeze)
        return Architecture(input, classes, stem, (Stage(block, int(picks["depth"])),), AverageHead("layer"))

    return SearchSpace("asm_rh", choices, to_architecture)

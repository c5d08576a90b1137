"""Separable ResNets (1512.03385) with frozen spatial or channel mixing (2503.16760), stage by stage.

Every stage has its own freeze pattern and filter bank. Filters matter to a network only if they stay: the pick is
dropped unless the stage is ``chans``, or ``filters_as_init`` asks for them as initialisation of a trained bank too.
``orthogonal`` needs multiplier 9, one filter for each tap of 3x3; with another multiplier it is dropped as well. The
paper does not say which ResNet: the layouts are those for CIFAR (stem 3x3 with stride 1, no pooling), whose stem, which
is dense, and classifier are always learned.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from searchspaces.architecture import Architecture, Shape, Stage
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.fields import SWITCH
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead
from searchspaces.layers.filters import parse_filters
from searchspaces.layers.separable import Variant
from searchspaces.space import Choice, Picks, SearchSpace, search_space
from searchspaces.spaces.convmixer import FilterModes, filter_choices
from searchspaces.stems.conv import ConvStem

LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "resnet18": ((64, 128, 256, 512), (2, 2, 2, 2)),
    "resnet20": ((16, 32, 64), (3, 3, 3)),
}
"""Name -> channels and number of blocks of each stage."""

KERNEL = 3


class BankModes(FilterModes):
    """Container of the filter modes that a bank with several filters per channel can hold."""

    def __contains__(self, value: object) -> bool:
        try:
            parse_filters(str(value))
        except ValueError:
            return False
        return True


class Factors:
    """Container of the width factors: positive floats up to 8."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, float) and 0 < value <= 8

    def __str__(self) -> str:
        return "a number above 0.0 and up to 8.0"


def resnet(input: Shape, classes: int, blocks: Sequence[BasicBlock], depths: Sequence[int]) -> Architecture:
    """ResNet whose stage ``s`` is ``depths[s]`` times ``blocks[s]``; the first of every later stage has stride 2."""
    stages = [Stage(blocks[0], depths[0])]
    for block, depth in zip(blocks[1:], depths[1:], strict=True):
        stages.append(Stage(replace(block, stride=2)))
        if depth > 1:
            stages.append(Stage(block, depth - 1))
    return Architecture(input, classes, ConvStem(blocks[0].dim), tuple(stages), AverageHead())


@search_space("resnet")
def separable_resnet(input: Shape, classes: int, *, filters_as_init: bool = False) -> SearchSpace:
    """Separable ResNets for images ``input`` = (C, H, W).

    Args:
        filters_as_init: search the filter mode of trained banks too, as their initialisation.
    """
    modes = ("random", "smooth(1)", "impulse", "same", "same_per_multiplier", "box", "identity", "orthogonal")
    choices = [
        Choice("layout", tuple(LAYOUTS), tuple(LAYOUTS), "channels and number of blocks of the stages"),
        Choice("multiplier", (1, 2, 4, 9), range(1, 65), "depthwise filters for each channel"),
        Choice("width", (0.25, 0.5, 1.0), Factors(), "factor of the channels of the layout"),
        Choice("variant", ("plain", "mobilenet"), ("plain", "mobilenet"), "norm between depthwise and 1x1 or none"),
    ]
    more = []
    for stage in ("s1", "s2", "s3", "s4"):
        more += filter_choices(stage)
        choices += [
            Choice(f"{stage}.freeze", FREEZE_PATTERNS, FREEZE_PATTERNS, "which mixing is trained"),
            Choice(f"{stage}.filters", modes, BankModes(), "what a frozen bank of filters holds"),
        ]

    def block(picks: Picks, stage: str, dim: int) -> BasicBlock:
        freeze, multiplier = cast(Freeze, picks[f"{stage}.freeze"]), int(picks["multiplier"])
        filters = str(picks[f"{stage}.filters"]) if freeze == "chans" or filters_as_init else "random"
        if parse_filters(filters)[0] == "orthogonal" and multiplier != KERNEL**2:
            filters = "random"
        return BasicBlock(
            dim,
            multiplier=multiplier,
            kernel=KERNEL,
            filters=filters,
            freeze=freeze,
            freeze_norm=picks.get(f"{stage}.freeze_norm") == SWITCH[1],
            norm_match=picks.get(f"{stage}.norm_match") != SWITCH[0],
            variant=cast(Variant, picks["variant"]),
        )

    def to_architecture(picks: Picks) -> Architecture:
        dims, depths = LAYOUTS[str(picks["layout"])]
        scaled = [max(1, round(dim * float(picks["width"]))) for dim in dims]
        return resnet(input, classes, [block(picks, f"s{n}", dim) for n, dim in enumerate(scaled, 1)], depths)

    moved = {"norms": "Say freeze_norm = on in its place."}
    return SearchSpace("resnet", tuple(choices), to_architecture, tuple(more), moved=moved)

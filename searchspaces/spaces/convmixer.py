"""ConvMixer with frozen spatial or channel mixing (2503.16760): the space of that paper, per group of blocks.

The blocks form one group or two groups of consecutive blocks; each group has its own kernel, dilation, freeze pattern
and filter bank. Filters matter to a network only if they stay: the pick is dropped unless the group is ``chans``,
or ``filters_as_init`` asks for them as initialisation of a trained bank too.
"""

from typing import cast

from searchspaces.architecture import Architecture, Shape, Stage, Value
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.fields import SWITCH
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead
from searchspaces.layers.filters import FILTER_MODES, NUMBERED, parse_filters
from searchspaces.operators.depthwise import Depthwise
from searchspaces.space import Choice, Picks, SearchSpace, search_space
from searchspaces.stems.patch import PatchStem, divisors


class FilterModes:
    """Container of the filter modes that a depthwise bank with one filter per channel can hold."""

    def __contains__(self, value: object) -> bool:
        try:
            return parse_filters(str(value))[0] not in ("orthogonal", "same_per_multiplier")
        except ValueError:
            return False

    def __str__(self) -> str:
        names = [name for name in FILTER_MODES if f"{name}(1)" in self or name in self]
        return ", ".join(f"{name}(NUMBER)" if name in NUMBERED else name for name in names)


def filter_choices(group: str) -> list[Choice]:
    """Choices of a group of blocks with filter banks that a study searches if it names them."""
    return [
        Choice(f"{group}.freeze_norm", (SWITCH[0],), SWITCH, "factors and offsets of the norms stay as they start"),
        Choice(f"{group}.norm_match", (SWITCH[1],), SWITCH, "filters scaled to one norm; off: they keep their own"),
    ]


@search_space("convmixer")
def convmixer(input: Shape, classes: int, *, filters_as_init: bool = False) -> SearchSpace:
    """ConvMixers for images ``input`` = (C, H, W).

    Args:
        filters_as_init: search the filter mode of trained banks too, as their initialisation.
    """
    _, height, width = input
    patches = divisors(input)
    default_patches: tuple[Value, ...] = tuple(p for p in patches if p in (1, 2, 4, 7, 14) and p * 4 <= height)
    modes = ("random", "smooth(1)", "smooth(2)", "impulse", "same", "box", "identity")
    choices = [
        Choice("dim", (16, 32, 64, 128), range(1, 4097), "channels of every block"),
        Choice("depth", (2, 4, 6, 8), range(1, 65), "number of blocks"),
        Choice("patch", default_patches or (1,), patches, "side of a patch in pixels; divides both sides"),
        Choice("groups", (1, 2), (1, 2), "groups of consecutive blocks with picks of their own"),
    ]
    more = []
    for group in ("s1", "s2"):
        more += filter_choices(group)
        choices += [
            Choice(f"{group}.kernel", (3, 5, 7), range(1, 32), "side of the depthwise filters in pixels"),
            Choice(f"{group}.dilation", (1, 2), range(1, 9), "distance between filter taps in pixels"),
            Choice(f"{group}.freeze", FREEZE_PATTERNS, FREEZE_PATTERNS, "which mixing is trained"),
            Choice(f"{group}.filters", modes, FilterModes(), "what a frozen bank of filters holds"),
        ]

    def block(picks: Picks, group: str) -> ConvMixerBlock:
        freeze = cast(Freeze, picks[f"{group}.freeze"])
        filters = str(picks[f"{group}.filters"]) if freeze == "chans" or filters_as_init else "random"
        kernel, side = int(picks[f"{group}.kernel"]), max(height, width) // int(picks["patch"])
        dilation = min(int(picks[f"{group}.dilation"]), side)  # taps farther apart read nothing but padding
        token = Depthwise(kernel, dilation, filters, norm_match=picks.get(f"{group}.norm_match") != SWITCH[0])
        return ConvMixerBlock(token, freeze=freeze, freeze_norm=picks.get(f"{group}.freeze_norm") == SWITCH[1])

    def to_architecture(picks: Picks) -> Architecture:
        depth = int(picks["depth"])
        first = depth if picks["groups"] == 1 else (depth + 1) // 2
        stages = [Stage(block(picks, "s1"), first)]
        if depth > first:
            stages.append(Stage(block(picks, "s2"), depth - first))
        stem = PatchStem(int(picks["dim"]), int(picks["patch"]))
        return Architecture(input, classes, stem, tuple(stages), AverageHead())

    return SearchSpace("convmixer", tuple(choices), to_architecture, tuple(more))

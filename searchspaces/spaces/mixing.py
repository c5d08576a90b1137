"""All five axes at once: one MetaFormer space over mixing operators, isotropic or pyramid.

1. freeze pattern and filter bank of every stage (2503.16760); 2. permutation type (2306.01470), acting on token MLP,
raft and channel MLP; 3. kernel and dilation; 4. placement of full, grouped and depthwise convolution (2507.10999);
5. in the isotropic layout the split of a fixed number of connections Omega into S tokens and C channels (2306.01470).

A pick that the network does not use is dropped, so that equal networks have equal keys. Every field of every operator
and block is a choice too, ``s1.raft.expansion``, of which a study searches those that it names.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, cast, get_args

from searchspaces.architecture import (
    CHANNEL_MIXERS,
    TOKEN_MIXERS,
    Architecture,
    ChannelMixer,
    Shape,
    Stage,
    TokenMixer,
    Value,
)
from searchspaces.blocks.dense_metaformer import DenseBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.costs import NoFormulaError
from searchspaces.downsamples import ConvDownsample
from searchspaces.fields import SWITCH, example, field_choices, fitted, kinds, with_fields
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead
from searchspaces.layers.activations import ACTIVATIONS
from searchspaces.layers.norms import Norm
from searchspaces.layers.permutations import PERMUTATIONS, Permutation
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.convolution import Convolution
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.gated import Gated
from searchspaces.operators.hermit import Hermit, Reading
from searchspaces.operators.pooling import Pooling
from searchspaces.operators.raft import Raft
from searchspaces.operators.roll_mix import RollMix
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.patterns import Patterns, takes_first
from searchspaces.space import Choice, Numbers, Picks, SearchSpace, search_space
from searchspaces.spaces.convmixer import FilterModes
from searchspaces.splits import SQUARES, Budgets, Splits
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import divisors
from searchspaces.stems.projected import ProjectedStem
from searchspaces.stems.resized import ResizedStem

MIXSHIFT = {"mixshift": "1,1,3,5,7", "mixshift2": "1,3,3,5,7", "mixshift3": "1,5,5,5,7", "mixshift4": "1,7,7,7,7"}
"""Kernels by group of the token mixers of these names, those of the stages of MS-MLP (2202.06510)."""
FILTERS = ("dct_filter", "rfft_filter")
"""Names of channel mixers: an MLP behind a filter of all positions, a reading of `Hermit`."""
GROUP_WIDTH = 8
"""Channels in a group of the grouped convolution, as nearly as the channels allow; and groups of the roll."""
MAX_POSITIONS = 256
"""Largest grid of the default patches: matrices over all positions grow with its square."""
ISO_TOLERANCE = 0.03
"""Share by which a block may miss the multiply-accumulates of ``iso_macs``."""
EXPANSIONS = (0.5, 8.0)
"""Least and largest channel expansion of ``iso_macs``."""

OURS = {
    "conv": ("depthwise", "convolution"),
    "roll": ("roll_mix",),
    "maxpool": ("pooling",),
    "monarch_mlp": ("token_mlp",),
    **dict.fromkeys(MIXSHIFT, ("roll_mix",)),
}
"""Names of token mixers that stand for several kinds or for a kind with fields of our choice, and those kinds."""
STATIC = ("pooling", "maxpool", "token_mlp", "raft", "depthwise", "spatial_fc", "random_mix", "mixshift", "gfilter")
"""Token mixers that have a gated form, ``gated(raft)``."""
OURS |= {f"gated({name})": ("gated", *OURS.get(name, (name,))) for name in STATIC}

STILL: dict[str, dict[str, Any]] = {
    "dsm": {"static": True},
    "nin": {"gate": "none"},
    "mab": {"gated": False},
    "strip": {"local": 0},
    "axis_mlp": {"gate": "none"},
}
"""Dynamic token mixers with fields by which nothing in them depends on the image: ``static(dsm)``."""
OURS |= {f"static({name})": (name,) for name in STILL}
TWINS = {name: f"static({name})" for name in STILL} | {
    "aff": "gfilter",
    "attention": "spatial_fc",
    "s6": "gfilter",  # with constant decays, a state space is a global convolution
    "gated": "token_mlp",  # gated(NAME) has the static mixer NAME
}
"""Dynamic token mixer -> its static twin, which does the same with weights that do not depend on the image."""
AVERAGE, FROZEN = "avgpool3", "frozen_dw7"
"""Names of controls that are the same whatever else is picked: `FROZEN` is in a block that trains no filters."""
OURS |= {AVERAGE: (), FROZEN: ()}
CONTROLS = tuple(dict.fromkeys(("identity", AVERAGE, FROZEN, "token_mlp", *TWINS.values())))
"""What a mixer has to beat at equal cost, or the study measures its channel mixer."""
OUR_CHANNELS = {"monarch_channel_mlp": ("channel_mlp",), **dict.fromkeys(FILTERS, ("hermit",))}
"""The same of channel mixers."""


class Mixers:
    """Container of the names that a mixer choice can take: all that can be made by name, users' own included."""

    def __init__(self, table: Mapping[str, Any], ours: Iterable[str] = ()) -> None:
        self.table, self.ours = table, ours

    def names(self) -> set[str]:
        """The names, as of now: a plugin may have registered more."""
        return {name for name, cls in self.table.items() if example(cls) is not None} | set(self.ours)

    def __contains__(self, value: object) -> bool:
        return value in self.names()

    def __str__(self) -> str:
        return ", ".join(sorted(self.names()))


class StagePicks(NamedTuple):
    """The picks of one stage, in the order of `_stage_choices`.

    Args:
        named: picks of the choices that are off by default, ``raft.expansion`` and the like.
    """

    mixer: str
    conv: str
    kernel: int
    dilation: int
    permutation: Permutation
    freeze: Freeze
    filters: str
    channel: str
    expansion: int
    named: tuple[tuple[str, Value], ...] = ()


@search_space("mixing")
def mixing(
    input: Shape,
    classes: int,
    *,
    stages: int = 2,
    omega: Budgets = (2**12, 2**14),
    iso_macs: bool = False,
    tokens_by: Literal["resize", "patch", "project"] = "resize",
    filters_as_init: bool = False,
    norm: Norm = "layer",
    layer_scale: float = 0.0,
) -> SearchSpace:
    """MetaFormers for images ``input`` = (C, H, W).

    Args:
        stages: stages with picks of their own; the isotropic layout keeps the grid, the pyramid halves it between them.
        omega: budgets Omega / gamma of the isotropic layout; the choice ``split`` has the pairs S x C that keep them.
        iso_macs: in the isotropic layout, a block costs 4 Omega multiply-accumulates within 3 %, whatever its token
            mixer: the channel expansion is adjusted, between 0.5 and 8. What cannot keep it is refused.
        tokens_by: how the isotropic layout makes S tokens: the image resized, cut into patches, or projected.
        filters_as_init: search the filter bank of trained depthwise convolutions too, as their initialisation.
        norm, layer_scale: of every block (`MetaFormerBlock`), unless a study searches them.

    Raises:
        ValueError: if there is no stage, or nothing keeps a budget.
    """
    if not 1 <= stages <= 6:
        raise ValueError(f"stages must be 1 to 6, got {stages}.")
    _, height, width = input
    fitting = [p for p in divisors(input) if height * width <= MAX_POSITIONS * p * p and 2**stages * p <= height]
    grids = {tokens: p for p in divisors(input) if (tokens := height * width // p**2) > 1}
    splits = Splits(omega, {"resize": SQUARES, "patch": grids, "project": range(2, 1025)}[tokens_by])
    choices = [
        Choice("layout", ("isotropic", "pyramid"), ("isotropic", "pyramid"), "one grid, or one halved between stages"),
        Choice("depth", (2, 4), range(1, 65), "blocks, shared out evenly among the stages"),
        Choice("split", splits.usual(), splits, "S tokens x C channels of the isotropic layout, by Omega / gamma"),
        Choice("gamma", (1, 2), range(1, 9), "expansion of isotropic token MLPs, and factor of the budget of iso_macs"),
        Choice("dim", (16, 32), range(8, 2049, 8), "channels of the first stage of the pyramid"),
        Choice("patch", tuple(fitting[:2]) or (1,), divisors(input), "side of a patch of the pyramid, in pixels"),
    ]
    more = [Choice("stem_frozen", (SWITCH[0],), SWITCH, "the map from pixels to channels stays as it starts")]
    more += [] if stages == 1 else _pattern_choices()
    of_operators = _operator_choices()
    for stage in range(1, stages + 1):
        choices += _stage_choices(f"s{stage}")
        more += _block_choices(f"s{stage}", norm, layer_scale)
        more += [replace(choice, name=f"s{stage}.{choice.name}") for choice in of_operators]
    named = {f"s{n}": [(c.name, c.short) for c in more if c.name.startswith(f"s{n}.")] for n in range(1, stages + 1)}

    always = {n: [f"s{n}.{choice}" for choice in StagePicks._fields[:-1]] for n in range(1, stages + 1)}

    def stage_picks(picks: Picks, stage: int) -> StagePicks:
        found = StagePicks(*[cast(Any, picks[name]) for name in always[stage]])
        if not searched(picks):
            return found
        active = {short: name for name, short in named[f"s{stage}"] if name in picks}
        return found._replace(named=_named_picks(picks, active, (found.mixer, found.channel)))

    least = len(choices)

    def searched(picks: Picks) -> bool:
        """Whether a study has named a choice that is off by default."""
        return len(picks) != least

    def lifts(picks: Picks) -> bool:
        """Whether the stem is a random lift, not trained."""
        return searched(picks) and "stem_frozen" in picks and picks["stem_frozen"] == SWITCH[1]

    def stage_block(picks: StagePicks, shape: Shape, gamma: int, target: int | None) -> MetaFormerBlock:
        filters = picks.filters if picks.freeze == "chans" or filters_as_init else "random"
        token = _token_mixer(_used(picks._replace(filters=filters), gamma), shape)
        expansion = picks.expansion if target is None else None
        channel = _channel_mixer(picks.channel, expansion, picks.permutation, picks.named, shape)
        if target is not None:
            channel = _at_cost(channel, token, shape, target)
        pattern: Freeze = "chans" if picks.mixer == FROZEN else picks.freeze
        block = MetaFormerBlock(token, channel, pattern, norm, layer_scale)
        return _with_block_fields(block, dict(picks.named)) if picks.named else block

    def row(picks: StagePicks, depth: int, block: MetaFormerBlock, down: ConvDownsample | None = None) -> Stage:
        if dict(picks.named).get("dense_avg") == SWITCH[1]:
            return Stage(DenseBlock.of(block, depth), 1, down)
        return Stage(block, depth, down)

    def isotropic(picks: Picks, groups: list[list[int]]) -> Architecture:
        split, gamma = splits[picks["split"]], int(picks["gamma"])
        stem = _isotropic_stem(tokens_by, input, split.channels, split.tokens, grids, frozen=lifts(picks))
        shape, target = stem.output(input), 4 * split.budget * gamma if iso_macs else None
        rows = [
            row(own := stage_picks(picks, group), depth, stage_block(own, shape, gamma, target))
            for group, depth in _runs([group for blocks in groups for group in blocks])
        ]
        return Architecture(input, classes, stem, tuple(rows), AverageHead(norm))

    def pyramid(picks: Picks, groups: list[list[int]]) -> Architecture:
        dim, patch = int(picks["dim"]), int(picks["patch"])
        stem = EmbeddingStem(dim, patch, patch, frozen=lifts(picks))
        shape = stem.output(input)
        rows: list[Stage] = []
        for number, blocks in enumerate(groups):
            down = ConvDownsample(dim * 2**number) if number and blocks else None
            shape = down.output(shape) if down else shape
            for group, depth in _runs(blocks):
                own = stage_picks(picks, group)
                rows.append(row(own, depth, stage_block(own, shape, 1, None), down))
                down = None
        return Architecture(input, classes, stem, tuple(rows), AverageHead(norm))

    def to_architecture(picks: Picks) -> Architecture:
        each, rest = divmod(int(picks["depth"]), stages)
        depths = [each + 1 if n < rest else each for n in range(stages)]
        pattern = str(picks["pattern"]) if searched(picks) and "pattern" in picks else "own"
        unit = str(picks["unit"]) if pattern != "own" and "unit" in picks else "blocks"
        groups = _groups(pattern, unit, depths)
        return isotropic(picks, groups) if picks["layout"] == "isotropic" else pyramid(picks, groups)

    def facts(picks: Picks) -> dict[str, Value]:
        return splits[picks["split"]].facts() if picks["layout"] == "isotropic" else {}

    gone = "S and C are one choice, split: give the budgets as omega = [4096, 16384] in [space], the pairs as split."
    moved = {"tokens": gone, "omega": gone}
    return SearchSpace("mixing", tuple(choices), to_architecture, tuple(more), facts, moved)


def _named_picks(picks: Picks, active: Mapping[str, str], mixers: tuple[str, ...]) -> tuple[tuple[str, Value], ...]:
    """The picks of a stage that are off by default and that its block and mixers use.

    Args:
        active: ``raft.expansion`` -> name of the choice, of those that a study has named.
        mixers: names of the two mixers.
    """
    found = {short: picks[name] for short, name in active.items() if "." not in short}
    waiting, seen = list(mixers), set[str]()
    while waiting:
        for kind in _kinds(waiting.pop()) - seen:
            seen.add(kind)
            for short, name in active.items():
                if short.partition(".")[0] == kind and "." in short:
                    found[short] = picks[name]
                    if picks[name] in TOKEN_MIXERS or picks[name] in OURS:  # a field that is a mixer
                        waiting.append(str(picks[name]))
    return tuple(found.items())


@cache
def _kinds(name: str) -> frozenset[str]:
    """Kinds of operators that a mixer of this name is made of."""
    if name in OURS or name in OUR_CHANNELS:
        return frozenset(OURS[name] if name in OURS else OUR_CHANNELS[name])
    made = (example(table[name]) for table in (TOKEN_MIXERS, CHANNEL_MIXERS) if name in table)
    return frozenset().union(*(kinds(spec) for spec in made if spec is not None))


def _groups(pattern: str, unit: str, depths: list[int]) -> list[list[int]]:
    """For each stage, which stage's picks each of its blocks has: A are those of the first, B of the second."""
    if pattern == "own":
        return [[number] * depth for number, depth in enumerate(depths, start=1)]

    def pick(place: int) -> int:
        return 1 if takes_first(pattern, place) else 2

    if unit == "stages":
        return [[pick(number)] * depth for number, depth in enumerate(depths, start=1)]
    before = [sum(depths[:number]) for number in range(len(depths))]
    return [[pick(start + n + 1) for n in range(depth)] for start, depth in zip(before, depths, strict=True)]


def _runs(groups: list[int]) -> list[tuple[int, int]]:
    """Equal neighbours and how many there are of each."""
    runs: list[tuple[int, int]] = []
    for group in groups:
        repeated = bool(runs) and runs[-1][0] == group
        count = runs.pop()[1] + 1 if repeated else 1
        runs.append((group, count))
    return runs


def _stage_choices(stage: str) -> list[Choice]:
    tokens: tuple[Value, ...] = ("conv", "token_mlp", "raft", "roll", "pooling", "spatial_fc", "random_mix", "identity")
    modes = ("random", "smooth(1)", "impulse", "same", "box", "identity")
    return [
        Choice(f"{stage}.mixer", tokens, Mixers(TOKEN_MIXERS, OURS), "token mixer", presets={"controls": CONTROLS}),
        Choice(f"{stage}.conv", ("depthwise", "grouped", "full"), ("depthwise", "grouped", "full"), "kind of conv"),
        Choice(f"{stage}.kernel", (3, 5), range(1, 32, 2), "side of the window of conv and pooling, in positions"),
        Choice(f"{stage}.dilation", (1, 2), range(1, 9), "distance between taps of conv, in positions"),
        Choice(f"{stage}.permutation", PERMUTATIONS, PERMUTATIONS, "around token MLP, raft and channel MLP"),
        Choice(f"{stage}.freeze", FREEZE_PATTERNS, FREEZE_PATTERNS, "which mixing is trained"),
        Choice(f"{stage}.filters", modes, FilterModes(), "what a frozen depthwise bank holds"),
        Choice(
            f"{stage}.channel", ("channel_mlp", "mlp_depthwise"), Mixers(CHANNEL_MIXERS, OUR_CHANNELS), "channel mixer"
        ),
        Choice(f"{stage}.expansion", (1, 2), range(1, 9), "hidden channels of the channel mixer for each channel"),
    ]


def _pattern_choices() -> list[Choice]:
    units = ("blocks", "stages")
    return [
        Choice("pattern", ("own",), Patterns(), "where the picks of s1 (A) and of s2 (B) stand; own: in their stages"),
        Choice("unit", ("blocks",), units, "what the pattern counts"),
    ]


def _block_choices(stage: str, norm: Norm, layer_scale: float) -> list[Choice]:
    """Choices that are off by default: what a block can do whatever its mixers."""
    return [
        Choice(f"{stage}.norm", (norm,), get_args(Norm), "kind of the norm before each mixer"),
        Choice(f"{stage}.layer_scale", (float(layer_scale),), Numbers(0, 10), "start of the residual factors, 0: none"),
        Choice(f"{stage}.drop_path", (0.0,), Numbers(0, 0.9), "chance that an image skips a mixer in training"),
        Choice(f"{stage}.freeze_norm", (SWITCH[0],), SWITCH, "factors and offsets of the norms stay as they start"),
        Choice(f"{stage}.dense_avg", (SWITCH[0],), SWITCH, "each mixer reads an average of all before it in the stage"),
        Choice(f"{stage}.fused", (SWITCH[0],), SWITCH, "one residual around both mixers, one norm between them"),
        Choice(f"{stage}.activation", ("gelu",), tuple(ACTIVATIONS), "of both mixers, where they have one"),
    ]


def _operator_choices() -> list[Choice]:
    """Choices that are off by default: the fields of every operator, without the stage."""
    kinds = [cls for table in (TOKEN_MIXERS, CHANNEL_MIXERS) for cls in table.values() if example(cls) is not None]
    return list({choice.name: choice for cls in kinds for choice in field_choices(cls)}.values())


def _isotropic_stem(
    tokens_by: str, input: Shape, dim: int, tokens: int, grids: Mapping[int, int], *, frozen: bool
) -> EmbeddingStem | ResizedStem | ProjectedStem:
    # One patch side for all S, so that a sweep of S does not change the embedding (2306.01470, reading of "resize").
    patch = 2 if min(input[1:]) < 16 else 4
    if tokens_by == "resize":
        return ResizedStem(dim, tokens, patch, frozen)
    if tokens_by == "project":
        return ProjectedStem(dim, tokens, min(patch, *input[1:]), frozen)
    return EmbeddingStem(dim, grids[tokens], grids[tokens], frozen=frozen)


class TokenPicks(NamedTuple):
    """What a token mixer depends on; picks that it does not use have one value, so that equal mixers are made once."""

    mixer: str
    conv: str = ""
    kernel: int = 1
    dilation: int = 1
    filters: str = "random"
    permutation: Permutation = "commutation"
    gamma: int = 1
    named: tuple[tuple[str, Value], ...] = ()


def _used(picks: StagePicks, gamma: int) -> TokenPicks:
    """The picks that the token mixer uses."""
    mixer, named = picks.mixer, picks.named
    if inner := _inside("gated", mixer):
        return _used(picks._replace(mixer=inner), gamma)._replace(mixer=mixer)
    if named:  # a mixer may hold any other
        conv = (picks.conv, picks.kernel, picks.dilation, picks.filters)
        return TokenPicks(mixer, *conv, picks.permutation, gamma, named)
    if mixer == "conv":
        return TokenPicks(mixer, picks.conv, picks.kernel, picks.dilation, picks.filters)
    if mixer in ("pooling", "maxpool"):
        return TokenPicks(mixer, kernel=picks.kernel)
    if mixer in ("token_mlp", "monarch_mlp"):
        return TokenPicks(mixer, permutation=picks.permutation, gamma=gamma)
    return TokenPicks(mixer, permutation=picks.permutation if mixer == "raft" else "commutation")


def _inside(form: str, name: str) -> str:
    """The name inside ``form(...)``; empty for any other."""
    return name[len(form) + 1 : -1] if name.startswith(f"{form}(") else ""


@lru_cache(maxsize=20_000)  # a sampler decodes many candidates, which share most of their mixers
def _token_mixer(picks: TokenPicks, shape: Shape) -> TokenMixer:
    kernel, dilation, permutation, values = picks.kernel, picks.dilation, picks.permutation, dict(picks.named)
    convolutions: dict[str, Callable[[], TokenMixer]] = {
        "depthwise": lambda: Depthwise(kernel, dilation, picks.filters),
        "grouped": lambda: Convolution(kernel, dilation, _nearest_groups(shape[0])),
        "full": lambda: Convolution(kernel, dilation),
    }
    ours: dict[str, Callable[[], TokenMixer]] = {
        "conv": lambda: convolutions[picks.conv](),
        "token_mlp": lambda: TokenMLP(float(picks.gamma), permutation=permutation),
        "monarch_mlp": lambda: TokenMLP(float(picks.gamma), permutation=permutation, shared=False),
        "raft": lambda: Raft(permutation=permutation),
        "roll": lambda: RollMix(GROUP_WIDTH, step_w=min(1, shape[2] - 1), step_h=min(1, shape[1] - 1)),
        "pooling": lambda: Pooling(max(3, kernel)),
        "maxpool": lambda: Pooling(max(3, kernel), "max"),
        AVERAGE: Pooling,
        FROZEN: lambda: Depthwise(7),
    }
    still = _inside("static", picks.mixer)

    def make(name: str) -> Any:
        if inner := _inside("gated", name):
            return Gated(make(inner))
        if name in MIXSHIFT:  # shifts from -2 to 2, as long as the grid has room for them
            return RollMix(5, min(2, shape[2] - 1), min(2, shape[1] - 1), combine="sum", kernels=MIXSHIFT[name])
        return fitted(ours[name](), shape) if name in ours else example(TOKEN_MIXERS[name], shape)

    mixer = _activated(with_fields(make(still or picks.mixer), values, make), values)
    if still:
        mixer = replace(mixer, **STILL[still])
    if isinstance(mixer, Depthwise | Convolution):  # taps farther apart read nothing but padding
        mixer = replace(mixer, dilation=min(mixer.dilation, max(shape[1:])))
    return cast(TokenMixer, mixer.at(shape))


def _nearest_groups(channels: int) -> int:
    """The number of groups, a divisor below ``channels``, whose width is nearest to `GROUP_WIDTH` in ratio."""
    divisors = [groups for groups in range(1, channels) if channels % groups == 0]
    return min(divisors, key=lambda groups: abs(math.log(channels / groups / GROUP_WIDTH)))


@lru_cache(maxsize=20_000)
def _channel_mixer(
    name: str, expansion: int | None, permutation: Permutation, named: tuple[tuple[str, Value], ...], shape: Shape
) -> ChannelMixer:
    values = dict(named)

    def make(name: str) -> Any:
        if name in FILTERS:
            mixer: Any = Hermit(cast(Reading, name))
        else:
            mixer = ChannelMLP(shared=False) if name in OUR_CHANNELS else example(CHANNEL_MIXERS[name], shape)
        if expansion is not None and f"{mixer.kind}.expansion" not in values and hasattr(mixer, "expansion"):
            mixer = replace(mixer, expansion=type(mixer.expansion)(expansion))
        return replace(mixer, permutation=permutation) if isinstance(mixer, ChannelMLP) else mixer

    mixer = _activated(with_fields(make(name), values, make), values)
    return cast(ChannelMixer, mixer.canonical())


def _activated(mixer: Any, values: Mapping[str, Value]) -> Any:
    """The mixer with the activation of the block, if a study names one and the mixer has any."""
    known = "activation" in values and hasattr(mixer, "activation")
    return replace(mixer, activation=values["activation"]) if known else mixer


BLOCK_SWITCHES = ("freeze_norm", "fused")
"""Fields of the block that are on or off."""

BLOCK_FIELDS = ("norm", "layer_scale", "drop_path", *BLOCK_SWITCHES)
"""Fields of the block that are choices as they are."""


def _with_block_fields(block: MetaFormerBlock, values: Mapping[str, Value]) -> MetaFormerBlock:
    named: dict[str, Any] = {name: values[name] for name in BLOCK_FIELDS if name in values}
    named |= {name: named[name] == SWITCH[1] for name in BLOCK_SWITCHES if name in named}
    return replace(block, **named) if named else block


@lru_cache(maxsize=20_000)
def _at_cost(channel: ChannelMixer, token: TokenMixer, shape: Shape, target: int) -> ChannelMixer:
    """``channel`` with the expansion at which the block costs ``target`` MACs, within 0.5 to 8 and whole channels.

    The cost is linear in the expansion, so two closed forms determine it.

    Raises:
        ValueError: if no expansion brings the block within `ISO_TOLERANCE` of the target.
    """
    mixer, split = cast(Any, channel), f"{shape[1] * shape[2]}x{shape[0]}"
    try:
        spent = token.cost(shape).macs
        found = mixer
        if isinstance(getattr(mixer, "expansion", None), float):
            two, three = (replace(mixer, expansion=expansion).cost(shape).macs for expansion in (2.0, 3.0))
            if two != three:
                exact = 2 + (target - spent - two) / (three - two)
                whole = round(exact * shape[0]) / shape[0]
                found = replace(mixer, expansion=min(EXPANSIONS[1], max(EXPANSIONS[0], whole)))
        reached = spent + found.cost(shape).macs
    except NoFormulaError as error:
        raise ValueError(f"iso_macs needs closed forms of the cost, {error} has none.") from None
    except ValueError as error:
        raise ValueError(f"iso_macs: a block of S x C = {split} with {token.label()}: {error}") from None
    if abs(reached / target - 1) > ISO_TOLERANCE:
        raise ValueError(
            f"iso_macs: a block of S x C = {split} must cost {target:,} MACs within "
            f"{ISO_TOLERANCE:.0%}; with {token.label()} ({spent:,} MACs) the nearest that {channel.kind} allows is "
            f"{reached:,}. Take a larger omega or gamma, or other mixers."
        )
    return cast(ChannelMixer, found)

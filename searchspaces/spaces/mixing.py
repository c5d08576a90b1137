"""All five axes at once: one MetaFormer space over mixing operators, isotropic or pyramid.

1. freeze pattern and filter bank of every stage (2503.16760); 2. permutation type (2306.01470), acting on token MLP,
raft and channel MLP; 3. kernel and dilation; 4. placement of full, grouped and depthwise convolution (2507.10999);
5. in the isotropic layout the split of a fixed number of connections Omega into S tokens and C channels (2306.01470).

A pick that the network does not use is dropped, so that equal networks have equal keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

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
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import partner
from searchspaces.costs import NoFormulaError
from searchspaces.downsamples import ConvDownsample
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead
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
from searchspaces.space import Choice, Picks, SearchSpace, search_space
from searchspaces.spaces.convmixer import FilterModes
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import divisors
from searchspaces.stems.projected import ProjectedStem
from searchspaces.stems.resized import ResizedStem

SQUARES = tuple(side * side for side in range(1, 33))
MIXSHIFT = {"mixshift": "1,1,3,5,7", "mixshift2": "1,3,3,5,7", "mixshift3": "1,5,5,5,7", "mixshift4": "1,7,7,7,7"}
"""Kernels by group of the token mixers of these names, those of the stages of MS-MLP (2202.06510)."""
FILTERS = ("dct_filter", "rfft_filter")
"""Names of channel mixers: an MLP behind a filter of all positions, a reading of `Hermit`."""
GROUP_WIDTH = 8
"""Channels in a group of the grouped convolution, and groups of the roll; every width here is a multiple of it."""
MAX_POSITIONS = 256
"""Largest grid of the default patches: matrices over all positions grow with its square."""


class Mixers:
    """Container of the names that a mixer choice can take: all whose fields have defaults, users' own included."""

    def __init__(self, table: Mapping[str, Any], ours: tuple[str, ...] = ()) -> None:
        self.table, self.ours = table, ours

    def names(self) -> set[str]:
        """The names, as of now: a plugin may have registered more."""
        ready = {n for n, cls in self.table.items() if all(f.default is not MISSING for f in fields(cls))}
        return ready | set(self.ours)

    def __contains__(self, value: object) -> bool:
        return value in self.names()

    def __str__(self) -> str:
        return ", ".join(sorted(self.names()))


class StagePicks(NamedTuple):
    """The picks of one stage, in the order of `_stage_choices`."""

    mixer: str
    conv: str
    kernel: int
    dilation: int
    permutation: Permutation
    freeze: Freeze
    filters: str
    channel: str
    expansion: int

    @classmethod
    def of(cls, picks: Picks, stage: int) -> "StagePicks":
        """The picks of stage ``stage``, counted from 1."""
        return cls(*(cast(Any, picks[f"s{stage}.{choice}"]) for choice in cls._fields))


@search_space("mixing")
def mixing(
    input: Shape,
    classes: int,
    *,
    stages: int = 2,
    iso_macs: bool = False,
    tokens_by: Literal["resize", "patch", "project"] = "resize",
    filters_as_init: bool = False,
    norm: Norm = "layer",
    layer_scale: float = 0.0,
) -> SearchSpace:
    """MetaFormers for images ``input`` = (C, H, W).

    Args:
        stages: stages with picks of their own; the isotropic layout keeps the grid, the pyramid halves it between them.
        iso_macs: in the isotropic layout, a block costs 4 Omega multiply-accumulates whatever its token mixer: the
            channel expansion is adjusted, between 0.5 and 8.
        tokens_by: how the isotropic layout makes S tokens: the image resized, cut into patches, or projected.
        filters_as_init: search the filter bank of trained depthwise convolutions too, as their initialisation.
        norm, layer_scale: of every block (`MetaFormerBlock`).

    Raises:
        ValueError: if there is no stage.
    """
    if not 1 <= stages <= 6:
        raise ValueError(f"stages must be 1 to 6, got {stages}.")
    _, height, width = input
    fitting = [p for p in divisors(input) if height * width <= MAX_POSITIONS * p * p and 2**stages * p <= height]
    choices = [
        Choice("layout", ("isotropic", "pyramid"), ("isotropic", "pyramid"), "one grid, or one halved between stages"),
        Choice("depth", (2, 4), range(1, 65), "blocks, shared out evenly among the stages"),
        Choice("tokens", (16, 64), SQUARES, "S, tokens of the isotropic layout; a square"),
        Choice("omega", (2**12, 2**14), range(2**6, 2**28), "Omega / gamma of the isotropic layout; fixes C"),
        Choice("gamma", (1, 2), range(1, 9), "expansion of both mixers of the isotropic layout"),
        Choice("dim", (16, 32), range(8, 2049, 8), "channels of the first stage of the pyramid"),
        Choice("patch", tuple(fitting[:2]) or (1,), divisors(input), "side of a patch of the pyramid, in pixels"),
    ]
    for stage in range(1, stages + 1):
        choices += _stage_choices(f"s{stage}")

    @lru_cache(maxsize=20_000)  # a sampler decodes many candidates, which share most of their stages
    def stage_block(picks: StagePicks, shape: Shape, gamma: int | None, target: int | None) -> MetaFormerBlock:
        token = _token_mixer(picks, shape, gamma, filters_as_init=filters_as_init)
        channel = _channel_mixer(picks, gamma if target is not None and isinstance(token, TokenMLP) else None)
        if target is not None and not isinstance(token, TokenMLP):
            channel = _at_cost(channel, token, shape, target)
        return MetaFormerBlock(token, channel, picks.freeze, norm, layer_scale).canonical()

    def isotropic(picks: Picks, depths: list[int]) -> Architecture:
        tokens, omega, gamma = int(picks["tokens"]), int(picks["omega"]), int(picks["gamma"])
        dim = max(8, 8 * round(partner(tokens, omega) / 8))
        stem = _isotropic_stem(tokens_by, input, dim, tokens)
        target = 4 * omega * gamma if iso_macs else None
        blocks = [stage_block(StagePicks.of(picks, n), stem.output(input), gamma, target) for n in _numbers(depths)]
        rows = tuple(Stage(block, depth) for block, depth in zip(blocks, filter(None, depths), strict=True))
        return Architecture(input, classes, stem, rows, AverageHead(norm))

    def pyramid(picks: Picks, depths: list[int]) -> Architecture:
        dim, patch = int(picks["dim"]), int(picks["patch"])
        stem = EmbeddingStem(dim, patch, patch)
        shape = stem.output(input)
        rows: list[Stage] = []
        for number in _numbers(depths):
            down = ConvDownsample(dim * 2 ** (number - 1)) if rows else None
            shape = down.output(shape) if down else shape
            block = stage_block(StagePicks.of(picks, number), shape, None, None)
            rows.append(Stage(block, depths[number - 1], down))
        return Architecture(input, classes, stem, tuple(rows), AverageHead(norm))

    def to_architecture(picks: Picks) -> Architecture:
        depth = int(picks["depth"])
        each, more = divmod(depth, stages)
        depths = [each + 1 if n < more else each for n in range(stages)]
        return isotropic(picks, depths) if picks["layout"] == "isotropic" else pyramid(picks, depths)

    return SearchSpace("mixing", tuple(choices), to_architecture)


def _numbers(depths: list[int]) -> list[int]:
    """Numbers from 1 of the stages that have blocks."""
    return [number for number, depth in enumerate(depths, start=1) if depth]


def _stage_choices(stage: str) -> list[Choice]:
    tokens: tuple[Value, ...] = ("conv", "token_mlp", "raft", "roll", "pooling", "spatial_fc", "random_mix", "identity")
    modes = ("random", "smooth(1)", "impulse", "same", "box", "identity")
    static = ("pooling", "maxpool", "token_mlp", "raft", "depthwise", "spatial_fc", "random_mix", "mixshift", "gfilter")
    own = ("conv", "roll", "maxpool", *MIXSHIFT, *(f"gated({name})" for name in static))
    return [
        Choice(f"{stage}.mixer", tokens, Mixers(TOKEN_MIXERS, own), "token mixer"),
        Choice(f"{stage}.conv", ("depthwise", "grouped", "full"), ("depthwise", "grouped", "full"), "kind of conv"),
        Choice(f"{stage}.kernel", (3, 5), range(1, 32, 2), "side of the window of conv and pooling, in positions"),
        Choice(f"{stage}.dilation", (1, 2), range(1, 9), "distance between taps of conv, in positions"),
        Choice(f"{stage}.permutation", PERMUTATIONS, PERMUTATIONS, "around token MLP, raft and channel MLP"),
        Choice(f"{stage}.freeze", FREEZE_PATTERNS, FREEZE_PATTERNS, "which mixing is trained"),
        Choice(f"{stage}.filters", modes, FilterModes(), "what a frozen depthwise bank holds"),
        Choice(f"{stage}.channel", ("channel_mlp", "mlp_depthwise"), Mixers(CHANNEL_MIXERS, FILTERS), "channel mixer"),
        Choice(f"{stage}.expansion", (1, 2), range(1, 9), "hidden channels of the channel mixer for each channel"),
    ]


def _isotropic_stem(tokens_by: str, input: Shape, dim: int, tokens: int) -> EmbeddingStem | ResizedStem | ProjectedStem:
    # One patch side for all S, so that a sweep of S does not change the embedding (2306.01470, reading of "resize").
    patch = 2 if min(input[1:]) < 16 else 4
    if tokens_by == "resize":
        return ResizedStem(dim, tokens, patch)
    if tokens_by == "project":
        return ProjectedStem(dim, tokens, patch)
    side = round(tokens**0.5)
    if input[1] % side or input[2] % side or input[1] != input[2]:
        allowed = [(input[1] // p) ** 2 for p in divisors(input) if input[1] == input[2]]
        raise ValueError(
            f"tokens cut into patches must be (side / patch)^2, got {tokens} for input {input}. "
            f"Allowed: {', '.join(map(str, sorted(allowed))) or 'none, the image is not square'}."
        )
    return EmbeddingStem(dim, input[1] // side, input[1] // side)


def _token_mixer(picks: StagePicks, shape: Shape, gamma: int | None, *, filters_as_init: bool) -> TokenMixer:
    kernel, permutation = picks.kernel, picks.permutation
    dilation = min(picks.dilation, max(shape[1:]))  # taps farther apart read nothing but padding
    filters = picks.filters if picks.freeze == "chans" or filters_as_init else "random"
    convolutions: dict[str, Callable[[], TokenMixer]] = {
        "depthwise": lambda: Depthwise(kernel, dilation, filters),
        "grouped": lambda: Convolution(kernel, dilation, shape[0] // GROUP_WIDTH),
        "full": lambda: Convolution(kernel, dilation),
    }
    ours: dict[str, Callable[[], TokenMixer]] = {
        "conv": lambda: convolutions[picks.conv](),
        "token_mlp": lambda: TokenMLP(float(gamma or 1), permutation=permutation),
        "raft": lambda: Raft(permutation=permutation),
        "roll": lambda: RollMix(GROUP_WIDTH, step_w=min(1, shape[2] - 1), step_h=min(1, shape[1] - 1)),
        "pooling": lambda: Pooling(max(3, kernel)),
        "maxpool": lambda: Pooling(max(3, kernel), "max"),
    }
    name = picks.mixer
    if name.startswith("gated("):
        inner = picks._replace(mixer=name.removeprefix("gated(").removesuffix(")"))
        return Gated(_token_mixer(inner, shape, gamma, filters_as_init=filters_as_init))
    if name in MIXSHIFT:  # shifts from -2 to 2, as long as the grid has room for them
        return RollMix(5, min(2, shape[2] - 1), min(2, shape[1] - 1), combine="sum", kernels=MIXSHIFT[name])
    return ours[name]() if name in ours else cast(TokenMixer, TOKEN_MIXERS[name]())


def _channel_mixer(picks: StagePicks, gamma: int | None) -> ChannelMixer:
    name, expansion = picks.channel, gamma or picks.expansion
    if name == "channel_mlp":
        return ChannelMLP(float(expansion), permutation=picks.permutation)
    if name in FILTERS:
        return Hermit(cast(Reading, name), expansion=float(expansion))
    kind = cast(Any, CHANNEL_MIXERS[name])
    if "expansion" in {field.name for field in fields(kind)}:
        return cast(ChannelMixer, kind(expansion=expansion))
    return cast(ChannelMixer, kind())


def _at_cost(channel: ChannelMixer, token: TokenMixer, shape: Shape, target: int) -> ChannelMixer:
    """``channel`` with the expansion at which the block costs ``target`` MACs, within 0.5 to 8 and whole channels.

    The cost is linear in the expansion, so two closed forms determine it. Mixers without expansion or formula stay.
    """
    mixer = cast(Any, channel)
    whole = isinstance(getattr(mixer, "expansion", None), int)
    try:
        spent = token.cost(shape).macs
        one, two = (replace(mixer, expansion=type(mixer.expansion)(r)).cost(shape).macs for r in (1, 2))
    except (NoFormulaError, AttributeError, TypeError):
        return channel
    expansion = 1 + (target - spent - one) / (two - one)
    clipped = min(8.0, max(0.5, round(expansion * shape[0]) / shape[0]))
    return cast(ChannelMixer, replace(mixer, expansion=max(1, round(clipped)) if whole else clipped))

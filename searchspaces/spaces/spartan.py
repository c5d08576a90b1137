"""SpaRTAN's search space (2507.10999): a pyramid of up to four stages with the mixers of the paper and their controls.

Every stage has its own width, depth, spatial mixer and channel mixer. Only leading stages have full convolutions
(``hybrid``), so that each network is full first and depthwise after. Picks of stages that a network lacks, of an absent
dilated branch, and of the wave mixer if an MLP is chosen are dropped.
"""

from typing import cast, get_args

from searchspaces.architecture import Architecture, ChannelMixer, Shape, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock, with_rising_drop_path
from searchspaces.downsamples import SpartanDownsample
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.heads import AverageHead
from searchspaces.layers.norms import Norm
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.mlp_depthwise import MlpDepthwise
from searchspaces.operators.mlp_se import MlpSE
from searchspaces.operators.spartan_mixer import Branches, SpartanMixer
from searchspaces.operators.spartan_wave import Pairs, Phase, SpartanWave, WaveConv
from searchspaces.space import Choice, Numbers, Picks, SearchSpace, search_space
from searchspaces.stems.spartan import STEM_STRIDES, SpartanStem

WIDTHS = ((16, 24, 32, 48, 64), (32, 48, 64, 96, 128), (64, 96, 128, 192, 256, 320), (128, 192, 256, 384, 512))
DEPTHS = ((1, 2, 3, 4), (1, 2, 3, 4), (4, 6, 8, 10, 12, 15, 18), (1, 2, 3, 4))
CHANNEL = ("wave", "mlp", "mlp_se", "mlp_depthwise")
SWITCH = ("on", "off")


class Scales:
    """Container of the starts of layer scales: a factor from 0 (no factors) to 10."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, float) and 0 <= value <= 10

    def __str__(self) -> str:
        return "0.0 (no factors) to 10.0, as 1e-5, 0.01 or 1.0"


@search_space("spartan")
def spartan(input: Shape, classes: int) -> SearchSpace:
    """SpaRTAN pyramids for images ``input`` = (C, H, W), with widths and depths around those of SpaRTAN-T.

    For small images narrow ``stages`` to 2 or 3 and ``s3.depth`` to a few blocks. The published start of the layer
    scales, 1e-5, is allowed but not searched by default: a short training with it ranks warm-up.
    """
    # Four positions a side after the stem are enough for two stages.
    strides = tuple(stride for stride in STEM_STRIDES if min(input[1:]) >= 4 * stride) or (1,)
    choices = [
        Choice("stem_stride", strides, strides, "stride of the stem in pixels; published 4, for small images 1 or 2"),
        Choice("stages", (2, 3, 4), range(1, 5), "most stages; one with less than 2 x 2 positions is left out"),
        Choice("hybrid", (0, 1, 2), range(5), "leading stages whose spatial mixers have full convolutions"),
        Choice("norm", ("group",), get_args(Norm), "norm before each mixer; group: one group, as published"),
        Choice("layer_scale", (1e-2, 1.0), Scales(), "start of the factors of the residual branches"),
        Choice("freeze", ("full",), FREEZE_PATTERNS, "which mixing is trained"),
    ]
    for s, (widths, depths) in enumerate(zip(WIDTHS, DEPTHS, strict=True), start=1):
        choices += [
            Choice(f"s{s}.width", widths, range(16, 1025, 8), "channels, a multiple of 8"),
            Choice(f"s{s}.depth", depths, range(1, 65), "number of blocks"),
            Choice(f"s{s}.branches", get_args(Branches), get_args(Branches), "branches of the spatial mixer"),
            Choice(f"s{s}.kernel", (3, 5, 7), range(3, 32, 2), "side of the spatial mixer's filters in positions"),
            Choice(f"s{s}.dilation", (1, 2, 3), range(1, 9), "distance of filter taps in branch l, in positions"),
            Choice(f"s{s}.l_stack", (1, 2, 3), range(1, 9), "convolutions in a row in branch l"),
            Choice(f"s{s}.fd", SWITCH, SWITCH, "feature decomposition in the spatial mixer"),
            Choice(f"s{s}.se", (4, 8, 0), (0, 1, 2, 4, 8), "reduction of the spatial mixer's channel gate; 0 for none"),
            Choice(f"s{s}.channel", CHANNEL, CHANNEL, "channel mixer"),
            Choice(f"s{s}.expansion", (2, 3, 4), range(2, 17), "hidden channels of the channel mixer over channels"),
            Choice(f"s{s}.phase", get_args(Phase), get_args(Phase), "what makes the phase of the wave mixer"),
            Choice(f"s{s}.fmax", SWITCH, SWITCH, "greatest channel added to all in the wave mixer"),
            Choice(f"s{s}.wc", get_args(Pairs), get_args(Pairs), "start of the wave mixer's complex weights, or off"),
            Choice(
                f"s{s}.conv", ("depthwise", "grouped"), get_args(WaveConv), "groups of the wave mixer's convolution"
            ),
        ]

    def to_architecture(picks: Picks) -> Architecture:
        stem = SpartanStem(int(picks["s1.width"]), int(picks["stem_stride"]))
        _, height, width = stem.output(input)
        fitting = max(1, min(height, width).bit_length() - 1)
        grids = range(min(int(picks["stages"]), fitting))
        stages = [_stage(picks, n + 1, side=max(height, width) >> n) for n in grids]
        drop_path, start = (float(picks[name]) if name in picks else 0.0 for name in ("drop_path", "classifier_start"))
        return Architecture(input, classes, stem, with_rising_drop_path(stages, drop_path), AverageHead(start=start))

    more = (
        Choice("drop_path", (0.0,), Numbers(0, 0.9), "rises from 0 in the first block nearly to this; published 0.1"),
        Choice("freeze_norm", ("off",), SWITCH, "factors and offsets of the norms stay as they start"),
        Choice("classifier_start", (0.0,), Numbers(0, 1), "deviation of its weights, 0: PyTorch's; published 0.02"),
    )
    return SearchSpace("spartan", tuple(choices), to_architecture, more)


def _stage(picks: Picks, number: int, *, side: int) -> Stage:
    s = f"s{number}."
    token = SpartanMixer(
        branches=cast(Branches, picks[s + "branches"]),
        kernel=int(picks[s + "kernel"]),
        dilation=min(int(picks[s + "dilation"]), side),  # taps farther apart read nothing but padding
        l_stack=int(picks[s + "l_stack"]),
        conv="full" if number <= int(picks["hybrid"]) else "depthwise",
        fd=picks[s + "fd"] == "on",
        se=int(picks[s + "se"]),
    )
    block = MetaFormerBlock(
        token,
        _channel_mixer(picks, s),
        cast(Freeze, picks["freeze"]),
        cast(Norm, picks["norm"]),
        float(picks["layer_scale"]),
        freeze_norm=picks.get("freeze_norm") == "on",
    )
    downsample = SpartanDownsample(int(picks[s + "width"])) if number > 1 else None
    return Stage(block, int(picks[s + "depth"]), downsample)


def _channel_mixer(picks: Picks, s: str) -> ChannelMixer:
    expansion = float(picks[s + "expansion"])
    if picks[s + "channel"] == "mlp":
        return ChannelMLP(expansion)
    if picks[s + "channel"] == "mlp_se":
        return MlpSE(expansion)
    if picks[s + "channel"] == "mlp_depthwise":
        return MlpDepthwise(expansion)
    return SpartanWave(
        expansion,
        phase=cast(Phase, picks[s + "phase"]),
        fmax=picks[s + "fmax"] == "on",
        wc=cast(Pairs, picks[s + "wc"]),
        conv=cast(WaveConv, picks[s + "conv"]),
    )

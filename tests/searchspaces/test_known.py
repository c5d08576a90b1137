"""Published networks have their published counts, in closed form and by counting the unfused network on meta."""

import math
import re

import pytest
import torch

from objectives.counting import count
from searchspaces import Architecture, Stage, architecture_cost, build, parts
from searchspaces.blocks.affnet import AffBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.freezing import FREEZE_PATTERNS
from searchspaces.heads import AverageHead
from searchspaces.known import KNOWN, known_network
from searchspaces.known.mlps import mixer_b16, mixer_s16
from searchspaces.known.spartan import spartan_t
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem

PUBLISHED = {
    "convmixer_128_8": (204_810, 201_721_088),
    "convmixer_256_8": (594_186, 148_113_920),
    "convmixer_512_16": (5_357_544, 4_909_420_544),
    "convmixer_768_32": (21_110_248, 20_676_851_712),
    "convmixer_1536_20": (51_625_960, 51_099_168_768),
    "poolformer_s12": (11_915_176, 1_812_267_008),
    "poolformer_s24": (21_388_968, 3_392_208_896),
    "poolformer_s36": (30_862_760, 4_972_150_784),
    "poolformer_m36": (56_172_520, 8_758_788_096),
    "poolformer_m48": (73_473_448, 11_533_320_192),
    "metaformer_pppa_s12": (14_038_440, 1_919_944_704),
    "metaformer_ppaa_s12": (16_535_592, 2_549_151_744),
    "metaformer_pppf_s12": (11_919_978, 1_814_725_632),
    "metaformer_ppff_s12": (12_150_474, 1_888_484_352),
    "raft_mlp_s": (9_868_768, 2_087_030_784),
    "raft_mlp_m": (21_413_632, 4_267_333_632),
    "raft_mlp_l": (36_184_672, 6_543_974_400),
    "ms_mlp_t": (28_656_232, 4_437_768_960),
    "ms_mlp_s": (50_303_752, 8_667_135_360),
    "ms_mlp_b": (88_696_792, 15_334_215_328),
    "strip_mlp_t_star": (18_242_560, 2_518_091_520),
    "strip_mlp_t": (24_904_480, 3_647_735_040),
    "strip_mlp_s": (42_571_576, 6_802_532_352),
    "strip_mlp_b": (57_219_952, 9_184_245_504),
    "affnet_et": (1_436_264, 356_236_800),
    "affnet_t": (2_654_232, 786_462_720),
    "affnet": (5_568_696, 1_453_721_088),
    "spartan_t": (3_820_296, 1_044_147_968),
    "mixer_s16": (18_528_264, 3_776_958_464),
    "mixer_b16": (59_880_472, 12_601_767_936),
    "scaling_mlp_b12_wi1024": (124_843_998, 124_745_728),
    "asm_rh_600": (62_452_520, 21_408_258_048),
    "asm_rh_144": (58_265_315, 5_181_040_896),
    "resnet18_d9": (11_448_714, 592_913_408),
    "resnet18_d1": (1_439_626, 73_049_088),
    "resnet20_d9": (323_018, 54_250_112),
    "patchtsmixer": (2_040, 6_528),
    "dlinear": (18_528, 129_024),
    "timemixer": (75_377, 10_683_456),
}
"""Parameters and MACs."""

ROUNDED = {
    "poolformer_s12": (11.92, 1.82),
    "poolformer_s24": (21.39, 3.41),
    "poolformer_s36": (30.86, 5.00),
    "poolformer_m36": (56.17, 8.80),
    "poolformer_m48": (73.47, 11.59),
    "metaformer_pppa_s12": (14.04, 1.92),
    "metaformer_ppaa_s12": (16.54, 2.55),
    "metaformer_pppf_s12": (11.92, 1.83),
    "metaformer_ppff_s12": (12.15, 1.90),
    "raft_mlp_s": (9.87, 2.10),
    "raft_mlp_m": (21.41, 4.29),
    "raft_mlp_l": (36.18, 6.57),
    "ms_mlp_t": (28.66, 4.45),
    "ms_mlp_s": (50.30, 8.69),
    "ms_mlp_b": (88.70, 15.36),
    "strip_mlp_t_star": (18.24, 2.53),
    "strip_mlp_t": (24.90, 3.67),
    "strip_mlp_s": (42.57, 6.83),
    "strip_mlp_b": (57.22, 9.21),
}
"""Millions of parameters and thousand millions of MACs of the released code, by a counter that counts norms too."""

OWN_NORMS = ("metaformer_pppa_s12", "metaformer_ppaa_s12")
"""Networks whose released code writes its norms out, so that the counter does not see them."""


def besides(architecture: Architecture) -> int:
    """Operations of norms and means that the counter takes for MACs: five an element, two if a batch norm, one."""
    total, shape = 0, (0, 0, 0)
    for part in parts(architecture):
        node, size = part.node, math.prod(part.output)
        if isinstance(node, MetaFormerBlock) and node.token.kind == "strip":
            total += part.repeat * size * 21 // 2  # batch norms of C, C and C/2, a layer norm, a mean of C/2
        elif isinstance(node, MetaFormerBlock):
            total += 5 * part.repeat * size * (len(node.branches()) + (node.token.kind == "raft"))
        elif isinstance(node, AverageHead):
            total += 5 * (shape[0] if node.norm_last else math.prod(shape))
        elif getattr(node, "norm", "none") != "none":
            total += 5 * size
        shape = part.output
    return total


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_network_has_its_published_counts(name: str) -> None:
    cost = architecture_cost(KNOWN[name]())
    assert (cost.parameters, cost.macs) == PUBLISHED[name]


@pytest.mark.parametrize("name", ROUNDED)
def test_counts_have_the_digits_that_are_published(name: str) -> None:
    architecture = KNOWN[name]()
    cost = architecture_cost(architecture)
    macs = cost.macs + (0 if name in OWN_NORMS else besides(architecture))
    assert (round(cost.parameters / 1e6, 2), round(macs / 1e9, 2)) == ROUNDED[name]


@pytest.mark.parametrize(
    ("name", "parameters", "macs"), [("affnet_et", 1.4, 0.4), ("affnet_t", 2.6, 0.8), ("affnet", 5.5, 1.5)]
)
def test_affnet_has_the_digits_that_are_published_which_leave_out_norms_and_offsets_of_its_blocks(
    name: str, parameters: float, macs: float
) -> None:
    architecture = KNOWN[name]()
    cost, left_out = architecture_cost(architecture), 0
    for part in parts(architecture):
        if isinstance(part.node, AffBlock):
            left_out += part.output[0] * (8 * part.node.filters + 2)
    assert round((cost.parameters - left_out) / 1e6, 1) == parameters
    assert round(cost.macs / 1e9, 1) == macs


DEEPER = {
    *("convmixer_768_32", "convmixer_1536_20", "poolformer_s24", "poolformer_s36", "poolformer_m36", "poolformer_m48"),
    *("raft_mlp_m", "raft_mlp_l", "ms_mlp_s", "ms_mlp_b", "strip_mlp_t", "strip_mlp_s", "strip_mlp_b"),
    *("affnet_t", "affnet"),
}
"""Networks of parts that others here have too, with more channels and more of them: counted in the exhaustive tier."""

EXHAUSTIVE = pytest.mark.exhaustive


@pytest.mark.parametrize("name", [pytest.param(n, marks=EXHAUSTIVE) if n in DEEPER else n for n in KNOWN])
def test_counting_gives_what_the_closed_forms_say(name: str) -> None:
    architecture = KNOWN[name]()
    cost = architecture_cost(architecture)
    with torch.device("meta"):
        counts = count(build(architecture), architecture.input)
    assert (counts.parameters, counts.macs) == (cost.parameters, cost.macs_executed)
    assert counts.flops == 2 * cost.macs_executed + cost.transform_flops + cost.elementwise_flops


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_network_survives_its_file(name: str) -> None:
    architecture = KNOWN[name]()
    assert Architecture.from_json(architecture.to_json()).key == architecture.key


def test_spartan_t_at_224_pixels() -> None:
    assert architecture_cost(spartan_t((3, 224, 224))).macs == 799_589_888


def small(side: int, colours: int, patch: int, channels: int, gamma: float) -> Architecture:
    block = MetaFormerBlock(TokenMLP(gamma), ChannelMLP(gamma))
    stem = EmbeddingStem(channels, patch, patch)
    return Architecture((colours, side, side), 10, stem, (Stage(block, 2),), AverageHead(norm="layer"))


@pytest.mark.parametrize(
    ("architecture", "parameters", "macs"),
    [
        (mixer_b16(), 59_880_472, 12_601_767_936),
        (mixer_s16(), 18_528_264, 3_776_958_464),
        (small(32, 3, 4, 64, 1.0), 37_706, 2_294_400),
        (small(32, 3, 4, 64, 2.0), 70_730, 4_391_552),
        (small(32, 3, 8, 173, 1.0), 158_355, 2_625_794),
        (small(32, 3, 2, 8, 1.0), 263_730, 2_187_344),
        (small(8, 1, 2, 16, 2.0), 4_698, 66_720),
    ],
    ids=["B/16", "S/16", "64x64", "64x64 gamma 2", "16x173", "256x8", "digits"],
)
def test_reference_networks(architecture: Architecture, parameters: int, macs: int) -> None:
    cost = architecture_cost(architecture)
    assert (cost.parameters, cost.macs, cost.macs_executed) == (parameters, macs, macs)
    with torch.device("meta"):
        counted = count(build(architecture), architecture.input)
    assert (counted.parameters, counted.macs) == (parameters, macs)


@pytest.mark.parametrize(
    ("name", "chans", "space"), [("convmixer_128_8", 138_250, 72_714), ("resnet20_d9", 272_474, 53_194)]
)
def test_a_known_network_trains_one_kind_of_mixing_where_its_name_says_so(name: str, chans: int, space: int) -> None:
    whole = KNOWN[name]()
    for pattern, trained in (("full", PUBLISHED[name][0]), ("chans", chans), ("space", space)):
        network = known_network(f"{name},freeze={pattern}")
        cost = architecture_cost(network)
        assert (cost.parameters, cost.macs, cost.trainable_parameters) == (*PUBLISHED[name], trained)
        assert (network.key == whole.key) == (pattern == "full")


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_network_takes_every_pattern(name: str) -> None:
    costs = {pattern: architecture_cost(known_network(f"{name},freeze={pattern}")) for pattern in FREEZE_PATTERNS}
    assert {(cost.parameters, cost.macs) for cost in costs.values()} == {PUBLISHED[name]}
    assert costs["full"].trainable_parameters == PUBLISHED[name][0]
    assert costs["space"].trainable_parameters < PUBLISHED[name][0] or not known_network(name).stages


@pytest.mark.parametrize(
    "options", ["freeze=spce", "freeze", "freze=chans", "depth=3", "", "freeze=chans,freeze=space", "freeze=chans,"]
)
def test_what_a_known_network_does_not_take_is_answered_with_what_it_takes(options: str) -> None:
    message = (
        "after the name resnet20_d9, a known network takes one of freeze=full, freeze=chans, freeze=space, "
        f"got 'resnet20_d9,{options}'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        known_network(f"resnet20_d9,{options}")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown known network 'resnet20_d'\. Did you mean 'resnet20_d9'\?"):
        known_network("resnet20_d,freeze=chans")

"""Published networks have their published counts, in closed form and by counting the unfused network on meta."""

import pytest
import torch

from objectives.counting import count
from searchspaces import Architecture, Stage, architecture_cost, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.known import KNOWN, mixer_b16, mixer_s16, spartan_t
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem

PUBLISHED = {
    "convmixer_256_8": (594_186, 148_113_920),
    "convmixer_512_16": (5_357_544, 4_909_420_544),
    "convmixer_768_32": (21_110_248, 20_676_851_712),
    "convmixer_1536_20": (51_625_960, 51_099_168_768),
    "poolformer_s12": (11_915_176, 1_812_267_008),
    "spartan_t": (3_820_296, 1_044_147_968),
    "mixer_s16": (18_528_264, 3_776_958_464),
    "mixer_b16": (59_880_472, 12_601_767_936),
    "asm_rh_600": (62_452_520, 21_408_258_048),
    "asm_rh_144": (58_265_315, 5_181_040_896),
    "resnet18_d9": (11_448_714, 592_913_408),
    "resnet18_d1": (1_439_626, 73_049_088),
}
"""Parameters and MACs. PoolFormer-S12 is published as 11.9 M and 1.8 G, the others to the unit."""


def test_every_known_network_has_published_counts_here() -> None:
    assert PUBLISHED.keys() == KNOWN.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_network_has_its_published_counts(name: str) -> None:
    cost = architecture_cost(KNOWN[name]())
    assert (cost.parameters, cost.macs) == PUBLISHED[name]


@pytest.mark.parametrize("name", KNOWN)
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

"""Readings of SpaRTAN (2507.10999) have the counts of the released code."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from objectives.counting import count
from searchspaces import Architecture, architecture_cost, build
from searchspaces.known.spartan import spartan, spartan_small, spartan_t, spartan_tiny
from searchspaces.operators.spartan_wave import WaveConv


def at(side: int, **settings: Any) -> Architecture:
    return spartan((3, side, side), 1000, **settings)


DW: tuple[WaveConv, ...] = ("depthwise",) * 4

FULL: tuple[WaveConv, ...] = ("full",) * 4

READINGS = {
    "A": ({}, 3_820_296, 799_589_888, 1_044_147_968),
    "B": ({"channel_convs": (*FULL[:2], *DW[:2])}, 5_984_904, 3_551_994_368, 4_639_125_248),
    "C": ({"hybrid": 0, "channel_convs": DW}, 3_683_640, 669_759_488, 874_573_568),
    "D": ({"hybrid": 4, "channel_convs": FULL}, 19_928_712, 5_463_662_336, 7_135_997_696),
    "E": ({"hybrid": 4, "channel_convs": DW}, 5_967_624, 1_092_780_800, 1_427_091_200),
    "F": ({"channel_convs": DW}, 3_783_432, 793_719_296, 1_036_480_256),
    "r 2": ({"expansions": (2, 2, 2, 2)}, 3_704_136, 675_840_512, 882_520_832),
    "narrow": ({"widths": (32, 64, 96, 192), "depths": (3, 3, 10, 2)}, 2_222_792, 614_396_864, 802_344_704),
}


@pytest.mark.parametrize(("settings", "parameters", "at_224", "at_256"), READINGS.values(), ids=READINGS)
def test_counts_of_every_reading(settings: Any, parameters: int, at_224: int, at_256: int) -> None:
    costs = [architecture_cost(at(side, **settings)) for side in (224, 256)]
    assert [(cost.parameters, cost.macs) for cost in costs] == [(parameters, at_224), (parameters, at_256)]


KNOWN = {
    "T": (spartan_t(), 3_820_296, 1_044_147_968),
    "T at 224": (spartan_t((3, 224, 224)), 3_820_296, 799_589_888),
    "small": (spartan_small(), 312_426, 5_420_864),
    "tiny": (spartan_tiny(), 143_114, 1_123_040),
}


@pytest.mark.parametrize(("architecture", "parameters", "macs"), KNOWN.values(), ids=KNOWN)
def test_closed_form_and_counting_agree_on_the_known_networks(
    architecture: Architecture, parameters: int, macs: int
) -> None:
    cost = architecture_cost(architecture)
    with torch.device("meta"):
        counts = count(build(architecture), architecture.input)
    assert (counts.parameters, counts.macs, counts.uncounted) == (parameters, macs, ())
    assert (cost.parameters, cost.macs, cost.macs_executed) == (parameters, macs, macs)
    assert cost.elementwise_flops == counts.elementwise_flops


def test_stacked_small_kernels_cost_what_the_paper_page_says() -> None:
    def macs(**changes: Any) -> float:
        stages = tuple(
            replace(stage, block=replace(stage.block, token=replace(stage.block.token, **changes)))
            for stage in spartan_t().stages
        )
        return architecture_cost(replace(spartan_t(), stages=stages)).macs / 1e9

    assert macs(l_stack=3) == pytest.approx(1.103, abs=5e-4)
    assert macs(l_stack=1) == pytest.approx(0.986, abs=5e-4)


def test_drop_path_rises_from_block_to_block() -> None:
    found = spartan((3, 64, 64), 10, widths=(16, 32, 64, 128), depths=(1, 1, 2, 1), drop_path=0.1)
    blocks = [stage.block for stage in found.stages for _ in range(stage.depth)]
    assert [getattr(block, "drop_path", None) for block in blocks] == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08])
    assert architecture_cost(found).macs == architecture_cost(spartan_small()).macs


def test_the_classifier_starts_as_published() -> None:
    layer = build(spartan((3, 64, 64), 100, widths=(64, 128), depths=(1, 1), classifier_start=0.02)).classifier
    assert isinstance(layer, torch.nn.Linear)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert layer.bias.abs().max() == 0

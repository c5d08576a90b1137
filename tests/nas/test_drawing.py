"""The drawing of a network: what is on it, and that a stranger's names stay text."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from nas.drawing import Drawn, drawn, svg, text
from nas.pricing import price
from searchspaces import Architecture, build
from searchspaces.known import known_network


@pytest.fixture(scope="module")
def frozen() -> list[Drawn]:
    architecture = known_network("convmixer_256_8,freeze=chans")
    return drawn(architecture, build(architecture))


def test_parts_have_the_costs_of_the_network_and_shares_of_one(frozen: list[Drawn]) -> None:
    total = price(known_network("convmixer_256_8,freeze=chans")).total
    assert sum(part.macs for part in frozen) == total.macs
    assert sum(part.parameters_share for part in frozen) == pytest.approx(1)


def test_a_block_says_its_operators_with_settings_and_what_is_frozen(frozen: list[Drawn]) -> None:
    stage = next(part for part in frozen if part.name == "stage 1")
    assert stage.title == "8 x convmixer"
    assert stage.frozen == "spatial mixing frozen"
    assert [(one.role, one.kind, one.frozen) for one in stage.operators] == [
        ("tokens", "depthwise", "frozen"),
        ("channels", "pointwise", ""),
    ]
    assert "kernel 5" in stage.operators[0].settings


def test_frozen_banks_are_drawn_and_trained_ones_are_not(frozen: list[Drawn]) -> None:
    (bank,) = next(part for part in frozen if part.name == "stage 1").banks
    assert len(bank.filters[0]) == 5
    assert max(max(row) for row in bank.spectrum) == pytest.approx(1)
    trained = known_network("convmixer_256_8")
    assert not any(part.banks for part in drawn(trained, build(trained)))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_text_cuts_no_name_and_keeps_to_the_width(frozen: list[Drawn], width: int) -> None:
    lines = text(frozen, width).splitlines()
    for name in ("normalization", "classifier", "256x16x16"):
        assert any(name in line for line in lines)
    assert width == 40 or max(map(len, lines)) <= width


def test_the_svg_is_well_formed_and_says_what_the_text_says(frozen: list[Drawn]) -> None:
    root = ElementTree.fromstring(svg(frozen, "trial 3"))
    words = " ".join(root.itertext())
    assert "spatial mixing frozen" in words
    assert "256\u00d716\u00d716" in words
    assert root.get("viewBox", "").split()[2] == root.get("width")


def test_a_name_that_looks_like_markup_stays_text(frozen: list[Drawn]) -> None:
    bad = "<script>alert(1)</script>\x1b[2J"
    drawing = svg([replace(frozen[0], name=bad.replace("\x1b", "\\x1b"), title="[red]")], bad)
    assert "<script" not in drawing
    assert "\x1b" not in drawing
    assert "<script>alert(1)</script>" in " ".join(ElementTree.fromstring(drawing).itertext())


def test_every_space_can_be_drawn() -> None:
    for name in ("spartan_t", "resnet18_d1", "asm_rh_144", "mixer_s16", "strip_mlp_t", "affnet_t", "ms_mlp_t"):
        architecture: Architecture = known_network(name)
        assert len(drawn(architecture)) == len(price(architecture).parts)

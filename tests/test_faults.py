"""Faults that were found once, each with the test that shows it gone."""

from typing import Any

import pytest

from searchspaces import Architecture, Stage
from searchspaces.blocks import ConvMixerBlock, MetaFormerBlock
from searchspaces.filters import parse_filters
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise
from searchspaces.stems import PatchStem

# tests/searchspaces/test_filters.py


@pytest.mark.parametrize("mode", ["heads(0.5)", "heads(1.5)"])
def test_heads_are_counted_in_whole_numbers(mode: str) -> None:
    with pytest.raises(ValueError, match="whole"):
        parse_filters(mode)


@pytest.mark.parametrize("mode", ["smooth(1.2.3)", "smooth(.)"])
def test_a_number_that_is_none_is_told(mode: str) -> None:
    with pytest.raises(ValueError, match="filter mode"):
        parse_filters(mode)


@pytest.mark.parametrize("mode", ["smooth(0.00001)", "heads(1000000)", "smooth(1.23456789)"])
def test_the_canonical_form_of_a_filter_mode_keeps_its_number(mode: str) -> None:
    canonical = Depthwise(filters=mode).canonical()
    assert parse_filters(canonical.filters) == parse_filters(mode)


@pytest.mark.parametrize("mode", ["orthogonal"])
def test_filters_that_a_bank_with_one_filter_per_channel_cannot_hold_are_refused_at_once(mode: str) -> None:
    with pytest.raises(ValueError, match="orthogonal"):
        Depthwise(filters=mode)


# tests/searchspaces/test_architecture.py


def network(block: Any) -> Architecture:
    return Architecture((3, 8, 8), 10, PatchStem(8, 2), (Stage(block),), AverageHead())


@pytest.mark.parametrize("mode", ["heads(1)", "same_per_multiplier"])
def test_one_filter_for_all_channels_has_one_name(mode: str) -> None:
    one, same = (network(ConvMixerBlock(Depthwise(filters=m), freeze="chans")) for m in (mode, "same"))
    assert one.key == same.key


def test_a_frozen_identity_in_a_metaformer_ignores_dilation_too() -> None:
    one, other = (network(MetaFormerBlock(Depthwise(3, d, "identity"), Pointwise(), freeze="chans")) for d in (1, 2))
    assert one.key == other.key


def test_a_kind_that_is_no_word_is_told() -> None:
    with pytest.raises(ValueError, match="unknown head"):
        Architecture.from_json({**network(ConvMixerBlock()).to_json(), "head": {"kind": ["average"]}})

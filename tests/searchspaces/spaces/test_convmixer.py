"""The space of ConvMixers with frozen spatial or channel mixing (2503.16760)."""

import json
import random

import pytest

from searchspaces import Architecture, Value
from searchspaces.spaces.convmixer import convmixer

PICKS: dict[str, Value] = {
    "dim": 16,
    "depth": 5,
    "patch": 2,
    "groups": 2,
    "s1.kernel": 3,
    "s1.dilation": 1,
    "s1.freeze": "chans",
    "s1.filters": "box",
    "s2.kernel": 5,
    "s2.dilation": 2,
    "s2.freeze": "full",
    "s2.filters": "random",
}


def decoded(*, filters_as_init: bool = False, **changes: Value) -> Architecture:
    space = convmixer((3, 16, 16), 10, filters_as_init=filters_as_init)
    picks = {**PICKS, **{name.replace("_", "."): value for name, value in changes.items()}}
    return space.narrow(picks).decode(picks)


def test_two_groups_share_the_blocks_and_the_first_gets_the_odd_one() -> None:
    first, second = decoded().to_json()["stages"]
    token = {"kind": "depthwise", "filters": "box"}
    assert first == {"block": {"kind": "convmixer", "token": token, "freeze": "chans"}, "depth": 3}
    token = {"kind": "depthwise", "kernel": 5, "dilation": 2}
    assert second == {"block": {"kind": "convmixer", "token": token}, "depth": 2}


def test_one_group_holds_all_blocks() -> None:
    (stage,) = decoded(groups=1).stages
    assert stage.depth == 5
    assert stage.block == decoded(groups=2).stages[0].block


def test_picks_of_a_group_that_is_not_there_make_no_difference() -> None:
    unused = {"s2_kernel": 7, "s2_dilation": 1, "s2_freeze": "space", "s2_filters": "impulse"}
    assert decoded(groups=1, **unused).key == decoded(groups=1).key
    assert decoded(groups=2, **unused).key != decoded(groups=2).key


def test_a_second_group_of_no_blocks_is_not_there() -> None:
    assert decoded(depth=1, groups=2).key == decoded(depth=1, groups=1).key


def test_two_equal_groups_are_one() -> None:
    equal = {"s2_kernel": 3, "s2_dilation": 1, "s2_freeze": "chans", "s2_filters": "box"}
    assert decoded(groups=2, **equal).key == decoded(groups=1).key


@pytest.mark.parametrize("freeze", ["full", "space"])
def test_filters_of_a_trained_bank_are_dropped(freeze: str) -> None:
    assert decoded(s1_freeze=freeze, s1_filters="box").key == decoded(s1_freeze=freeze, s1_filters="random").key


@pytest.mark.parametrize("freeze", ["full", "chans", "space"])
def test_filters_count_as_initialisation_where_that_is_asked_for(freeze: str) -> None:
    box, random = (decoded(filters_as_init=True, s1_freeze=freeze, s1_filters=mode) for mode in ("box", "random"))
    assert box.key != random.key


def test_filters_of_a_frozen_bank_are_kept() -> None:
    modes = ["random", "normal", "smooth(1)", "smooth(2)", "impulse", "same", "box", "identity", "heads(4)"]
    assert len({decoded(s1_freeze="chans", s1_filters=mode).key for mode in modes}) == len(modes)


def test_patches_are_divisors_of_both_sides() -> None:
    patch = {choice.name: choice for choice in convmixer((3, 28, 42), 10).choices}["patch"]
    assert patch.allowed == (1, 2, 7, 14)
    assert set(patch.options) == {1, 2, 7}  # at least four patches along the height
    with pytest.raises(
        ValueError, match=r"choice 'patch' cannot be 4 \(.*divides both sides\)\. Allowed: 1, 2, 7, 14\."
    ):
        patch.narrow([4])


def test_a_full_name_goes_before_a_short_one() -> None:
    space = convmixer((3, 16, 16), 10).narrow({"kernel": [3, 5], "s2.kernel": 7})
    options = {choice.name: choice.options for choice in space.choices}
    assert (options["s1.kernel"], options["s2.kernel"]) == ((3, 5), (7,))


def test_a_study_may_ask_for_more_than_the_default_options() -> None:
    space = convmixer((3, 16, 16), 10).narrow({"kernel": 8, "dim": 24, "filters": ["smooth(0.5)", "heads(2)"]})
    picks = space.draw(random.Random(0))
    assert '"kernel": 8' in json.dumps(space.decode(picks).to_json())


@pytest.mark.parametrize("mode", ["orthogonal", "same_per_multiplier", "smooth", "box(1)"])
def test_filters_that_a_bank_cannot_hold_are_answered_with_those_it_can(mode: str) -> None:
    allowed = r"Allowed: random, .*, box, smooth\(NUMBER\), heads\(NUMBER\), taps\(NUMBER\), gauss\(NUMBER\)\."
    with pytest.raises(ValueError, match=allowed):
        convmixer((3, 16, 16), 10).narrow({"filters": mode})


def test_ranges_are_told_in_words() -> None:
    with pytest.raises(ValueError, match=r"choice 'depth' cannot be 0 \(number of blocks\)\. Allowed: 1 to 64\."):
        convmixer((3, 16, 16), 10).narrow({"depth": 0})

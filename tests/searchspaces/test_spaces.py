"""The contract of search spaces, held by every registered one; then what is particular to ConvMixer's."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from searchspaces import SEARCH_SPACES, Architecture, Choice, SearchSpace, Shape, Value, build
from searchspaces.space import search_space
from searchspaces.spaces.convmixer import convmixer

INPUTS: tuple[Shape, ...] = ((1, 8, 8), (3, 32, 32), (3, 28, 56))


@pytest.fixture(params=[(name, input) for name in SEARCH_SPACES for input in INPUTS], ids=str)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """Every registered space with its default settings, for several inputs."""
    name, input = request.param
    return SEARCH_SPACES[name](input, 10)


def draws(space: SearchSpace, number: int) -> list[dict[str, Value]]:
    generator = random.Random(0)
    return [space.draw(generator) for _ in range(number)]


def alien(choice: Choice) -> Value:
    """A value of the right type that no choice allows."""
    return {str: "nonsense", int: -1, float: -1.0}[type(choice.options[0])]


def wide(space: SearchSpace) -> Choice:
    """A choice with several options."""
    return next(choice for choice in space.choices if len(choice.options) > 1)


def test_choices_are_named_once_and_explained(space: SearchSpace) -> None:
    names = [choice.name for choice in space.choices]
    assert len(set(names)) == len(names)
    for choice in space.choices:
        assert choice.help
        assert len({type(option) for option in choice.options}) == 1
        assert choice.narrow(choice.options) == choice  # allowed, and none repeated


def test_size_is_the_number_of_assignments(space: SearchSpace) -> None:
    several = [choice for choice in space.choices if len(choice.options) > 1][:5]
    options = {c.name: c.options[: 2 + (c is several[0])] if c in several else c.options[:1] for c in space.choices}
    small = space.narrow(options)
    assignments = [tuple(picks.items()) for picks in small.assignments()]
    assert small.size == len(assignments) == len(set(assignments))
    assert small.size >= 2 ** len(several)


def test_two_hundred_random_draws_decode_and_keep_their_key_through_json(space: SearchSpace) -> None:
    for picks in draws(space, 200):
        architecture = space.decode(picks)
        assert architecture.canonical() == architecture
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))).key == architecture.key


def test_random_draws_build_for_the_input_of_the_space(space: SearchSpace) -> None:
    for picks in draws(space, 4):
        architecture = space.decode(picks)
        with torch.device("meta"):
            assert build(architecture)(torch.empty(2, *architecture.input)).shape == (2, 10)


def test_draws_follow_the_generator_and_reach_every_option(space: SearchSpace) -> None:
    assert draws(space, 200) == draws(space, 200)
    for choice in space.choices:
        assert {picks[choice.name] for picks in draws(space, 200)} == set(choice.options)


def test_decoding_is_pure(space: SearchSpace) -> None:
    (picks,) = draws(space, 1)
    before = dict(picks)
    assert space.decode(picks) == space.decode(picks)
    assert picks == before


def test_a_full_name_narrows_one_choice(space: SearchSpace) -> None:
    choice = wide(space)
    narrow = space.narrow({choice.name: list(choice.options[1:])})
    assert narrow.choices == tuple(
        replace(c, options=c.options[1:]) if c.name == choice.name else c for c in space.choices
    )
    assert narrow.size == space.size // len(choice.options) * (len(choice.options) - 1)


def test_one_value_fixes_a_choice(space: SearchSpace) -> None:
    choice = wide(space)
    fixed = space.narrow({choice.name: choice.options[-1]})
    assert fixed.size * len(choice.options) == space.size
    assert {picks[choice.name] for picks in draws(fixed, 20)} == {choice.options[-1]}


def test_a_short_name_narrows_the_choice_of_every_group(space: SearchSpace) -> None:
    for short in {choice.name.split(".")[-1] for choice in space.choices}:
        group = [choice for choice in space.choices if choice.name.split(".")[-1] == short]
        narrow = space.narrow({short: group[0].options[0]})
        for choice in narrow.choices:
            assert (len(choice.options) == 1) >= (choice.name.split(".")[-1] == short)


def test_an_unknown_choice_is_answered_with_the_nearest(space: SearchSpace) -> None:
    name = space.choices[0].name
    with pytest.raises(ValueError, match=rf"unknown choice '{name}x'\. Did you mean '{name}'\? Known: "):
        space.narrow({f"{name}x": space.choices[0].options[0]})


def test_a_value_that_is_not_allowed_is_answered_with_those_that_are(space: SearchSpace) -> None:
    for choice in space.choices:
        with pytest.raises(
            ValueError, match=rf"choice '{choice.name}' cannot be {alien(choice)!r} \(.+\)\. Allowed: \S"
        ):
            space.narrow({choice.name: alien(choice)})


def test_a_value_of_another_type_is_not_allowed(space: SearchSpace) -> None:
    for choice in space.choices:
        other: Any = 1 if isinstance(choice.options[0], str) else str(choice.options[0])
        with pytest.raises(ValueError, match=rf"choice '{choice.name}' cannot be {other!r}"):
            space.narrow({choice.name: [other]})


def test_an_option_named_twice_is_refused(space: SearchSpace) -> None:
    choice = space.choices[0]
    with pytest.raises(ValueError, match=rf"choice '{choice.name}' names the option {choice.options[0]!r} twice"):
        space.narrow({choice.name: [choice.options[0], choice.options[0]]})


def test_a_choice_without_options_is_refused(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match=rf"choice '{space.choices[0].name}' needs at least one option\. Allowed: "):
        space.narrow({space.choices[0].name: []})


def test_picks_must_be_complete(space: SearchSpace) -> None:
    (picks,) = draws(space, 1)
    del picks[space.choices[0].name]
    with pytest.raises(ValueError, match=rf"picks lack {space.choices[0].name}\."):
        space.decode(picks)


def test_picks_must_be_choices_of_the_space(space: SearchSpace) -> None:
    (picks,) = draws(space, 1)
    name = space.choices[0].name
    with pytest.raises(ValueError, match=rf"unknown choice '{name}x'\. Did you mean '{name}'\?"):
        space.decode({**picks, f"{name}x": 1})


def test_picks_must_be_options_of_the_narrowed_space(space: SearchSpace) -> None:
    choice, (picks,) = wide(space), draws(space, 1)
    narrow = space.narrow({choice.name: choice.options[0]})
    with pytest.raises(ValueError, match=rf"choice '{choice.name}' must be one of {choice.options[0]}, got "):
        narrow.decode({**picks, choice.name: choice.options[1]})


def test_registering_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="search space 'convmixer' is already registered"):
        search_space("convmixer")(convmixer)


# ConvMixer

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
    (picks, *_) = draws(space, 1)
    assert '"kernel": 8' in json.dumps(space.decode(picks).to_json())


@pytest.mark.parametrize("mode", ["orthogonal", "same_per_multiplier", "smooth", "box(1)"])
def test_filters_that_a_bank_cannot_hold_are_answered_with_those_it_can(mode: str) -> None:
    allowed = r"Allowed: random, .*, box, smooth\(NUMBER\), heads\(NUMBER\), taps\(NUMBER\), gauss\(NUMBER\)\."
    with pytest.raises(ValueError, match=allowed):
        convmixer((3, 16, 16), 10).narrow({"filters": mode})


def test_ranges_are_told_in_words() -> None:
    with pytest.raises(ValueError, match=r"choice 'depth' cannot be 0 \(number of blocks\)\. Allowed: 1 to 64\."):
        convmixer((3, 16, 16), 10).narrow({"depth": 0})

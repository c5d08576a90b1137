"""The contract of search spaces, held by every registered one."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from searchspaces import SEARCH_SPACES, Architecture, Choice, SearchSpace, Shape, Value, build
from searchspaces.architecture import label_of
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


@pytest.mark.parametrize("kind", SEARCH_SPACES)
def test_a_choice_has_an_effect_if_another_option_makes_another_network(kind: str) -> None:
    space, generator = SEARCH_SPACES[kind]((3, 32, 32), 10), random.Random(1)
    for _ in range(3):
        picks = space.draw(generator)
        key = space.decode(picks).key
        others = {c.name: [space.decode({**picks, c.name: option}).key for option in c.options] for c in space.choices}
        assert space.effective(picks) == {name for name, keys in others.items() if any(other != key for other in keys)}


@pytest.mark.parametrize("kind", SEARCH_SPACES)
def test_the_label_of_a_document_is_that_of_its_network(kind: str) -> None:
    space, generator = SEARCH_SPACES[kind]((3, 32, 32), 10), random.Random(2)
    for _ in range(10):
        architecture = space.decode(space.draw(generator))
        assert label_of(architecture.to_json()) == architecture.label()


def test_a_document_of_an_unknown_node_is_labelled_by_its_json() -> None:
    assert label_of({"stages": []}) == '{"stages": []}'
    assert label_of({"stem": {"kind": "a stranger's"}, "stages": []}).startswith('{"stem": {"kind": "a stranger')

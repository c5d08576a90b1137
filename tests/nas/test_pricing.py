"""What the check before a search finds: options with which nothing can be built, and pairs that exclude each other."""

import pytest

from nas.pricing import Probe
from searchspaces import SEARCH_SPACES, SearchSpace

MIXING = SEARCH_SPACES["mixing"]((1, 8, 8), 10)


def checked(space: SearchSpace) -> tuple[dict[str, set[object]], dict[tuple[str, str], str]]:
    """The options that cannot be built, by choice, and the pairs."""
    dead, pairs = Probe(space, {}, {}).check_options()
    return {name: set(reasons) for name, reasons in dead.items()}, pairs


def test_the_default_spaces_have_nothing_that_cannot_be_built() -> None:
    for kind in SEARCH_SPACES.keys() - {"spartan"}:
        assert checked(SEARCH_SPACES[kind]((1, 8, 8), 10)) == ({}, {})


def test_two_options_that_exclude_each_other_are_a_pair() -> None:
    dead, pairs = checked(MIXING.narrow({"channel": ["channel_mlp", "spartan_wave"], "expansion": [2, 1]}))
    assert dead == {}
    assert pairs.keys() == {("s1.channel", "s1.expansion"), ("s2.channel", "s2.expansion")}
    reason = "s1.channel = spartan_wave with s1.expansion = 1: expansion must be at least 2, got 1. Usual: 2, 3, 4."
    assert pairs["s1.channel", "s1.expansion"] == reason


def test_an_option_is_tried_where_it_is_used() -> None:
    dead, _ = checked(MIXING.narrow({"s1.raft.r": [2, 1000]}))  # the first candidates have no raft
    assert dead == {"s1.raft.r": {1000}}


@pytest.mark.parametrize("tied", [False, True])
def test_a_space_without_any_candidate_blames_the_choice_that_leaves_none(tied: bool) -> None:
    space = MIXING.narrow({"mixer": "attention", "attention.heads": 1000, "kernel": 3})
    space, name = (space.tie(["attention.heads"]), "attention.heads") if tied else (space, "s1.attention.heads")
    with pytest.raises(ValueError, match=rf"^{name} = 1000 cannot be built: heads must divide .* got heads=1000"):
        Probe(space, {}, {}).buildable()


def test_what_an_option_cannot_be_built_with_is_named() -> None:
    space = MIXING.narrow({"s1.mixer": ["conv", "attention"], "attention.heads": 1000})
    dead, _ = Probe(space, {}, {}).check_options()
    assert str(dead["s1.mixer"]["attention"]).startswith("with s1.attention.heads = 1000, heads must divide")


def test_an_option_that_some_candidates_can_take_is_none_that_cannot_be_built() -> None:
    dead, pairs = checked(MIXING.narrow({"s1.random_mix.groups": [1, 4]}))  # 4 does not divide 43, but 16
    assert dead == {}
    assert "s1.random_mix.groups" in {name for pair in pairs for name in pair}

"""Choices that are off until a study names them, ties between groups, and what a space says of its candidates."""

import pytest

from searchspaces import SEARCH_SPACES
from searchspaces.blocks.convmixer import ConvMixerBlock

SPACE = SEARCH_SPACES["convmixer"]((1, 8, 8), 10)


def test_a_choice_that_is_off_is_searched_once_it_is_named() -> None:
    named = SPACE.narrow({"freeze_norm": ["off", "on"], "s1.norm_match": "off"})
    assert [choice.name for choice in named.choices[-3:]] == ["s1.freeze_norm", "s1.norm_match", "s2.freeze_norm"]
    assert [choice.name for choice in named.more] == ["s2.norm_match"]
    block = named.decode({**named.first, "s1.freeze_norm": "on"}).stages[0].block
    assert isinstance(block, ConvMixerBlock)
    assert block.freeze_norm
    assert not getattr(block.token, "norm_match", True)


@pytest.mark.parametrize("kind", sorted(SEARCH_SPACES))
def test_a_tie_gives_all_groups_one_pick_in_every_space(kind: str) -> None:
    space = SEARCH_SPACES[kind]((3, 32, 32), 10)
    names = [choice.short for choice in space.choices]
    for name in {name for name in names if names.count(name) > 1}:
        group = [choice for choice in space.choices if choice.short == name]
        if any(choice.options != group[0].options for choice in group):
            with pytest.raises(ValueError, match="choices that are tied need equal options"):
                space.tie([name])
            space = space.narrow(
                {name: [option for option in group[0].options if all(option in c.allowed for c in group)]}
            )
        group = [choice for choice in space.choices if choice.short == name]
        tied = space.tie([name])
        assert tied.size * len(group[0].options) ** (len(group) - 1) == space.size
        for option in group[0].options:
            one = {**tied.first, name: option}
            every = {**space.first, **{choice.name: option for choice in group}}
            assert tied.network(one) == space.network(every)
            assert tied.narrow({name: option}).first[name] == option


def test_a_tied_choice_can_be_removed_and_shows_what_it_changes() -> None:
    tied = SPACE.tie(["freeze", "kernel"])
    assert tied.remove(["freeze"]).size * 3 == tied.size
    assert "kernel" in tied.effective(tied.first)
    assert "s1.kernel" not in tied.first


def test_a_tie_of_one_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="'depth' is one choice already: there is nothing to tie"):
        SPACE.tie(["depth"])
    with pytest.raises(ValueError, match="'freeze' is one choice already"):
        SPACE.tie(["freeze", "freeze"])
    with pytest.raises(ValueError, match="unknown choice 'kernl'"):
        SPACE.tie(["kernl"])


def test_whole_numbers_may_stand_for_any_numbers() -> None:
    width = SEARCH_SPACES["resnet"]((3, 32, 32), 10).narrow({"width": [1, 0.5]})
    assert next(choice for choice in width.choices if choice.name == "width").options == (1.0, 0.5)

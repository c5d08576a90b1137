"""The way back from a network to picks."""

from random import Random

import pytest

from searchspaces import SEARCH_SPACES, SearchSpace
from searchspaces.inverse import picks_of


def small(kind: str) -> SearchSpace:
    space: SearchSpace = SEARCH_SPACES[kind](input=(1, 16, 16), classes=10)
    return space


@pytest.mark.parametrize("kind", ["convmixer", "mixing", "wide_sparse"])
def test_picks_that_make_a_network_are_found(kind: str) -> None:
    space = small(kind)
    for seed in range(4):
        network = space.network(space.draw(Random(seed)))
        if network is not None:
            assert space.decode(picks_of(space, network)).key == network.key


def test_a_network_for_other_images_is_found_too() -> None:
    space = small("convmixer")
    picks = space.draw(Random(1))
    other = SEARCH_SPACES["convmixer"](input=(3, 32, 32), classes=7).decode(picks)
    assert space.decode(picks_of(space, other)).key == space.decode(picks).key


def test_a_network_that_is_in_no_space_is_refused_with_the_difference() -> None:
    space = small("convmixer").narrow({"depth": 1})
    deeper = small("convmixer").narrow({"depth": 4})
    with pytest.raises(ValueError, match="depth"):
        picks_of(space, deeper.decode(deeper.first))

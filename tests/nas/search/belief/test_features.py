"""Features of networks."""

from random import Random

import numpy as np
import pytest

from nas.pricing import price
from nas.search.belief.features import Encoder, Traits, traits_of
from searchspaces import SEARCH_SPACES, Architecture


def described(architecture: Architecture) -> Traits:
    return traits_of(architecture.canonical(), price(architecture))


@pytest.mark.parametrize("name", sorted(SEARCH_SPACES))
def test_networks_have_equal_rows_exactly_if_they_are_equal(name: str) -> None:
    space, generator = SEARCH_SPACES[name]((3, 32, 32), 10), Random(0)
    networks = [network for _ in range(150) if (network := space.network(space.draw(generator))) is not None]
    rows = Encoder([described(network) for network in networks]).rows([described(network) for network in networks])
    by_row: dict[bytes, str] = {}
    for network, row in zip(networks, rows, strict=True):
        assert by_row.setdefault(row.tobytes(), network.key) == network.key
    again = Encoder([described(network) for network in networks]).rows([described(n) for n in networks])
    assert (rows == again).all()


def test_two_categories_are_one_apart_and_numbers_are_in_standard_deviations() -> None:
    sample = [Traits({"kind": "a"}, {"depth": 1.0}), Traits({"kind": "b"}, {"depth": 3.0})]
    encoder = Encoder(sample)
    one, other = encoder.rows([Traits({"kind": "a"}, {"depth": 2.0}), Traits({"kind": "b"}, {"depth": 2.0})])
    assert ((one - other) ** 2).sum() == pytest.approx(1)
    low, high = encoder.rows([Traits({"kind": "a"}, {"depth": 1.0}), Traits({"kind": "a"}, {"depth": 3.0})])
    assert ((low - high) ** 2).sum() == pytest.approx(0.5 * 2**2)


def test_what_all_networks_share_and_what_says_the_same_twice_makes_no_column() -> None:
    sample = [Traits({"a": str(i % 2), "b": str(i % 2), "c": "same"}, {"d": 1.0, "e": float(i)}) for i in range(4)]
    encoder = Encoder(sample)
    assert encoder.groups.tolist() == [0, 0, 1]


def test_what_was_never_seen_is_no_category_and_a_lacking_number_the_mean() -> None:
    encoder = Encoder([Traits({"a": str(i)}, {"e": float(i)}) for i in range(3)])
    assert not encoder.rows([Traits({"a": "new"}, {})]).any()
    assert np.isfinite(encoder.rows([Traits({}, {"unknown": 3.0})])).all()

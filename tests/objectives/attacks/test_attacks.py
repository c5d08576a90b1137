"""The attacks of the table keep the contract; registration."""

import pytest
from torch import Generator

from nas.testing.attacks import AttackContract
from objectives.attacks import ATTACKS, attack
from objectives.attacks.noise import Noise
from objectives.attacks.pgd import Pgd

OWN = {name: kind for name, kind in ATTACKS.items() if name != "autoattack"}
"""Attacks that keep the whole contract: the random numbers of AutoAttack belong to a batch, and it takes a minute."""


@pytest.mark.parametrize("kind", OWN.values(), ids=OWN.keys())
class TestAttacks(AttackContract):
    pass


def test_an_attack_draws_other_numbers_only_where_it_draws_any() -> None:
    generator = Generator().manual_seed(0)
    noise, pgd = Noise(0.1), Pgd(0.1)
    assert pgd.redrawn(generator) is pgd
    one, other = noise.redrawn(generator), noise.redrawn(generator)
    assert len({noise.seed, one.seed, other.seed}) == 3


def test_registering_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"attack 'pgd' is already registered by .*Pgd"):
        attack("pgd")(Pgd)


def test_what_is_no_attack_is_refused() -> None:
    with pytest.raises(ValueError, match="attack 'other' must be a frozen dataclass derived from Attack"):
        attack("other")(object)  # type: ignore[type-var]

"""Energy of arithmetic, by hand."""

import pytest

from nas.testing.objectives import candidate
from objectives import Candidate
from objectives.counting import Counts
from objectives.energy import Energy, energies

COUNTS = Counts(
    macs=1000, transform_flops=40, elementwise_flops=60, parameters=1, trainable_parameters=1, checkpoint_bytes=4
)


def test_the_energy_of_a_thousand_macs_by_hand() -> None:
    one = Candidate(candidate(Energy).model, (1, 8, 8), known=COUNTS)
    assert Energy().measure(one) == pytest.approx((1000 * 4.6 + 100 * 2.3) / 1000)  # nJ
    assert Energy(arithmetic="int8").measure(one) == pytest.approx((1000 + 50) * 0.23 / 1000)
    assert Energy(multiply=1.0, add=1.0).measure(one) == pytest.approx(2.1)


def test_shifts_take_less_than_multiplications() -> None:
    assert energies()["shift32"]["multiply"] < energies()["int32"]["multiply"] < energies()["float32"]["multiply"]


def test_the_table_that_was_used_stands_in_the_settings() -> None:
    settings = Energy(arithmetic="int8", add=0.05).settings(candidate(Energy))
    assert settings["picojoules"] == {"multiply": 0.2, "add": 0.05}


def test_an_unknown_arithmetic_is_refused_with_those_of_the_table() -> None:
    with pytest.raises(ValueError, match="must be one of float32, float16, int32, int8, shift32, got 'bf16'"):
        Energy(arithmetic="bf16")

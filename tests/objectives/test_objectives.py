"""The objectives of the table keep the contract; registration; values as costs."""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.testing.objectives import ObjectiveContract, candidate
from objectives import OBJECTIVES, Candidate, Objective, as_settings, as_value, to_minimise
from objectives.accuracy import Accuracy
from objectives.costs import Macs
from objectives.latency import Timed
from objectives.objective import objective


@pytest.mark.parametrize("kind", OBJECTIVES.values(), ids=OBJECTIVES.keys())
class TestObjectives(ObjectiveContract):
    def make(self, kind: type[Objective]) -> Objective:
        return kind(seconds=0.01) if issubclass(kind, Timed) else kind()

    def test_settings_are_not_empty(self, kind: type[Objective]) -> None:
        assert self.make(kind).settings(candidate(kind))


@pytest.mark.parametrize("value", [0, -3])
def test_a_count_that_is_not_positive_has_no_cost(value: float) -> None:
    with pytest.raises(ValueError, match=rf"a count must be finite and positive: {value}\."):
        to_minimise(Macs, value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [(Accuracy, 0.875, 0.125), (Accuracy, 1.0, 0.0), (Macs, 1000.0, 3.0), (Macs, 1.0, 0.0)],
)
def test_costs_by_hand(kind: type[Objective], value: float, expected: float) -> None:
    assert to_minimise(kind, value) == pytest.approx(expected, abs=1e-12)


def test_a_fraction_to_minimise_and_a_count_to_maximise_have_costs_too() -> None:
    class Error(Accuracy):
        direction = "minimize"

    class Throughput(Macs):
        direction = "maximize"

    assert to_minimise(Error, 0.25) == 0.25
    assert to_minimise(Throughput, 100.0) == -2


def test_registering_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"objective 'accuracy' is already registered by .*Accuracy"):
        objective("accuracy")(Accuracy)
    assert OBJECTIVES["accuracy"] is Accuracy


@pytest.mark.parametrize("kind", [k for k in OBJECTIVES.values() if k.needs == "training"])
def test_an_objective_of_images_needs_images(kind: type[Objective]) -> None:
    with pytest.raises(ValueError, match="measures on images, but the candidate carries none"):
        kind().measure(Candidate(nn.Flatten(), (1, 8, 8)))


@pytest.mark.parametrize("kind", [k for k in OBJECTIVES.values() if k.needs == "training"])
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_no_value(kind: type[Objective], poison: float) -> None:
    one = candidate(kind)
    flags = [p.requires_grad for p in one.model.parameters()]
    nn.init.constant_(one.model.get_parameter("classifier.bias"), poison)
    with pytest.raises(FloatingPointError, match=r"(logits|outputs) are not finite"):
        kind().measure(one)
    assert [p.requires_grad for p in one.model.parameters()] == flags


def test_a_class_without_dataclass_is_refused_with_the_line_to_write() -> None:
    with pytest.raises(ValueError, match=r"'plain' must be a frozen dataclass, got the class Plain. Write @data"):

        @objective("plain")
        class Plain:
            direction, needs, scale = "maximize", "training", "fraction"

    assert "plain" not in OBJECTIVES


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"direction": "up"}, "must state direction = one of maximize, minimize"),
        ({"direction": "maximize", "needs": "images"}, "must state needs = one of shapes, weights, training"),
        ({"direction": "maximize", "needs": "training"}, "must state scale = one of fraction, count"),
        ({"direction": "maximize", "needs": "training", "scale": "count"}, "must define measure"),
    ],
)
def test_a_class_that_lacks_a_part_of_the_contract_is_refused(stated: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=f"objective 'partial' {message}"):
        objective("partial")(dataclass(frozen=True)(type("Partial", (), stated)))


def test_a_class_of_its_own_takes_the_defaults_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectives.objective.OBJECTIVES", {})

    @objective("own")
    @dataclass(frozen=True)
    class Own:
        direction, needs, scale = "maximize", "training", "fraction"

        def measure(self, candidate: Candidate) -> float:
            return 0.5

    own: Any = Own()
    assert own.settings(candidate(Own)) == {}  # type: ignore[arg-type]
    assert own.suited(None) is own


@pytest.mark.parametrize(
    "returned",
    [
        0.25,
        np.float32(0.25),
        np.array(0.25),
        torch.tensor(0.25),
        Decimal("0.25"),
        Fraction(1, 4),
        np.array(0.25, np.float16),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_every_library_become_floats(returned: Any) -> None:
    value = as_value("mine", Accuracy, returned)
    assert type(value) is float
    assert value == 0.25


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (True, r"must return a number, got True \(bool\)"),
        (np.bool_(True), r"must return a number, got np.True_ \(bool"),
        ("0.5", r"must return a number, got '0.5' \(str\)"),
        (None, r"must return a number, got None \(NoneType\)"),
        (1 + 0j, "must return a number"),
        ([0.5], r"must return a number, got \[0.5\] \(list\)"),
        (torch.zeros(2), r"must return a number, got tensor\(\[0., 0.\]\) \(Tensor of shape \(2,\)\)"),
        (np.zeros((1, 1)), r"\(ndarray of shape \(1, 1\)\)"),
        (1.5, "objective 'mine' is a fraction: its value must be from 0 to 1, got 1.5"),
        (-1e-9, "its value must be from 0 to 1, got -1e-09"),
    ],
)
def test_what_is_no_value_of_a_fraction_is_refused_with_the_rule(returned: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_value("mine", Accuracy, returned)


@pytest.mark.parametrize("returned", [0, -3, 0.0])
def test_a_count_is_above_zero(returned: Any) -> None:
    with pytest.raises(ValueError, match="objective 'mine' is a count: its value must be above 0, got"):
        as_value("mine", Macs, returned)


@pytest.mark.parametrize("returned", [math.nan, math.inf, torch.tensor(math.nan), Decimal("Infinity")])
def test_a_value_that_is_not_finite_is_a_divergence(returned: Any) -> None:
    with pytest.raises(FloatingPointError, match=r"mine is (nan|inf)"):
        as_value("mine", Accuracy, returned)


@pytest.mark.parametrize(
    "returned", [None, [], {"a": (1, 2)}, {1: 2}, {"a": {1, 2}}, {"a": math.nan}, {"a": torch.zeros(1)}]
)
def test_settings_that_json_cannot_hold_are_refused(returned: Any) -> None:
    with pytest.raises(ValueError, match="settings of the objective 'mine' must be a dictionary of JSON values"):
        as_settings("mine", returned)
    assert as_settings("mine", {"a": [1, "b", None]}) == {"a": [1, "b", None]}

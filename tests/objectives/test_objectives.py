"""The objectives of the table keep the contract; registration; values as costs."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
from torch import nn

from nas.testing.objectives import ObjectiveContract, candidate
from objectives import OBJECTIVES, Candidate, Objective, to_minimise
from objectives.accuracy import Accuracy
from objectives.costs import Macs
from objectives.objective import objective


@pytest.mark.parametrize("kind", OBJECTIVES.values(), ids=OBJECTIVES.keys())
class TestObjectives(ObjectiveContract):
    def test_settings_are_not_empty(self, kind: type[Objective]) -> None:
        assert kind().settings(candidate(kind))


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
    nn.init.constant_(one.model.classifier.bias, poison)
    with pytest.raises(FloatingPointError, match="logits are not finite"):
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

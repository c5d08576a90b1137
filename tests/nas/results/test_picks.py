"""Rules on four networks whose answers can be worked out by hand."""

import numpy as np
import pytest

from nas.errors import WrongInputError
from nas.results.picks import Members, parse_rule
from nas.store.records import TrialRecord
from objectives import Goal

GOALS = {"accuracy": Goal("maximize", "fraction"), "macs": Goal("minimize", "count", "MACs")}
VALUES = {0: (0.90, 1e6), 1: (0.89, 1e5), 2: (0.80, 1e4), 3: (0.50, 1e3)}
"""Trial -> accuracy and MACs. Costs: .10 .11 .20 .50, and 6 5 4 3; scaled: 0 .025 .25 1, and 1 2/3 1/3 0."""


def members(*, errors: float = np.nan, flipped: bool = False) -> Members:
    """The four; flipped, accuracy is an error rate to be minimised."""
    records = [TrialRecord(number, "complete", {}, {}, str(number), 0) for number in VALUES]
    values = np.array(list(VALUES.values()))
    goals = dict(GOALS)
    if flipped:
        values[:, 0] = 1 - values[:, 0]
        goals["accuracy"] = Goal("minimize", "fraction")
    return Members(records, goals, values, np.full((4, 2), errors))


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        ("knee", 2),  # sums of the scaled costs: 1, .692, .583, 1
        ("best:accuracy", 0),
        ("best:macs", 3),
        ("weights:accuracy=2,macs=1", 1),  # 1, .717, .833, 2
        ("weights:accuracy=1,macs=3", 3),  # 3, 2.025, 1.25, 1
        ("weights:macs=1", 3),
        ("nearest:accuracy=0.88,macs=1e5", 1),
        ("nearest:macs=2e4", 2),  # log10 is 4.3
    ],
)
def test_a_rule_names_the_member_that_a_person_works_out(rule: str, number: int) -> None:
    assert members().pick(parse_rule(rule, list(GOALS))).record.number == number


@pytest.mark.parametrize(("error", "number"), [(0.005, 0), (0.01, 1), (0.05, 1), (0.1, 2), (0.4, 3)])
def test_one_se_names_the_cheapest_within_one_standard_error_of_the_best(error: float, number: int) -> None:
    found = members(errors=error).pick(parse_rule("one-se:accuracy", list(GOALS)))
    assert found.record.number == number
    assert f"within one standard error of the best, 0.9 of trial 0 less {error:.2g}" in found.why


def test_one_se_needs_a_standard_error() -> None:
    with pytest.raises(WrongInputError, match=r"the standard error of accuracy of trial 0 is not known\. nas confirm"):
        members().pick(parse_rule("one-se:accuracy", list(GOALS)))


@pytest.mark.parametrize("rule", ["knee", "best:accuracy", "weights:accuracy=2,macs=1", "one-se:accuracy"])
def test_an_error_rate_to_be_minimised_is_picked_as_an_accuracy(rule: str) -> None:
    numbers = {
        members(errors=0.05, flipped=flipped).pick(parse_rule(rule, list(GOALS))).record.number
        for flipped in (False, True)
    }
    assert len(numbers) == 1


def test_neighbours_are_the_nearest_of_those_that_are_better() -> None:
    found = members().neighbours(1)
    assert {name: record.number for name, record in found.items()} == {"accuracy": 0, "macs": 2}
    assert list(members().neighbours(0)) == ["macs"]  # nothing is more accurate


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("weights:accuracy", "needs the form weights:OBJECTIVE=WEIGHT"),
        ("weights:accuracy=-1", "with numbers from 0 on"),
        ("weights:accuracy=nan", "with numbers from 0 on"),
        ("weights:accuracy=0", "needs a weight above 0"),
        ("weights:acuracy=1", "weights: unknown objective 'acuracy'. Did you mean 'accuracy'?"),
        ("nearest:macs=1,macs=2", "names too many objectives"),
        ("best:accuracy,macs", "names too many objectives"),
        ("front:1", "unknown pick 'front:1'"),
        ("knee:", "unknown pick 'knee:'"),
    ],
)
def test_a_rule_that_cannot_be_read_says_what_form_it_needs(rule: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rule(rule, list(GOALS))


def test_nearest_to_what_cannot_be_is_refused() -> None:
    with pytest.raises(WrongInputError, match="nearest: objective 'accuracy' is a fraction"):
        members().pick(parse_rule("nearest:accuracy=95", list(GOALS)))

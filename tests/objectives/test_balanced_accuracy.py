"""Balanced accuracy by hand."""

from collections.abc import Callable

import pytest

from objectives import Candidate
from objectives.accuracy import Accuracy
from objectives.balanced_accuracy import BalancedAccuracy

Grey = Callable[..., Candidate]


def test_every_class_counts_the_same(grey: Grey) -> None:
    one = grey(0.1, 0.2, 0.3, 0.4, 0.1, 0.9, labels=[0, 0, 0, 0, 1, 1])
    assert BalancedAccuracy().measure(one) == pytest.approx((1 + 0.5) / 2)


def test_a_network_that_knows_one_class_is_no_better_than_chance(grey: Grey) -> None:
    one = grey(*[0.1] * 100, labels=[0] * 95 + [1] * 5)
    assert Accuracy().measure(one) == pytest.approx(0.95)
    assert BalancedAccuracy().measure(one) == 0.5


def test_it_equals_accuracy_where_classes_are_of_one_size(grey: Grey) -> None:
    one = grey(0.1, 0.9, 0.8, 0.6, 0.2, 0.4, labels=[0, 0, 0, 1, 1, 1])
    assert BalancedAccuracy().measure(one) == pytest.approx(Accuracy().measure(one))


def test_classes_without_an_image_do_not_count(grey: Grey) -> None:
    assert BalancedAccuracy().measure(grey(0.9, 0.1, labels=[1, 1])) == 0.5
    assert BalancedAccuracy().measure(grey(0.9, 0.9, 0.1, labels=[1, 1, 3])) == 0.5


def test_its_settings_say_what_one_image_is_worth(grey: Grey) -> None:
    settings = BalancedAccuracy().settings(grey(0.1, 0.2, 0.9, labels=[0, 0, 3]))
    assert settings == {"samples": 3, "classes": 2, "one_sample": 0.5}

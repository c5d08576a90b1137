"""Values that say how sure they are, by hand."""

import math
import pickle
from typing import Any

import pytest
import torch

from objectives import Estimate
from objectives.accuracy import Accuracy, jackknife


def test_an_estimate_is_its_value_and_travels_with_what_it_knows() -> None:
    one = Estimate(0.75, standard_error=0.1, n=4, kind="replicates", flags=["zero_gradients"])
    again = pickle.loads(pickle.dumps(one))
    assert one == again == 0.75
    assert vars(again) == vars(one)
    assert again.spread() == {"standard_error": 0.1, "n": 4, "kind": "replicates"}
    assert Estimate(0.75).spread() == {}


def test_a_share_has_the_error_of_a_binomial() -> None:
    one = Estimate.share(torch.tensor([True, True, True, False]))
    assert (one, one.n, one.kind) == (0.75, 4, "binomial")
    assert one.standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))


def test_a_mean_has_the_error_of_a_mean() -> None:
    one = Estimate.mean(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert (one, one.n) == (3.0, 4)
    assert one.standard_error == pytest.approx(math.sqrt(14 / 3) / 2)
    assert Estimate.mean(torch.tensor([2.0])).standard_error is None


def test_the_jackknife_of_a_share_is_its_binomial_error() -> None:
    labels = torch.arange(2_000) % 10
    outputs = torch.eye(10)[(labels + (torch.rand(2_000, generator=torch.Generator().manual_seed(0)) < 0.3)) % 10]
    expected = Estimate.share(outputs.argmax(1) == labels).standard_error
    found = jackknife(Accuracy().figure, outputs, labels)
    assert expected == pytest.approx(0.0102, abs=0.0005)
    assert found == pytest.approx(expected, rel=0.35)  # 20 groups: its own error is a sixth


def test_there_is_no_jackknife_where_a_class_would_vanish() -> None:
    assert jackknife(Accuracy().figure, torch.eye(3), torch.arange(3)) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"standard_error": -1}, "standard_error must be a finite number from 0, got -1"),
        ({"standard_error": math.nan}, "standard_error must be a finite number from 0, got nan"),
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"kind": "guess"}, "kind must be one of binomial, .*, got 'guess'"),
        ({"flags": ["Not a word"]}, "a flag must be a word of a-z, 0-9 and _, .* got 'Not a word'"),
    ],
)
def test_what_cannot_be_known_of_a_value_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Estimate(0.5, **wrong)

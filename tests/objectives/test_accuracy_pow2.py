"""Accuracy with weights that are powers of two."""

import pytest
import torch
from torch import nn

from nas.testing.objectives import candidate
from objectives.accuracy import Accuracy
from objectives.accuracy_pow2 import AccuracyPow2, power_of_two, rounded


def test_weights_are_rounded_to_the_nearest_power_in_the_logarithm() -> None:
    weights = torch.tensor([0.3, -0.36, 0.0, 5.0, -1e-9, 0.25])
    assert power_of_two(weights, bits=5).tolist() == [0.25, -0.5, 0.0, 1.0, -(2.0**-15), 0.25]
    assert power_of_two(weights, bits=2).tolist() == [0.5, -0.5, 0.0, 1.0, -0.5, 0.5]


def test_vectors_keep_their_values_and_everything_comes_back() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = [p.detach().clone() for p in model.parameters()]
    with rounded(model, 5):
        inside = [p.detach().clone() for p in model.parameters()]
    assert [torch.equal(a, b) for a, b in zip(before, inside, strict=True)] == [False, True, True, True]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_with_weights_that_are_powers_of_two_it_is_the_accuracy() -> None:
    one = candidate(AccuracyPow2)
    with rounded(one.model, 5):
        assert AccuracyPow2().measure(one) == Accuracy().measure(one)
    assert AccuracyPow2(bits=2).measure(one) < Accuracy().measure(one)


def test_bits_that_hold_no_exponent_are_refused() -> None:
    with pytest.raises(ValueError, match="bits must be from 2 to 8, got 1"):
        AccuracyPow2(bits=1)

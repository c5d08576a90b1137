"""Accuracy by hand."""

from collections.abc import Callable

import pytest
import torch

from nas.testing.objectives import candidate, state
from objectives import Candidate
from objectives.accuracy import Accuracy

Grey = Callable[..., Candidate]


def test_accuracy_by_hand(grey: Grey) -> None:
    assert Accuracy().measure(grey(0.1, 0.4, 0.6, 0.9, labels=[0, 1, 1, 1])) == 0.75


def test_accuracy_is_measured_in_eval_mode() -> None:
    one = candidate(Accuracy)
    expected = Accuracy().measure(one)
    one.model.train()
    before = state(one.model)
    assert Accuracy().measure(one) == expected == 0.9
    assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())


def test_accuracy_does_not_depend_on_how_images_are_batched(grey: Grey) -> None:
    levels = [i / 1202 for i in range(1203)]  # three batches
    labels = [int(level > 0.5) for level in levels]
    labels[::3] = [1 - label for label in labels[::3]]
    assert Accuracy().measure(grey(*levels, labels=labels)) == pytest.approx(2 / 3)

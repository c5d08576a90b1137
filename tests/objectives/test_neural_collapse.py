"""Neural collapse on features whose collapse is known."""

import pytest
import torch

from objectives.neural_collapse import neural_collapse

CLASSES = 4
LABELS = torch.arange(40) % CLASSES
SIMPLEX = torch.eye(CLASSES) - 1 / CLASSES  # (K, F = K): a simplex of equal norms and angles


def test_collapsed_features_have_no_figure_but_zero() -> None:
    found = neural_collapse(3 + 2 * SIMPLEX[LABELS], LABELS, 5 * SIMPLEX)
    assert max(vars(found).values()) < 1e-12


def test_scatter_within_classes_counts_against_that_between_them() -> None:
    signs = torch.where(torch.arange(40) % 8 < 4, 1.0, -1.0)
    scatter = torch.zeros(40, CLASSES)
    scatter[:, 0], scatter[:, 1] = signs, -signs
    found = neural_collapse(SIMPLEX[LABELS] + 0.1 * scatter, LABELS, SIMPLEX)
    # S_W = 0.01 v v^T with v = (1, -1, 0, 0), S_B = (I - 1/4) / 4, whose inverse scales v by 4: 0.01 * 4 * 2 / 4
    assert found.within == pytest.approx(0.02)
    assert found.norms == pytest.approx(0, abs=1e-7)


def test_means_of_other_lengths_and_angles_are_seen() -> None:
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    found = neural_collapse(means[LABELS], LABELS, means)
    assert found.norms == pytest.approx(0.5 / 1.5)
    assert found.angles == pytest.approx((4 * abs(-1 + 1 / 3) + 8 * (1 / 3)) / 12)  # cosines -1 within a pair, else 0
    assert found.duality == pytest.approx(0, abs=1e-7)


def test_weights_that_point_elsewhere_are_no_dual() -> None:
    found = neural_collapse(SIMPLEX[LABELS], LABELS, -SIMPLEX)
    assert found.duality == pytest.approx(2)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two classes, got 1"):
        neural_collapse(torch.rand(4, 2), torch.zeros(4, dtype=torch.long), torch.rand(2, 2))

"""Figures of logits by hand, and against closed forms."""

import math

import pytest
import torch

from objectives.classification import Auc, CalibrationError, CrossEntropy, MacroF1, Top5Accuracy

SURE = torch.tensor([[9.0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])


def test_cross_entropy_of_even_odds_is_the_logarithm_of_the_classes() -> None:
    assert CrossEntropy().figure(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])) == pytest.approx(math.log(3))
    assert CrossEntropy().figure(torch.tensor([[1e4, 0.0]]), torch.tensor([0])) == 1e-12


def test_top5_counts_the_five_likeliest() -> None:
    outputs = torch.arange(7.0).repeat(7, 1)
    assert Top5Accuracy().figure(outputs, torch.arange(7)) == pytest.approx(5 / 7)
    assert Top5Accuracy().figure(SURE, torch.tensor([2, 1, 2, 0])) == 1


def test_macro_f1_by_hand_without_classes_that_have_no_image() -> None:
    """Class 0: precision 1/2, recall 1; class 1: precision 1, recall 1/2."""
    labels = torch.tensor([0, 1, 1])
    assert MacroF1().figure(SURE[:3], labels) == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    outputs = torch.tensor([[0.0, 0.1], [0.0, 0.4], [0.0, 0.35], [0.0, 0.8]])
    assert Auc().figure(outputs, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="at least two classes"):
        Auc().figure(outputs, torch.zeros(4, dtype=torch.int64))


def test_calibration_error_of_a_network_that_is_sure_and_half_right() -> None:
    sure = 50 * SURE
    assert CalibrationError().figure(sure, torch.tensor([0, 1, 1, 0])) == pytest.approx(0.5, abs=1e-6)
    assert CalibrationError().figure(sure, torch.tensor([0, 0, 1, 2])) == pytest.approx(0, abs=1e-6)
    even = CalibrationError().figure(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
    assert even == pytest.approx(0, abs=1e-6)

"""Handwritten digits of scikit-learn."""

import numpy as np

from trainers.datasets.digits import Digits


def test_digits_are_all_there() -> None:
    train, test = Digits().load("train"), Digits().load("test")
    assert (len(train), len(test), train.levels) == (1437, 360, 16)
    assert train.images.shape[1:] == (1, 8, 8)
    assert np.bincount(test.labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]

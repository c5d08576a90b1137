"""Two trials compared image by image, by hand."""

import numpy as np
import pytest

from nas.errors import WrongInputError
from nas.results.comparison import Comparison, compare
from nas.store.traces import Predictions


def predictions(*right: bool) -> Predictions:
    return Predictions(np.zeros(len(right), np.uint8), np.array(right, bool), "00")


def test_only_images_on_which_they_differ_count() -> None:
    first, second = predictions(*[True] * 8, False), predictions(*[False] * 6, True, True, True)
    assert compare(first, second) == Comparison(9, 6, 1, pytest.approx(2 * 8 / 2**7))
    assert compare(first, first).p == 1


def test_other_images_cannot_be_compared() -> None:
    with pytest.raises(WrongInputError, match="the same images can be compared, got 1 and 2"):
        compare(predictions(True), predictions(True, True))
    with pytest.raises(WrongInputError, match="predictions of classes"):
        compare(predictions(), predictions())

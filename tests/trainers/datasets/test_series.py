"""Labelled time series."""

from pathlib import Path

import numpy as np
import pytest
from writers import write_series

from trainers.datasets.series import Series


def test_series_are_folded_by_their_period(tmp_path: Path) -> None:
    (tmp_path / "A_TRAIN.csv").write_text("2,0,1,2,3,4\n10,4,3,2,1,0\n")
    (tmp_path / "A_TEST.csv").write_text("10,8,4,2,0,-4\n")
    dataset = Series.of(f"{tmp_path / 'A'},period=2")
    assert dataset.classes() == ("2", "10")
    samples = dataset.load("train")
    assert samples.images[0, 0].tolist() == [[0, 0.25], [0.5, 0.75], [1, 1]]  # the last value fills the last row
    assert (samples.labels.tolist(), samples.levels, samples.images.dtype) == ([0, 1], 1, np.float32)
    test = dataset.load("test")
    assert test.images[0, 0].tolist() == [[1, 1], [0.5, 0], [0, 0]]  # by the training split's range, and cut
    assert test.labels.tolist() == [1]


@pytest.mark.parametrize("separator", ["\t", ",", "  "])
def test_series_without_a_period_are_as_square_as_can_be(tmp_path: Path, separator: str) -> None:
    assert Series(str(write_series(tmp_path, 30, separator))).load("train").images.shape == (20, 1, 6, 5)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("", "1 2 3", r"A_TRAIN\.tsv is truncated or damaged \(it holds no series\)\. Expected a series a line"),
        ("1 2\n", "1 2 3", "a line holds less than a label and two values"),
        ("1 2 3\n1 2 3 4\n", "1 2 3", r"series 2 has 3 values, the first 2"),
        ("1 2 x\n", "1 2 3", "could not convert string to float: 'x'"),
        ("1 2 NaN\n", "1 2 3", "values that are not numbers"),
        ("1 2 3\n", "1 2 3 4", r"A_TEST\.tsv: its series have 3 values, those of the training split 2"),
        ("1 2 3\n", "2 2 3", r"A_TEST\.tsv: no series of the training split has the label '2'"),
    ],
)
def test_wrong_series_are_told(tmp_path: Path, train: str, test: str, message: str) -> None:
    (tmp_path / "A_TRAIN.tsv").write_text(train)
    (tmp_path / "A_TEST.tsv").write_text(test)
    with pytest.raises(ValueError, match=message):
        Series(str(tmp_path / "A")).load("test")


def test_series_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"B_TRAIN\.tsv does not exist\. Expected a series a line"):
        Series(str(tmp_path / "B")).classes()
    with pytest.raises(FileNotFoundError, match="series needs a folder and a name, as in series:"):
        Series().classes()
    with pytest.raises(ValueError, match="period must be a whole number, got 'x'"):
        Series.of("B,period=x")
    with pytest.raises(ValueError, match="period must be from 1 to 100000, got 0"):
        Series("B", 0)

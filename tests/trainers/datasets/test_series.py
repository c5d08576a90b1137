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
        (
            "1 2 x\n",
            "1 2 3",
            r"A_TRAIN\.tsv: series 1 has 'x', which is no number; remove what is no series, such as a",
        ),
        ("1 2 inf\n", "1 2 3", r"A_TRAIN\.tsv: series 1 holds values that are not numbers"),
        ("1,,\n2,1,2\n", "1 2 3", r"A_TRAIN\.tsv: series 1 holds no value"),
        (",1,2\n2,1,2\n", "1 2 3", r"A_TRAIN\.tsv: series 1 has no label"),
        (
            "1\t0,5\t0,7\n",
            "1 2 3",
            r"A_TRAIN\.tsv: series 1 has '0,5': decimal commas; write decimal points\. Expected",
        ),
        ("1;0,5;7\n", "1 2 3", "series 1 has '0,5': decimal commas; write decimal points"),
        ("1,5,2\n1,0,25,0,05\n", "1 2 3", "series 2 has '05': decimal commas; write decimal points"),
        (
            "1 0,5 0,7\n",
            "1 2 3",
            "series 1 has '5 0': decimal commas, or two separators; write decimal points, and use one",
        ),
        ('1,"0,5","0,7"\n', "1 2 3", "series 1 has '0,5': decimal commas; write decimal points"),
        ("1\t0.5 0.7\n", "1 2 3", "less than a label and two values, separated by tabs as in the whole file"),
        ("1\t0.5 0.7\t3\n", "1 2 3", "series 1 has '0.5 0.7', which is no number"),
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


def test_text_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "A_TRAIN.tsv").write_bytes("caf\u00e9 1 2".encode("latin-1"))
    with pytest.raises(ValueError, match=r"A_TRAIN\.tsv: it is no text in UTF-8 \(.+ at byte 3\); save it as UTF-8\."):
        Series(str(tmp_path / "A")).classes()


@pytest.mark.parametrize(
    "text",
    ["1,0,,4,,\n2,,4,0,0,0\n", "1\t0\t\t4\tNaN\t\n2\t?\t4\t0\t0\t0\n", "1 0 nan 4 NA ?\n2 null 4 0 0 0\n"],
)
def test_missing_values_are_interpolated_and_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "A_TRAIN.csv").write_text(text)
    samples = Series.of(f"{tmp_path / 'A'},period=5").load("train")
    assert samples.images[:, 0, 0].tolist() == [[0, 0.5, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert samples.notes == (f"{str(tmp_path / 'A_TRAIN.csv')!r}: interpolated 4 missing values of 2 of 2 series",)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffon,0,4\noff,4,0\n",
        "on, 0 ,4\noff,4, 0\n",
        "on;0;4\noff;4;0\n",
        "on\t0\t4\t\noff\t4\t0\t\n",
        '"on","0","4"\noff,4,0\n',
        "on,\t0,\t4\noff,4,0\n",
        " on  0 4\t\noff 4 0\n",
    ],
    ids=["BOM", "spaces", "semicolons", "tabs at the end", "quotes", "tabs beside commas", "blanks around"],
)
def test_a_file_has_one_separator(tmp_path: Path, text: str) -> None:
    (tmp_path / "A_TRAIN.csv").write_text(text, encoding="utf-8")
    dataset = Series(str(tmp_path / "A"))
    assert dataset.classes() == ("off", "on")
    assert dataset.load("train").images.ravel().tolist() == [0, 1, 1, 0]


def test_a_label_may_hold_spaces_and_accents_of_both_kinds(tmp_path: Path) -> None:
    (tmp_path / "A_TRAIN.tsv").write_text("caf\u00e9 noir\t0\t4\ntea\t4\t0\n", encoding="utf-8")
    (tmp_path / "A_TEST.tsv").write_text("cafe\u0301 noir\t0\t4\n", encoding="utf-8")
    assert Series(str(tmp_path / "A")).load("test").labels.tolist() == [0]

"""SVHN: labels and damage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from writers import random_images, write_svhn

from trainers.datasets.svhn import Svhn


def test_svhn_digits_are_upright_and_ten_is_zero(tmp_path: Path) -> None:
    test = Svhn(str(write_svhn(tmp_path))).load("test")
    assert test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    raw = random_images(32, 32, 3, 10, seed=1)  # row, column, channel, number
    assert test.images.shape == (10, 3, 32, 32)
    assert test.images[7, 2, 4, 30] == raw[4, 30, 2, 7]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[0], [9]]}, "its labels go from 0 to 9"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[1], [11]]}, "its labels go from 1 to 11"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[1]]}, r"uint8 of shape \(32, 32, 3, 2\) and 1 labels"),
        ({"X": np.zeros((2, 32, 32, 3), np.uint8), "y": [[1], [2]]}, r"uint8 of shape \(2, 32, 32, 3\) and 2 labels"),
        ({"X": np.zeros((32, 32, 3, 2)), "y": [[1], [2]]}, r"float64 of shape \(32, 32, 3, 2\)"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "'y'"),
    ],
    ids=["labels from 0", "label 11", "few labels", "other order", "float", "no labels"],
)
def test_another_array_in_an_svhn_file_is_told(tmp_path: Path, content: dict[str, Any], reason: str) -> None:
    file = write_svhn(tmp_path) / "svhn" / "train_32x32.mat"
    savemat(file, content)
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged \(.*{reason}.*\)\. Expected an official"):
        Svhn(str(tmp_path)).load("train")


@pytest.mark.parametrize("keep", [0, 10, 200, 5000])
def test_a_truncated_svhn_file_is_named(tmp_path: Path, keep: int) -> None:
    file = write_svhn(tmp_path) / "svhn" / "test_32x32.mat"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged"):
        Svhn(str(tmp_path)).load("test")

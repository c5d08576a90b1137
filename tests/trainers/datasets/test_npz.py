"""Numpy archives of one's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from writers import random_images, write_npz

from trainers import training_data
from trainers.datasets.npz import Npz


def save(folder: Path, **arrays: Any) -> Npz:
    np.savez(folder / "a.npz", **arrays)
    return Npz(str(folder / "a.npz"))


@pytest.mark.parametrize("names", [("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels")])
def test_npz_knows_the_names_that_people_use(tmp_path: Path, names: tuple[str, str]) -> None:
    images = random_images(4, 5, 6)
    samples = save(tmp_path, **dict(zip(names, (images, [0, 1, 2, 0]), strict=True))).load("train")
    assert np.array_equal(samples.images[:, 0], images)
    assert samples.labels.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("shape", "channels_first"),
    [
        ((4, 5, 6), (4, 1, 5, 6)),
        ((4, 5, 6, 3), (4, 3, 5, 6)),
        ((4, 3, 5, 6), (4, 3, 5, 6)),
        ((4, 1, 5, 4), (4, 1, 5, 4)),
    ],
    ids=str,
)
def test_npz_images_come_channels_first(
    tmp_path: Path, shape: tuple[int, ...], channels_first: tuple[int, ...]
) -> None:
    images = random_images(*shape)
    loaded = save(tmp_path, images=images, labels=[0, 1, 0, 1]).load("train").images
    assert loaded.shape == channels_first
    assert np.array_equal(loaded, np.moveaxis(images, -1, 1) if shape[-1] == 3 else images.reshape(channels_first))


def test_npz_takes_floats_from_zero_to_one(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((4, 5, 6))
    samples = save(tmp_path, images=images, labels=[0, 1, 0, 1]).load("train")
    assert (samples.images.dtype, samples.levels) == (np.float32, 1)
    np.testing.assert_allclose(samples.images[:, 0], images, rtol=1e-6)


def test_npz_takes_labels_as_a_column(tmp_path: Path) -> None:
    labels = np.array([[0], [1], [2], [1]], np.uint8)  # Keras's CIFAR-10, MedMNIST
    assert save(tmp_path, images=random_images(4, 5, 6), labels=labels).load("train").labels.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("names", [("x_val", "y_val"), ("val_images", "val_labels")])
def test_npz_has_the_validation_split_of_its_file(tmp_path: Path, names: tuple[str, str]) -> None:
    x, y = random_images(12, 4, 4), np.arange(12) % 3
    file = save(tmp_path, x_train=x[:6], y_train=y[:6], **{names[0]: x[6:], names[1]: y[6:]})
    assert file.own_validation
    data = training_data(file, limit=None, validation=0.5, seed=0)
    assert np.array_equal(data.train.images, x[:6, None])
    assert np.array_equal(data.validation.images, x[6:, None])
    assert not save(tmp_path, x_train=x, y_train=y).own_validation


def test_npz_with_other_sizes_for_validation_is_told(tmp_path: Path) -> None:
    y = np.arange(6) % 3
    file = save(tmp_path, x_train=random_images(6, 4, 4), y_train=y, x_val=random_images(6, 5, 4), y_val=y)
    with pytest.raises(ValueError, match=r"training images are \(1, 4, 4\), validation images \(1, 5, 4\)"):
        training_data(file, limit=None, validation=0.5, seed=0)


def test_npz_names_classes_by_their_number(tmp_path: Path) -> None:
    assert save(tmp_path, images=random_images(3, 5, 6), labels=[0, 3, 1]).classes() == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": [0], "classes": [0]}, r"a\.npz holds classes, pictures\. Expected a \.npz file with x_train and"),
        ({}, r"a\.npz holds nothing\. Expected"),
        ({"x_train": random_images(2, 4, 4)}, r"a\.npz holds x_train\. Expected"),
        (
            {"images": random_images(4, 5), "labels": [0, 1, 0, 1]},
            r"a\.npz: it holds images of shape \(4, 5\) and 4 labels\. Expected uint8 images, or float images",
        ),
        ({"images": random_images(4, 5, 5), "labels": [0, 1]}, r"images of shape \(4, 1, 5, 5\) and 2 labels"),
        ({"images": np.full((2, 4, 4), 1.5), "labels": [0, 1]}, r"its images are float64 from 1\.5 to 1\.5"),
        ({"images": np.full((2, 4, 4), np.nan), "labels": [0, 1]}, "32 of the 32 values are no finite numbers"),
        (
            {"images": np.full((2, 4, 4), -1, np.int32), "labels": [0, 1]},
            r"a\.npz: its images are int32 from -1 to -1, but pixels are not below 0; write them as .* or add 1\.",
        ),
        (
            {"images": random_images(2, 4, 4), "labels": [0.0, 1.0]},
            r"labels must be class numbers from 0, \(N,\), got float64 \(2,\)",
        ),
        ({"images": random_images(2, 4, 4), "labels": [-1, 1]}, r"labels must be class numbers from 0"),
        (
            {"images": random_images(3, 4, 4), "labels": [3, 1, 2]},
            r"no training image has label 0, but labels go to 3\. Number the classes from 0\.",
        ),
        ({"images": random_images(3, 4, 4), "labels": [0, 1, 10**9]}, "no training image has label 2, but labels"),
        (
            {"images": random_images(4, 5, 6, 2), "labels": [0, 1, 0, 1]},
            r"its images of shape \(4, 5, 6, 2\) have neither 1, 3 nor 4 channels, first or last",
        ),
        ({"images": random_images(4, 5, 8, 8), "labels": [0, 1, 0, 1]}, r"shape \(4, 5, 8, 8\) have neither 1, 3"),
        ({"images": random_images(2, 4, 4), "labels": np.eye(2, dtype=int)}, r"labels must be .* got int64 \(2, 2\)"),
        ({"images": random_images(2, 4, 4), "labels": np.array([{}, {}])}, r"a\.npz: labels holds Python objects"),
        ({"images": random_images(0, 4, 4), "labels": np.zeros(0, int)}, r"labels must be .* got int64 \(0,\)"),
    ],
    ids=[
        "other names", "nothing", "no labels", "flat", "few labels", "too bright", "nan", "integers", "float labels",
        "negative labels", "labels from 1", "far label", "two channels", "five channels", "one-hot labels",
        "object labels", "empty",
    ],
)  # fmt: skip
def test_a_wrong_npz_is_told(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        save(tmp_path, **arrays).load("train")


def test_an_npz_without_a_test_split_says_so(tmp_path: Path) -> None:
    only_train = save(tmp_path, images=random_images(2, 4, 4), labels=[0, 1])
    with pytest.raises(ValueError, match=r"a\.npz has no test split: it holds images, labels, not x_test and y_test\."):
        only_train.load("test")


def test_an_npz_that_is_cut_off_is_named(tmp_path: Path) -> None:
    file = write_npz(tmp_path)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged"):
        Npz(str(file)).load("train")


def test_a_missing_npz_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'no.npz'} does not exist\. Expected a \.npz file with"):
        Npz(str(tmp_path / "no.npz")).load("train")


def test_npz_needs_a_file() -> None:
    assert Npz().found() is None
    with pytest.raises(FileNotFoundError, match=r"npz needs a file, as in npz:mydata\.npz\."):
        Npz().load("train")


def test_an_npy_file_is_no_npz_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"a\.npy: it holds a single array\. Expected a \.npz"):
        Npz(str(tmp_path / "a.npy")).load("train")


def test_an_encrypted_or_strange_zip_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8), labels=[0, 1, 0, 1])
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flag "encrypted" of the last member
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz is truncated or damaged"):
        Npz(str(tmp_path / "a.npz")).load("train")


def test_test_labels_beyond_the_classes_are_told(tmp_path: Path) -> None:
    images = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=[0, 1, 0, 1], x_test=images, y_test=[0, 1, 2, 7])
    with pytest.raises(ValueError, match="labels"):
        Npz(str(tmp_path / "a.npz")).load("test")


# Other numbers than pixels of 8 bits


BYTES = random_images(20, 6, 6)
BYTES[0, 0, 0] = 250


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int16, np.float32, np.float64, np.float16])
def test_8_bits_in_another_type_are_the_same_images(tmp_path: Path, dtype: type) -> None:
    expected = save(tmp_path, images=BYTES, labels=[0, 1] * 10).load("train")
    samples = save(tmp_path, images=BYTES.astype(dtype), labels=[0, 1] * 10).load("train")
    assert np.array_equal(samples.tensors()[0], expected.tensors()[0])
    where = f"{str(tmp_path / 'a.npz')!r}, train split"
    assert samples.notes == (f"{where}: of {np.dtype(dtype)} pixels 0 is black and 255 white, for all splits",)
    assert expected.notes == ()
    assert samples.decided == {}


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32])
def test_the_training_images_decide_what_is_white(tmp_path: Path, dtype: type) -> None:
    train, test = np.array([[100, 4100]], dtype), np.array([[2100, 9000]], dtype)
    arrays = {"x_train": train.reshape(2, 1, 1), "x_test": test.reshape(2, 1, 1), "y_train": [0, 1], "y_test": [0, 1]}
    file = save(tmp_path, **arrays)
    assert file.load("train").images.ravel().tolist() == [0, 1]
    assert file.load("test").images.ravel().tolist() == [0.5, 1]
    assert file.load("train").decided == {"span": "100..4100"}
    assert Npz(file.location, span="0..8200").load("train").images.max() == 0.5


def test_dark_test_images_stay_dark(tmp_path: Path) -> None:
    bright, dark = BYTES.astype(np.float32), np.full((2, 6, 6), 1.0, np.float32)
    file = save(tmp_path, x_train=bright, y_train=[0, 1] * 10, x_test=dark, y_test=[0, 1])
    assert file.load("test").images.max() == np.float32(1 / 255)
    file = save(tmp_path, x_train=bright, y_train=[0, 1] * 10, x_test=1.5 * dark, y_test=[0, 1])
    assert file.load("test").images.max() == np.float32(1.5 / 255)


def test_the_types_of_the_splits_must_tell_their_scale(tmp_path: Path) -> None:
    arrays = {"y_train": [0, 1] * 10, "x_test": BYTES, "y_test": [0, 1] * 10}
    assert save(tmp_path, x_train=(BYTES / 255), **arrays).load("test").levels == 255
    with pytest.raises(
        ValueError, match=r"its test images are uint8 from 0 to 2\d\d, its training images uint16; their"
    ):
        save(tmp_path, x_train=BYTES.astype(np.uint16) * 100, **arrays).load("test")


def test_test_images_beyond_white_are_refused(tmp_path: Path) -> None:
    images = BYTES / np.float32(255)
    file = save(tmp_path, x_train=images, y_train=[0, 1] * 10, x_test=images * 3, y_test=[0, 1] * 10)
    with pytest.raises(ValueError, match=r"its test images go to \d\.?\d*, but in its training images 1 is white"):
        file.load("test")


def test_a_rounding_above_one_is_no_other_scale(tmp_path: Path) -> None:
    images = (BYTES / 255).astype(np.float32)
    images[0, 0, 0] = 1 + 1e-6
    assert save(tmp_path, images=images, labels=[0, 1] * 10).load("train").images.max() == 1


def test_images_that_are_nearly_black_are_told(tmp_path: Path) -> None:
    dark = save(tmp_path, images=BYTES // 128, labels=[0, 1] * 10)
    (note,) = dark.load("train").notes
    assert note.endswith("pixels go to 1 of 255, nearly black; span=0..1 makes that white")
    assert Npz(dark.location, span="0..1").load("train").images.max() == 1
    assert save(tmp_path, images=BYTES > 127, labels=[0, 1] * 10).load("train").images.max() == 1


@pytest.mark.parametrize("span", ["4095", "5..5", "-1..4", "0..inf", "9..1", "a..b", ""])
def test_a_span_that_is_none_is_told(span: str) -> None:
    with pytest.raises(
        ValueError, match=r"span must be two values LOW\.\.HIGH, black and white, as in span=0\.\.4095, got"
    ):
        Npz("a.npz", span=span)

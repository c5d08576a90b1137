"""Fashion-MNIST, MNIST, Kuzushiji-MNIST: layouts, the real files, damage."""

import io
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
from writers import write_idx, write_mnist, write_xz

from nas.testing.datasets import read
from trainers import DATASETS
from trainers.datasets.fashion_mnist import FashionMnist
from trainers.datasets.kmnist import Kmnist
from trainers.datasets.mnist import Mnist
from trainers.samples import Split

BOTH: tuple[Split, Split] = ("train", "test")


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [("mnist", 60_000, 10_000), ("kmnist", 60_000, 10_000), ("cifar100", 50_000, 10_000), ("svhn", 73_257, 26_032)],
)
def test_the_real_files_are_complete(name: str, train: int, test: int, nas_data: Path) -> None:
    place = DATASETS[name](str(nas_data))
    if place.found() is None:
        pytest.skip(f"the files of {name} are not in the data folder")
    assert [len(place.load(split)) for split in BOTH] == [train, test]


@pytest.mark.parametrize("name", ["mnist", "kmnist", "svhn", "fashion_mnist"])
def test_clothes_are_mirrored_and_characters_are_not(name: str) -> None:
    assert DATASETS[name].flip is (name == "fashion_mnist")


@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist"])
def test_each_of_the_idx_sets_has_folders_of_its_own(folder: str, tmp_path: Path) -> None:
    write_mnist(tmp_path / folder)
    assert Mnist(str(tmp_path)).found() == str(tmp_path / folder)
    assert Kmnist(str(tmp_path)).found() is None
    with pytest.raises(FileNotFoundError, match=r"kmnist was not found .* Expected kmnist/labels\.npz or KMNIST/raw"):
        Kmnist(str(tmp_path)).load("train")


def test_idx_files_right_in_the_data_folder_belong_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(write_mnist(tmp_path / "raw")))
    assert Mnist().found() is None
    assert Mnist(str(tmp_path / "raw")).found() == str(tmp_path / "raw")


def test_fashion_mnist_is_the_original(nas_data: Path) -> None:
    train = read(FashionMnist(str(nas_data)), "train")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert round(float(train.images.mean()) / 255, 4) == 0.2860
    assert round(float(train.images.std(dtype=np.float32)) / 255, 3) == 0.353


def test_fashion_mnist_test_labels_are_those_of_the_file(nas_data: Path) -> None:
    test = read(FashionMnist(str(nas_data)), "test")
    assert test.labels[:5].tolist() == [9, 2, 1, 1, 6]
    with np.load(nas_data / "fashion_mnist" / "labels.npz") as labels:
        assert np.array_equal(test.labels, labels["test_labels"])


@pytest.mark.parametrize("zipped", [True, False], ids=["gz", "plain"])
@pytest.mark.parametrize("layout", ["fashion_mnist", "FashionMNIST/raw", ""])
def test_official_idx_files_are_read_in_every_layout(tmp_path: Path, layout: str, zipped: bool) -> None:
    write_idx(tmp_path / layout, "train", zipped=zipped)
    write_idx(tmp_path / layout, "t10k", zipped=zipped, images=3, labels=3)
    train, test = (FashionMnist(str(tmp_path)).load(split) for split in BOTH)
    assert train.images.shape == (5, 1, 28, 28)
    assert (train.images == np.arange(5)[:, None, None, None]).all()
    assert train.labels.tolist() == [0, 1, 2, 3, 4]
    assert test.labels.tolist() == [0, 1, 2]


def test_a_truncated_gz_is_named(tmp_path: Path) -> None:
    file, _ = write_idx(tmp_path, "train")
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(
        ValueError, match=rf"{file} is truncated or damaged \(.+\)\. Expected an idx file .* 3 dimensions"
    ):
        FashionMnist(str(tmp_path)).load("train")


def test_a_truncated_idx_is_named(tmp_path: Path) -> None:
    file, _ = write_idx(tmp_path, "train", zipped=False)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged \(it holds 3919 bytes for 5x28x28\)"):
        FashionMnist(str(tmp_path)).load("train")


def test_an_idx_without_its_head_is_named(tmp_path: Path) -> None:
    file, _ = write_idx(tmp_path, "train", zipped=False)
    file.write_bytes(b"\0\0")
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged"):
        FashionMnist(str(tmp_path)).load("train")


def test_labels_in_the_place_of_images_have_the_wrong_magic_number(tmp_path: Path) -> None:
    images, labels = write_idx(tmp_path, "train", labels=20)
    shutil.copy(labels, images)
    with pytest.raises(ValueError, match=rf"{images} is truncated or damaged \(its magic number is 2049, not 2051\)"):
        FashionMnist(str(tmp_path)).load("train")


def test_images_without_labels_are_told(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", images=5, labels=4)
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte.gz .* Expected 5 labels from 0 to 9"):
        FashionMnist(str(tmp_path)).load("train")


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    _, labels = write_idx(tmp_path, "train")
    labels.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{labels} does not exist\. Expected an idx file"):
        FashionMnist(str(tmp_path)).load("train")
    with pytest.raises(FileNotFoundError, match=r"t10k-images-idx3-ubyte.gz does not exist"):
        FashionMnist(str(tmp_path)).load("test")


@pytest.fixture
def fashion_arrays(tmp_path: Path) -> Path:
    """The layout of .npy.xz files; the images of the test split are black."""
    folder = tmp_path / "fashion_mnist"
    write_xz(folder / "test.npy.xz", np.zeros((10_000, 28, 28), np.uint8))
    np.savez(folder / "labels.npz", train_labels=np.arange(60_000) % 10, test_labels=np.arange(10_000) % 10)
    return folder


def test_a_truncated_xz_is_named(fashion_arrays: Path) -> None:
    file = fashion_arrays / "test.npy.xz"
    assert len(FashionMnist(str(fashion_arrays)).load("test")) == 10_000
    file.write_bytes(file.read_bytes()[:-200])
    expected = r"Expected a uint8 array of shape \(10000, 28, 28\) in a \.npy\.xz file\. Get it again\."
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged \(.+\)\. {expected}"):
        FashionMnist(str(fashion_arrays)).load("test")


def test_a_changed_byte_in_an_xz_is_noticed(fashion_arrays: Path) -> None:
    file = fashion_arrays / "test.npy.xz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x55
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged"):
        FashionMnist(str(fashion_arrays)).load("test")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((9, 28, 28), np.uint8), r"it holds uint8 of shape \(9, 28, 28\)"),
        (np.zeros((10_000, 28, 28), np.int8), r"it holds int8 of shape \(10000, 28, 28\)"),
        (np.array([{}]), "allow_pickle"),
    ],
    ids=["few images", "other type", "objects"],
)
def test_another_array_in_an_xz_is_told(fashion_arrays: Path, array: np.ndarray, reason: str) -> None:
    write_xz(fashion_arrays / "test.npy.xz", array)
    with pytest.raises(ValueError, match=rf"test\.npy\.xz is truncated or damaged \(.*{reason}"):
        FashionMnist(str(fashion_arrays)).load("test")


def test_a_missing_xz_is_named(fashion_arrays: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"{fashion_arrays / 'train.npy.xz'} does not exist\. Expected a uint8"
    ):
        FashionMnist(str(fashion_arrays)).load("train")


def test_labels_without_the_split_are_told(fashion_arrays: Path) -> None:
    file = fashion_arrays / "labels.npz"
    np.savez(file, train_labels=np.zeros(60_000, np.int64))
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged \(.*test_labels.*with test_labels"):
        FashionMnist(str(fashion_arrays)).load("test")


def test_labels_that_are_no_archive_are_told(fashion_arrays: Path) -> None:
    file = fashion_arrays / "labels.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged"):
        FashionMnist(str(fashion_arrays)).load("test")


def test_too_few_labels_in_an_archive_are_told(tmp_path: Path) -> None:

    buffer = io.BytesIO()
    np.save(buffer, np.zeros((10_000, 28, 28), np.uint8))
    (tmp_path / "test.npy.xz").write_bytes(lzma.compress(buffer.getvalue(), preset=0))
    np.savez(tmp_path / "labels.npz", test_labels=np.arange(50) % 10)
    with pytest.raises(ValueError, match=r"labels\.npz"):
        FashionMnist(str(tmp_path)).load("test")

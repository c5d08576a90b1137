"""The contract of data sets, held by every registered one; then layouts, the real files, and damage."""

import functools
import gzip
import io
import lzma
import os
import pickle
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from trainers import DATASETS, Dataset, Samples, training_data
from trainers.data import Split, dataset
from trainers.datasets.audiofolder import AudioFolder
from trainers.datasets.cifar10 import Cifar10
from trainers.datasets.cifar100 import Cifar100
from trainers.datasets.digits import Digits
from trainers.datasets.fashion_mnist import FashionMnist
from trainers.datasets.folder import Folder
from trainers.datasets.fsdd import Fsdd
from trainers.datasets.kmnist import Kmnist
from trainers.datasets.mnist import Mnist
from trainers.datasets.npz import Npz
from trainers.datasets.ravdess import Ravdess
from trainers.datasets.series import Series
from trainers.datasets.spectrograms import Spectrograms
from trainers.datasets.speech_commands import SpeechCommands
from trainers.datasets.svhn import Svhn
from trainers.datasets.urbansound8k import UrbanSound8K

BOTH: tuple[Split, Split] = ("train", "test")
LIMIT = 10_000
"""One file of CIFAR-10; opening all five takes seconds."""


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_npz(folder: Path) -> Path:
    file = folder / "mine.npz"
    labels = np.arange(30) % 3
    np.savez(
        file,
        x_train=random_images(30, 6, 5, 3),
        y_train=labels,
        x_test=random_images(12, 6, 5, 3, seed=1),
        y_test=labels[:12],
    )
    return file


def write_series(folder: Path, columns: int = 16, separator: str = "\t") -> Path:
    """Sines and cosines with labels 1 and -1, as the UCR archive writes them."""
    t, generator = np.arange(columns), np.random.default_rng(0)
    for split, number in (("TRAIN", 20), ("TEST", 10)):
        lines = []
        for index in range(number):
            wave = (np.sin, np.cos)[index % 2](t) + 0.1 * generator.standard_normal(columns)
            lines.append(separator.join([("1", "-1")[index % 2], *map(str, wave)]))
        (folder / f"Waves_{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder / "Waves"


def write_picture(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def write_folder(folder: Path) -> Path:
    for seed, (split, number) in enumerate({"train": 5, "test": 2}.items()):
        for offset, name in enumerate(("cat", "dog")):
            for i, pixels in enumerate(random_images(number, 6, 5, 3, seed=2 * seed + offset)):
                write_picture(folder / split / name / f"{i}.png", pixels)
    return folder


def write_mnist(folder: Path) -> Path:
    """Two random images of each class, and one in the test split, in the official files."""
    folder.mkdir(parents=True)
    for seed, (prefix, number) in enumerate({"train": 20, "t10k": 10}.items()):
        images, labels = random_images(number, 28, 28, seed=seed), np.arange(number, dtype=np.uint8) % 10
        for name, array in {"images-idx3": images, "labels-idx1": labels}.items():
            head = struct.pack(f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape)
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder


def write_cifar100(folder: Path) -> Path:
    """Two random images of each fine class, and one in the test split, in the official pickles."""
    (folder / "cifar-100-python").mkdir(parents=True)
    names = {b"fine_label_names": [b"fine %d" % k for k in range(100)], b"coarse_label_names": [b"coarse"] * 20}
    (folder / "cifar-100-python" / "meta").write_bytes(pickle.dumps(names, protocol=2))
    for seed, (split, number) in enumerate({"train": 200, "test": 100}.items()):
        content = {
            b"batch_label": b"training batch 1 of 1",
            b"fine_labels": [k % 100 for k in range(number)],
            b"coarse_labels": [k % 20 for k in range(number)],
            b"data": random_images(number, 3072, seed=seed),
            b"filenames": [b"%d.png" % k for k in range(number)],
        }
        (folder / "cifar-100-python" / split).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def write_svhn(folder: Path) -> Path:
    """Two random images of each digit, and one in the test split; labels from 1 to 10 in the order of the images."""
    (folder / "svhn").mkdir(parents=True)
    for seed, (split, number) in enumerate({"train": 20, "test": 10}.items()):
        labels = np.arange(number, dtype=np.uint8)[:, None] % 10 + 1
        savemat(
            folder / "svhn" / f"{split}_32x32.mat",
            {"X": random_images(32, 32, 3, number, seed=seed), "y": labels},
            do_compression=True,
        )
    return folder


def small_sounds(request: pytest.FixtureRequest, name: str) -> str:
    return str(request.getfixturevalue("sounds")(name))


EXAMPLES: dict[str, Callable[[pytest.FixtureRequest, Path], Dataset]] = {
    "digits": lambda request, folder: Digits(),
    "spectrograms": lambda request, folder: Spectrograms(),
    "cifar10": lambda request, folder: Cifar10(str(request.getfixturevalue("nas_data"))),
    "fashion_mnist": lambda request, folder: FashionMnist(str(request.getfixturevalue("nas_data"))),
    "mnist": lambda request, folder: Mnist(str(write_mnist(folder / "MNIST" / "raw"))),
    "kmnist": lambda request, folder: Kmnist(str(write_mnist(folder / "KMNIST" / "raw"))),
    "cifar100": lambda request, folder: Cifar100(str(write_cifar100(folder))),
    "svhn": lambda request, folder: Svhn(str(write_svhn(folder))),
    "npz": lambda request, folder: Npz(str(write_npz(folder))),
    "folder": lambda request, folder: Folder(str(write_folder(folder))),
    "series": lambda request, folder: Series(str(write_series(folder))),
    "audiofolder": lambda request, folder: AudioFolder(small_sounds(request, "audiofolder")),
    "fsdd": lambda request, folder: Fsdd(small_sounds(request, "fsdd")),
    "ravdess": lambda request, folder: Ravdess(small_sounds(request, "ravdess")),
    "speech_commands": lambda request, folder: SpeechCommands(small_sounds(request, "speech_commands")),
    "urbansound8k": lambda request, folder: UrbanSound8K(small_sounds(request, "urbansound8k")),
}
"""For every registered data set, one that is on this machine; the real ones are skipped where NAS_DATA is not."""


@dataclass(frozen=True)
class Loaded:
    """A data set with both splits."""

    dataset: Dataset
    train: Samples
    test: Samples


Read = Callable[[Dataset, Split], Samples]


@pytest.fixture(scope="module")
def read() -> Read:
    """Reads a split at most once, because the real files take seconds."""
    return functools.cache(lambda dataset, split: dataset.load(split, LIMIT))


@pytest.fixture(params=DATASETS)
def loaded(request: pytest.FixtureRequest, tmp_path: Path, read: Read) -> Loaded:
    name = request.param
    if name not in EXAMPLES:
        pytest.fail(f"data set {name!r} is registered but has no example here. Add one to EXAMPLES.")
    example = EXAMPLES[name](request, tmp_path)
    return Loaded(example, read(example, "train"), read(example, "test"))


def both(loaded: Loaded) -> tuple[Samples, Samples]:
    return loaded.train, loaded.test


def test_images_are_batches_of_planes_of_pixels(loaded: Loaded) -> None:
    for samples in both(loaded):
        assert samples.images.ndim == 4
        assert samples.images.shape[1] in (1, 3)
        assert samples.images.dtype == (np.float32 if samples.levels == 1 else np.uint8)
        assert samples.images.min() >= 0
        assert samples.levels / 2 < samples.images.max() <= samples.levels


def test_labels_are_numbers_of_classes_and_every_class_is_there(loaded: Loaded) -> None:
    for samples in both(loaded):
        assert samples.labels.dtype == np.int64
        assert samples.labels.shape == (len(samples),) == samples.images.shape[:1]
        assert set(samples.labels.tolist()) == set(range(len(loaded.dataset.classes())))


def test_classes_have_names_of_their_own(loaded: Loaded) -> None:
    names = loaded.dataset.classes()
    assert len(set(names)) == len(names) >= 2
    assert all(names)


def test_the_test_split_has_the_shape_of_the_training_split_and_other_images(loaded: Loaded) -> None:
    train, test = both(loaded)
    assert train.images.shape[1:] == test.images.shape[1:]
    assert train.levels == test.levels
    known = {image.tobytes() for image in train.images}
    shared = sum(image.tobytes() in known for image in test.images)
    assert shared <= len(test) / 1000


def test_a_limit_gives_at_least_so_many_images_in_the_same_order(loaded: Loaded) -> None:
    few = loaded.dataset.load("test", 3)
    assert len(few) >= 3
    assert np.array_equal(few.images, loaded.test.images[: len(few)])
    assert np.array_equal(few.labels, loaded.test.labels[: len(few)])


def test_it_says_where_it_was_found(loaded: Loaded) -> None:
    assert loaded.dataset.found()


def test_what_suits_the_data_is_declared(loaded: Loaded) -> None:
    height, width = loaded.train.images.shape[2:]
    assert 0 <= loaded.dataset.shift < min(height, width)
    assert 0 < Fraction(loaded.dataset.epsilon) < 1
    assert isinstance(loaded.dataset.flip, bool)
    assert loaded.dataset.origin


def test_tensors_are_pixels_from_zero_to_one(loaded: Loaded) -> None:
    images, labels = loaded.test[np.arange(4)].tensors()
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(images.numpy(), loaded.test.images[:4] / np.float32(loaded.test.levels), rtol=1e-6)
    assert labels.tolist() == loaded.test.labels[:4].tolist()


@pytest.mark.parametrize("kind", [kind for kind in DATASETS.values() if kind is not Digits])
def test_a_place_where_nothing_is_has_a_clear_answer(kind: type[Dataset], tmp_path: Path) -> None:
    absent = kind(str(tmp_path / "nothing"))
    assert absent.found() is None
    with pytest.raises(FileNotFoundError, match=r"Expected .+"):
        absent.load("train")


def test_registering_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"data set 'digits' is already registered by .*Digits"):
        dataset("digits")(Digits)
    assert DATASETS["digits"] is Digits


# Digits


def test_digits_are_all_there() -> None:
    train, test = Digits().load("train"), Digits().load("test")
    assert (len(train), len(test), train.levels) == (1437, 360, 16)
    assert train.images.shape[1:] == (1, 8, 8)
    assert np.bincount(test.labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]


# CIFAR-10


def official_batch(number: int, labels: list[int]) -> dict[bytes, Any]:
    """As in cifar-10-batches-py, but small: rows of 1,024 red, 1,024 green and 1,024 blue pixels."""
    return {
        b"batch_label": b"testing",
        b"labels": labels,
        b"data": random_images(len(labels), 3072, seed=number),
        b"filenames": [b"%d.png" % i for i in range(len(labels))],
    }


def write_pickles(folder: Path, *, protocol: int = 2) -> Path:
    (folder / "cifar-10-batches-py").mkdir()
    for number, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        batch = official_batch(number, [number, 9, 0])
        (folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    return folder


def test_cifar10_is_the_original(nas_data: Path, read: Read) -> None:
    train = read(Cifar10(str(nas_data)), "train")
    assert train.images.shape == (10_000, 3, 32, 32)
    names = [Cifar10().classes()[k] for k in train.labels[:5]]
    assert names == ["frog", "truck", "truck", "deer", "automobile"]
    means = (train.images / np.float32(255)).mean((0, 2, 3))
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=0.005)  # one shard of five
    assert train.images[0, :, 0, 0].tolist() == [59, 62, 63]
    assert train.images[0, :, 0, 1].tolist() == [43, 46, 45]


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_the_test_splits_hold_a_thousand_images_of_every_class(name: str, nas_data: Path, read: Read) -> None:
    samples = read(DATASETS[name](str(nas_data)), "test")
    assert np.bincount(samples.labels).tolist() == [1000] * 10


def test_cifar10_labels_are_those_of_the_file(nas_data: Path, read: Read) -> None:
    train, test = (read(Cifar10(str(nas_data)), split) for split in BOTH)
    assert test.labels[:5].tolist() == [3, 8, 8, 0, 6]
    with np.load(nas_data / "cifar10" / "labels.npz") as labels:
        assert np.array_equal(train.labels, labels["train_labels"][:10_000])
        assert np.array_equal(test.labels, labels["test_labels"])


@pytest.mark.parametrize("protocol", [2, 4])
def test_official_cifar10_pickles_are_read(tmp_path: Path, protocol: int) -> None:
    write_pickles(tmp_path, protocol=protocol)
    train, test = (Cifar10(str(tmp_path)).load(split) for split in BOTH)
    assert train.labels.tolist() == [0, 9, 0, 1, 9, 0, 2, 9, 0, 3, 9, 0, 4, 9, 0]
    assert test.labels.tolist() == [5, 9, 0]
    raw = official_batch(5, [5, 9, 0])[b"data"]
    assert test.images.shape == (3, 3, 32, 32)
    assert test.images[1, 2, 4, 7] == raw[1, 2 * 1024 + 4 * 32 + 7]


def test_official_cifar10_pickles_are_found_in_the_folder_itself_too(tmp_path: Path) -> None:
    folder = write_pickles(tmp_path) / "cifar-10-batches-py"
    assert Cifar10(str(folder)).found() == str(folder)
    assert len(Cifar10(str(folder)).load("test")) == 3


def test_a_limit_opens_no_more_shards_than_needed(tmp_path: Path) -> None:
    write_pickles(tmp_path)
    for k in (2, 3, 4, 5):
        (tmp_path / "cifar-10-batches-py" / f"data_batch_{k}").unlink()
    assert len(Cifar10(str(tmp_path)).load("train", 10_000)) == 3
    with pytest.raises(FileNotFoundError, match=r"data_batch_2 does not exist\. Expected an official CIFAR-10 batch"):
        Cifar10(str(tmp_path)).load("train", 10_001)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, rf"{os.name}\.system"), (eval, r"(builtins|__builtin__)\.eval"), (open, r"_?io\.open")],
)
def test_a_pickle_that_asks_for_code_is_refused_and_nothing_is_run(
    tmp_path: Path, function: Callable[..., Any], name: str
) -> None:
    marker = tmp_path / "was_here"
    arguments = {
        os.system: (f"touch {marker}",),
        eval: (f"__import__('pathlib').Path({str(marker)!r}).touch()",),
        open: (str(marker), "w"),
    }
    write_pickles(tmp_path)
    batch = {**official_batch(0, [0]), b"extra": Call(function, *arguments[function])}
    file = tmp_path / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged \(it asks for {name}, which no image"):
        Cifar10(str(tmp_path)).load("test")
    assert not marker.exists()
    pickle.loads(file.read_bytes())  # the very bytes do what they say elsewhere
    assert marker.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(official_batch(0, [1, 2]))[:-900], "truncated|ran out|EOF"),
        (b"", "Ran out of input"),
        (b"<html>not found</html>", "invalid load key"),
        (pickle.dumps([1, 2]), "it holds a list"),
        (pickle.dumps({b"labels": [1]}), "b'data'"),
        (pickle.dumps({**official_batch(0, [1, 2]), b"labels": [1]}), r"uint8 of shape \(2, 3072\) and 1 labels"),
        (pickle.dumps({**official_batch(0, [1, 2]), b"labels": [1, 10]}), r"uint8 of shape \(2, 3072\) and 2 labels"),
        (pickle.dumps({b"data": [[0] * 3072], b"labels": [1]}), r"int64 of shape \(1, 3072\)"),
    ],
    ids=["truncated", "empty", "web page", "list", "no data", "few labels", "label 10", "not bytes"],
)
def test_a_damaged_cifar10_pickle_is_named_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    write_pickles(tmp_path)
    file = tmp_path / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged \(.*({reason}).*Expected an official"):
        Cifar10(str(tmp_path)).load("test")


def write_xz(file: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lzma.compress(buffer.getvalue(), preset=0))


def test_cifar10_arrays_come_channels_first(tmp_path: Path) -> None:
    images = np.zeros((10_000, 32, 32, 3), np.uint8)
    images[7, 1, 2, 0] = 200  # row 1, column 2, red
    write_xz(tmp_path / "cifar10" / "test.npy.xz", images)
    np.savez(tmp_path / "cifar10" / "labels.npz", test_labels=np.arange(10_000) % 10)
    samples = Cifar10(str(tmp_path)).load("test")
    assert np.argwhere(samples.images).tolist() == [[7, 0, 1, 2]]
    assert samples.labels[7] == 7


# CIFAR-100


def test_cifar100_has_fine_labels_and_their_names(tmp_path: Path) -> None:
    place = Cifar100(str(write_cifar100(tmp_path)))
    train = place.load("train")
    assert train.images.shape == (200, 3, 32, 32)
    assert train.labels[98:102].tolist() == [98, 99, 0, 1]
    assert place.classes()[99] == "fine 99"
    assert train.images[1, 2, 4, 7] == random_images(200, 3072)[1, 2 * 1024 + 4 * 32 + 7]
    assert Cifar100(str(tmp_path / "cifar-100-python")).found() == place.found()


def test_a_cifar100_pickle_with_other_labels_is_named(tmp_path: Path) -> None:
    file = write_cifar100(tmp_path) / "cifar-100-python" / "test"
    file.write_bytes(pickle.dumps({b"data": random_images(2, 3072), b"fine_labels": [0, 100]}))
    with pytest.raises(ValueError, match=rf"{file} is truncated .*Expected an official CIFAR-100 batch.*from 0 to 99"):
        Cifar100(str(tmp_path)).load("test")


def test_a_cifar100_without_its_names_is_told(tmp_path: Path) -> None:
    file = write_cifar100(tmp_path) / "cifar-100-python" / "meta"
    file.write_bytes(pickle.dumps({b"fine_label_names": [b"apple"] * 100}))
    with pytest.raises(ValueError, match=rf"{file} is truncated or damaged \(it holds 1 names\).* a list of 100 names"):
        Cifar100(str(tmp_path)).classes()


# SVHN


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


# Fashion-MNIST, MNIST, Kuzushiji-MNIST


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


def write_idx(
    folder: Path, split: Literal["train", "t10k"], *, zipped: bool = True, images: int = 5, labels: int = 5
) -> tuple[Path, Path]:
    """Official files, but small: image i is full of the number i, its label is i."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(images, dtype=np.uint8).repeat(28 * 28)
    contents = {
        "images-idx3": struct.pack(">IIII", 2051, images, 28, 28) + pixels.tobytes(),
        "labels-idx1": struct.pack(">II", 2049, labels) + bytes(range(labels)),
    }
    files = []
    for name, content in contents.items():
        files.append(folder / f"{split}-{name}-ubyte{'.gz' if zipped else ''}")
        files[-1].write_bytes(gzip.compress(content) if zipped else content)
    return files[0], files[1]


def test_fashion_mnist_is_the_original(nas_data: Path, read: Read) -> None:
    train = read(FashionMnist(str(nas_data)), "train")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert round(float(train.images.mean()) / 255, 4) == 0.2860
    assert round(float(train.images.std(dtype=np.float32)) / 255, 3) == 0.353


def test_fashion_mnist_test_labels_are_those_of_the_file(nas_data: Path, read: Read) -> None:
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


# Where the files are looked for


@pytest.mark.parametrize("kind", [Cifar10, FashionMnist])
def test_without_the_data_folder_the_message_names_it_and_the_origin(
    kind: type[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NAS_DATA", raising=False)
    assert kind().found() is None
    message = rf"was not found because NAS_DATA, the data folder, is not set\. Expected .+\. {re.escape(kind.origin)}"
    with pytest.raises(FileNotFoundError, match=message):
        kind().load("train")


@pytest.mark.parametrize("kind", [Cifar10, FashionMnist])
def test_an_empty_data_folder_is_named_with_what_was_expected(
    kind: type[Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    message = rf"was not found in {tmp_path} \(environment variable NAS_DATA\)\. Expected .*/labels\.npz or .+"
    with pytest.raises(FileNotFoundError, match=message + re.escape(kind.origin)):
        kind().load("train")


def test_the_data_folder_is_where_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    write_idx(tmp_path / "fashion_mnist", "train")
    assert FashionMnist().found() == str(tmp_path / "fashion_mnist")
    assert len(FashionMnist().load("train")) == 5


def test_a_location_goes_before_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path / "data"))
    write_idx(tmp_path / "data", "train", images=5, labels=5)
    write_idx(tmp_path / "mine", "train", images=2, labels=2)
    assert len(FashionMnist(str(tmp_path / "mine")).load("train")) == 2


# npz


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
            r"damaged \(it holds images of shape \(4, 5\) and 4 labels\)\. Expected uint8 images, or float images",
        ),
        ({"images": random_images(4, 5, 5), "labels": [0, 1]}, r"images of shape \(4, 1, 5, 5\) and 2 labels"),
        ({"images": np.full((2, 4, 4), 1.5), "labels": [0, 1]}, r"its images are float64 from 1\.5 to 1\.5"),
        ({"images": np.full((2, 4, 4), np.nan), "labels": [0, 1]}, "its images are float64 from nan to nan"),
        ({"images": np.zeros((2, 4, 4), np.int32), "labels": [0, 1]}, "its images are int32 from 0 to 0"),
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
        ({"images": random_images(2, 4, 4), "labels": np.array([{}, {}])}, "damaged .*allow_pickle"),
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


# Folders


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four cats and two dogs of 6x5 pixels in grey, and no test split: every picture is full of its number."""
    for number, name in enumerate(("cat/a", "cat/b", "cat/c", "cat/d", "dog/a", "dog/b")):
        write_picture(tmp_path / f"{name}.png", np.full((6, 5), 40 * number, np.uint8))
    return tmp_path


def test_folders_are_classes_in_alphabetical_order(pictures: Path) -> None:
    samples = Folder(str(pictures)).load("train")
    assert Folder(str(pictures)).classes() == ("cat", "dog")
    assert samples.images.shape == (6, 1, 6, 5)
    assert samples.images[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]
    assert samples.labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_colour_pictures_come_channels_first(tmp_path: Path) -> None:
    pixels = random_images(2, 6, 5, 3)
    for name, picture in zip(("cat", "dog"), pixels, strict=True):
        write_picture(tmp_path / name / "a.png", picture)
    assert np.array_equal(Folder(str(tmp_path)).load("train").images, pixels.transpose(0, 3, 1, 2))


def test_grey_pictures_among_coloured_ones_become_coloured(pictures: Path) -> None:
    colour = random_images(6, 5, 3)
    write_picture(pictures / "dog" / "z.png", colour)
    images = Folder(str(pictures)).load("train").images
    assert images.shape == (7, 3, 6, 5)
    assert (images[:6] == images[:6, :1]).all()
    assert images[:6, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]
    assert np.array_equal(images[6], colour.transpose(2, 0, 1))


def test_other_files_and_hidden_folders_are_passed_over(pictures: Path) -> None:
    (pictures / "cat" / "notes.txt").write_text("a cat")
    (pictures / ".cache").mkdir()
    (pictures / "README.md").write_text("cats and dogs")
    assert len(Folder(str(pictures)).load("train")) == 6
    assert Folder(str(pictures)).classes() == ("cat", "dog")


def test_a_folder_without_a_test_split_says_so(pictures: Path) -> None:
    with pytest.raises(ValueError, match=rf"{pictures} has no test split\. Expected DIR/CLASS/IMAGE\.png, or"):
        Folder(str(pictures)).load("test")


def test_a_missing_test_folder_beside_train_is_named(tmp_path: Path) -> None:
    shutil.rmtree(write_folder(tmp_path) / "test")
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'test'} does not exist, so there is no test split\."):
        Folder(str(tmp_path)).load("test")


def test_a_class_without_pictures_is_named(pictures: Path) -> None:
    (pictures / "bird").mkdir()
    with pytest.raises(ValueError, match=rf"{pictures / 'bird'} holds no PNG or JPEG file\. Every class needs some"):
        Folder(str(pictures)).load("train")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5])
def test_a_picture_that_is_cut_off_is_named(tmp_path: Path, suffix: str, keep: float) -> None:
    for name in ("cat", "dog"):
        write_picture(tmp_path / name / f"a.{suffix}", random_images(30, 30, 3))
    file = tmp_path / "dog" / f"a.{suffix}"
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    with pytest.raises(ValueError, match=rf"{file} is not a readable image \(.+\)\. Replace or remove it\."):
        Folder(str(tmp_path)).load("train")


def test_a_png_with_a_changed_byte_is_named(pictures: Path) -> None:
    file = pictures / "cat" / "c.png"
    content = bytearray(file.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0x55
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file} is not a readable image"):
        Folder(str(pictures)).load("train")


def test_pictures_of_two_sizes_are_named(pictures: Path) -> None:
    write_picture(pictures / "dog" / "z.png", np.zeros((6, 7), np.uint8))
    message = (
        rf"all images must be of one size, but {pictures}/cat/a\.png is \(6, 5\) .* {pictures}/dog/z\.png is \(6, 7\)"
    )
    with pytest.raises(ValueError, match=message):
        Folder(str(pictures)).load("train")


def test_one_class_is_too_few(pictures: Path) -> None:
    shutil.rmtree(pictures / "dog")
    with pytest.raises(ValueError, match=rf"{pictures} holds 1 class folders, at least 2 are needed"):
        Folder(str(pictures)).load("train")


def test_folder_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder needs a directory, as in folder:my_images\."):
        Folder().load("train")
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path / 'no'} is not a folder\. Expected DIR/CLASS"):
        Folder(str(tmp_path / "no")).load("train")


# series


def test_series_are_folded_by_their_period(tmp_path: Path) -> None:
    (tmp_path / "A_TRAIN.csv").write_text("2,0,1,2,3,4\n10,4,3,2,1,0\n")
    (tmp_path / "A_TEST.csv").write_text("10,8,4,2,0,-4\n")
    dataset = Series(f"{tmp_path / 'A'},period=2")
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
    with pytest.raises(ValueError, match="period must be a whole number from 1 to 100000, got 'x'"):
        Series("B,period=x")

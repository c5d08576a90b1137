"""CIFAR-10 and CIFAR-100: layouts, the real files, damage."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from writers import random_images, write_cifar100, write_xz

from nas.testing.datasets import read
from trainers import DATASETS
from trainers.datasets.cifar10 import Cifar10
from trainers.datasets.cifar100 import Cifar100
from trainers.samples import Split

BOTH: tuple[Split, Split] = ("train", "test")


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


def test_cifar10_is_the_original(nas_data: Path) -> None:
    train = read(Cifar10(str(nas_data)), "train")
    assert train.images.shape == (10_000, 3, 32, 32)
    names = [Cifar10().classes()[k] for k in train.labels[:5]]
    assert names == ["frog", "truck", "truck", "deer", "automobile"]
    means = (train.images / np.float32(255)).mean((0, 2, 3))
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=0.005)  # one shard of five
    assert train.images[0, :, 0, 0].tolist() == [59, 62, 63]
    assert train.images[0, :, 0, 1].tolist() == [43, 46, 45]


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_the_test_splits_hold_a_thousand_images_of_every_class(name: str, nas_data: Path) -> None:
    samples = read(DATASETS[name](str(nas_data)), "test")
    assert np.bincount(samples.labels).tolist() == [1000] * 10


def test_cifar10_labels_are_those_of_the_file(nas_data: Path) -> None:
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


def test_cifar10_arrays_come_channels_first(tmp_path: Path) -> None:
    images = np.zeros((10_000, 32, 32, 3), np.uint8)
    images[7, 1, 2, 0] = 200  # row 1, column 2, red
    write_xz(tmp_path / "cifar10" / "test.npy.xz", images)
    np.savez(tmp_path / "cifar10" / "labels.npz", test_labels=np.arange(10_000) % 10)
    samples = Cifar10(str(tmp_path)).load("test")
    assert np.argwhere(samples.images).tolist() == [[7, 0, 1, 2]]
    assert samples.labels[7] == 7


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


def test_pickles_of_protocol_5_are_read(tmp_path: Path) -> None:
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=2))
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=5))
    assert len(Cifar10(str(tmp_path)).load("test")) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"K\x01K\x02\x81.",
        b"}K\x01a.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
        pickle.dumps({b"data": {}, b"labels": {}}),
    ],
)
def test_any_damage_to_a_pickle_is_one_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(ValueError, match="data_batch_1 is truncated or damaged"):
        Cifar10(str(tmp_path)).load("train", 1)


def test_a_location_where_nothing_is_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "nothing")):
        Cifar10(str(tmp_path / "nothing")).load("train")

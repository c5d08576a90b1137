"""Faults that were found once, each with the test that shows it gone."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from objectives import Candidate
from objectives.attacks import radius
from objectives.counting import count
from objectives.robust_accuracy import RobustAccuracy
from trainers import Samples, Supervised, TrainingData
from trainers.datasets.cifar10 import Cifar10
from trainers.datasets.fashion_mnist import FashionMnist
from trainers.datasets.folder import Folder
from trainers.datasets.npz import Npz


def data(number: int) -> TrainingData:
    samples = Samples(np.zeros((number, 1, 4, 4), np.uint8), np.arange(number) % 2)
    return TrainingData(("a", "b"), samples, samples, (0.0,), (1.0,), False, 0)


# tests/trainers/test_trainers.py


@pytest.mark.parametrize("warmup", [0.1, 0.2, 0.25, 0.5])
@pytest.mark.parametrize("number", range(1, 13))
def test_any_number_of_steps_can_be_trained(number: int, warmup: float) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    Supervised(epochs=1, batch_size=1, warmup=warmup).train(model, data(number), seed=0, report=lambda epoch: None)


def test_a_network_with_nothing_to_train_is_told() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter to train"):
        Supervised(epochs=1).train(model, data(4), seed=0, report=lambda epoch: None)


# tests/objectives/test_counting.py


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT
        return F.scaled_dot_product_attention(tokens, tokens, tokens)


def test_attention_is_counted_without_gaps() -> None:
    assert count(Attention(), (32, 16, 16)).uncounted == ()


def test_every_module_keeps_its_training_mode() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    model[1].eval()
    count(model, (1, 4, 4))
    assert not model[1].training


# tests/objectives/test_attacks.py and test_objectives.py


def test_a_quotient_needs_a_divisor() -> None:
    with pytest.raises(ValueError, match="epsilon must be"):
        radius("1/")


def test_an_unknown_attack_is_refused() -> None:
    with pytest.raises(ValueError, match="fgms"):
        RobustAccuracy(attack="fgms")  # type: ignore[arg-type]


def test_settings_tell_random_starts() -> None:
    one = Candidate(nn.Flatten(), (1, 2, 2), torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64))
    settings = RobustAccuracy(restarts=3, seed=7).settings(one)
    assert settings["start"] != "zero"
    assert settings["seed"] == 7


# tests/trainers/test_datasets.py


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


def test_an_npy_file_is_no_npz_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"a\.npy is truncated or damaged"):
        Npz(str(tmp_path / "a.npy")).load("train")


def test_an_encrypted_or_strange_zip_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8), labels=[0, 1, 0, 1])
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flag "encrypted" of the last member
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz is truncated or damaged"):
        Npz(str(tmp_path / "a.npz")).load("train")


def test_pictures_of_16_bits_keep_their_contrast(tmp_path: Path) -> None:
    for name, level in (("cat", 10_000), ("dog", 50_000)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), level, np.uint16)).save(tmp_path / name / "a.png")
    levels = Folder(str(tmp_path)).load("train").images[:, 0, 0, 0].tolist()
    assert levels == [10_000 // 256, 50_000 // 256]


def test_a_location_where_nothing_is_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "nothing")):
        Cifar10(str(tmp_path / "nothing")).load("train")


def test_too_few_labels_in_an_archive_are_told(tmp_path: Path) -> None:
    import io
    import lzma

    buffer = io.BytesIO()
    np.save(buffer, np.zeros((10_000, 28, 28), np.uint8))
    (tmp_path / "test.npy.xz").write_bytes(lzma.compress(buffer.getvalue(), preset=0))
    np.savez(tmp_path / "labels.npz", test_labels=np.arange(50) % 10)
    with pytest.raises(ValueError, match=r"labels\.npz"):
        FashionMnist(str(tmp_path)).load("test")


def test_test_labels_beyond_the_classes_are_told(tmp_path: Path) -> None:
    images = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=[0, 1, 0, 1], x_test=images, y_test=[0, 1, 2, 7])
    with pytest.raises(ValueError, match="labels"):
        Npz(str(tmp_path / "a.npz")).load("test")

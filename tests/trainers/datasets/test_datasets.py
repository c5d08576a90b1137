"""The data sets of the table keep the contract; registration; where files are searched for."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from writers import (
    write_cifar100,
    write_folder,
    write_idx,
    write_mnist,
    write_npz,
    write_series,
    write_svhn,
    write_table,
)

from nas.testing.datasets import DatasetContract
from trainers import DATASETS, Dataset
from trainers.dataset import dataset
from trainers.datasets.audiofolder import AudioFolder
from trainers.datasets.cifar10 import Cifar10
from trainers.datasets.cifar100 import Cifar100
from trainers.datasets.denoise import Denoise
from trainers.datasets.digits import Digits
from trainers.datasets.etth1 import Etth1
from trainers.datasets.fashion_mnist import FashionMnist
from trainers.datasets.folder import Folder
from trainers.datasets.forecast import Forecast
from trainers.datasets.fsdd import Fsdd
from trainers.datasets.kmnist import Kmnist
from trainers.datasets.mnist import Mnist
from trainers.datasets.npz import Npz
from trainers.datasets.ravdess import Ravdess
from trainers.datasets.seasons import Seasons
from trainers.datasets.series import Series
from trainers.datasets.spectrograms import Spectrograms
from trainers.datasets.speech_commands import SpeechCommands
from trainers.datasets.svhn import Svhn
from trainers.datasets.unshuffle import Unshuffle
from trainers.datasets.urbansound8k import UrbanSound8K
from trainers.derived import Derived


def small_sounds(request: pytest.FixtureRequest, name: str) -> str:
    return str(request.getfixturevalue("sounds")(name))


EXAMPLES: dict[str, Callable[[pytest.FixtureRequest, Path], Dataset]] = {
    "digits": lambda request, folder: Digits(),
    "spectrograms": lambda request, folder: Spectrograms(),
    "unshuffle": lambda request, folder: Unshuffle(str(write_npz(folder)), source="npz"),
    "denoise": lambda request, folder: Denoise(str(write_folder(folder)), source="folder", given={"size": 8}),
    "cifar10": lambda request, folder: Cifar10(str(request.getfixturevalue("nas_data"))),
    "fashion_mnist": lambda request, folder: FashionMnist(str(request.getfixturevalue("nas_data"))),
    "mnist": lambda request, folder: Mnist(str(write_mnist(folder / "MNIST" / "raw"))),
    "kmnist": lambda request, folder: Kmnist(str(write_mnist(folder / "KMNIST" / "raw"))),
    "cifar100": lambda request, folder: Cifar100(str(write_cifar100(folder))),
    "svhn": lambda request, folder: Svhn(str(write_svhn(folder))),
    "npz": lambda request, folder: Npz(str(write_npz(folder))),
    "folder": lambda request, folder: Folder(str(write_folder(folder))),
    "series": lambda request, folder: Series(str(write_series(folder))),
    "seasons": lambda request, folder: Seasons(context=12, horizon=6, steps=400),
    "forecast": lambda request, folder: Forecast(str(write_table(folder / "power.csv")), context=12, horizon=6),
    "etth1": lambda request, folder: Etth1(str(request.getfixturevalue("nas_data"))),
    "audiofolder": lambda request, folder: AudioFolder(small_sounds(request, "audiofolder")),
    "fsdd": lambda request, folder: Fsdd(small_sounds(request, "fsdd")),
    "ravdess": lambda request, folder: Ravdess(small_sounds(request, "ravdess")),
    "speech_commands": lambda request, folder: SpeechCommands(small_sounds(request, "speech_commands")),
    "urbansound8k": lambda request, folder: UrbanSound8K(small_sounds(request, "urbansound8k")),
}
"""For every registered data set, one that is on this machine; the real ones are skipped where NAS_DATA is not."""


@pytest.mark.parametrize("name", DATASETS)
class TestDatasets(DatasetContract):
    @pytest.fixture
    def data(self, request: pytest.FixtureRequest, tmp_path: Path, name: str) -> Dataset:
        if name not in EXAMPLES:
            pytest.fail(f"data set {name!r} is registered but has no example here. Add one to EXAMPLES.")
        return EXAMPLES[name](request, tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in DATASETS.values() if kind not in (Digits, Seasons, Spectrograms)])
def test_a_place_where_nothing_is_has_a_clear_answer(kind: type[Dataset], tmp_path: Path) -> None:
    source = {"source": "folder"} if issubclass(kind, Derived) else {}
    absent = kind(str(tmp_path / "nothing"), **source)
    assert absent.found() is None
    with pytest.raises(FileNotFoundError, match=r"Expected .+"):
        absent.load("train")


def test_registering_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"data set 'digits' is already registered by .*Digits"):
        dataset("digits")(Digits)
    assert DATASETS["digits"] is Digits


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

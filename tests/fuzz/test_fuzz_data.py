"""Data files: refused by one message that names the file, or samples that a training can use."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import answered, damaged, tries
from writers import write_audiofolder, write_folder, write_idx, write_npz, write_series

from trainers import Dataset, training_data
from trainers.datasets.audiofolder import AudioFolder
from trainers.datasets.folder import Folder
from trainers.datasets.mnist import Mnist
from trainers.datasets.npz import Npz
from trainers.datasets.series import Series

pytestmark = pytest.mark.fuzz


def write_mnist(folder: Path) -> None:
    for split in ("train", "t10k"):
        write_idx(folder, split, images=20, labels=20)


KINDS: dict[str, tuple[Callable[[Path], Any], Callable[[str], Dataset]]] = {
    "npz": (write_npz, lambda place: Npz(f"{place}/mine.npz")),
    "series": (write_series, lambda place: Series(f"{place}/Waves")),
    "folder": (write_folder, Folder),
    "audiofolder": (write_audiofolder, AudioFolder),
    "mnist": (write_mnist, Mnist),
}


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp(name) for name in KINDS}
    for name, (write, _) in KINDS.items():
        write(found[name])
    return found


def check(dataset: Dataset) -> None:
    """Loads as a study does; whatever is accepted is images in their range with a label each."""
    with answered(ValueError, OSError):
        data = training_data(dataset, limit=None, validation=0.2, seed=0)
        for samples in (data.train, data.validation, dataset.load("test")):
            images = samples.images[np.arange(len(samples))]
            assert images.shape[1:] == data.train.images.shape[1:]
            assert len(images) == len(samples.labels) >= 1
            assert images.dtype in (np.uint8, np.float32)
            assert 0 <= images.min() <= images.max() <= samples.levels
            assert 0 <= samples.labels.min() <= samples.labels.max() < len(dataset.classes())
        assert np.isfinite([*data.mean, *data.std]).all()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@tries(0.02)
def test_bytes_of_a_data_file(kind: str, places: dict[str, Path], tmp_path: Path, data: st.DataObject) -> None:
    copy = Path(shutil.copytree(places[kind], tmp_path / "data", dirs_exist_ok=True))
    path = data.draw(st.sampled_from(sorted(path for path in copy.rglob("*") if path.is_file())))
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    check(KINDS[kind][1](str(copy)))


ARRAYS: list[Callable[[np.ndarray], Any]] = [
    lambda a: a.astype(float) * np.nan,
    lambda a: a.astype(np.float32) / 255,
    lambda a: a.astype(complex),
    lambda a: a.astype(object),
    lambda a: a.astype(str),
    lambda a: a.astype(np.int64) - 5,
    lambda a: a.astype(np.uint64) * 2**60,
    lambda a: a[:0],
    lambda a: a[:1],
    lambda a: a[..., None],
    lambda a: a.reshape(-1),
    lambda a: np.float64(3),
    lambda a: a.astype(np.int64) * 10**6,
]


@given(
    name=st.sampled_from(("x_train", "y_train", "x_test", "y_test")), change=st.sampled_from(ARRAYS), drop=st.booleans()
)
@tries(0.03)
def test_arrays_of_an_archive(places: dict[str, Path], tmp_path: Path, name: str, change: Any, drop: bool) -> None:
    with np.load(places["npz"] / "mine.npz") as archive:
        arrays = dict(archive)
    arrays[name] = change(arrays[name])
    buffer = io.BytesIO()
    np.savez(buffer, **{key: value for key, value in arrays.items() if not (drop and key == name)})
    (tmp_path / "mine.npz").write_bytes(buffer.getvalue())
    check(Npz(str(tmp_path / "mine.npz")))


@given(
    cell=st.sampled_from(("nan", "inf", "1e400", "-1e308", "", "x", "0x1", "\0", "1 2", "1,2", "9" * 5000)),
    at=st.integers(0, 16),
)
@tries(0.02)
def test_cells_of_a_series(places: dict[str, Path], tmp_path: Path, cell: str, at: int) -> None:
    copy = Path(shutil.copytree(places["series"], tmp_path / "data", dirs_exist_ok=True))
    path = copy / "Waves_TRAIN.tsv"
    first, rest = path.read_text().split("\n", 1)
    cells = first.split("\t")
    cells[at] = cell
    path.write_text("\n".join(["\t".join(cells), rest]))
    check(Series(str(copy / "Waves")))

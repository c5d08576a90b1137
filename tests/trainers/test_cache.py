"""Arrays kept on disk: the whole file or none, and nothing damaged is ever read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trainers.cache import cache_folder, read_cached, write_cached

SHAPE = (6, 1, 3, 5)


def numbers() -> np.ndarray:
    return np.arange(90, dtype=np.float32).reshape(SHAPE)


def test_batches_become_one_array(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.npy"
    written = write_cached(path, SHAPE, [numbers()[:4], numbers()[4:]])
    read = read_cached(path, SHAPE)
    assert read is not None
    for array in (written, read, np.load(path)):
        assert np.array_equal(array, numbers())
    assert [file.name for file in path.parent.iterdir()] == ["a.npy"]


def test_what_is_read_is_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    array = write_cached(tmp_path / "a.npy", SHAPE, [numbers()])
    assert isinstance(array.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize("size", [0, 20, 100, 400])
def test_a_truncated_file_is_not_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.npy"
    write_cached(path, SHAPE, [numbers()])
    path.write_bytes(path.read_bytes()[:size])
    assert read_cached(path, SHAPE) is None


def test_what_is_not_the_array_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    assert read_cached(path, SHAPE) is None
    np.save(path, numbers()[:5])
    assert read_cached(path, SHAPE) is None
    np.save(path, numbers().astype(np.float64))
    assert read_cached(path, SHAPE) is None
    path.write_bytes(b"not an array" * 100)
    assert read_cached(path, SHAPE) is None


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    def fails() -> Iterator[np.ndarray]:
        yield numbers()[:2]
        raise KeyError("in the middle")

    path = tmp_path / "a.npy"
    write_cached(path, SHAPE, [numbers()])
    with pytest.raises(KeyError, match="in the middle"):
        write_cached(path, SHAPE, fails())
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]
    assert np.array_equal(np.load(path), numbers())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file cannot take a\.npy \(.+\)\. Make room there, or let .* NAS_CACHE name"):
        write_cached(tmp_path / "file" / "a.npy", SHAPE, [numbers()])


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("NAS_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "mixing-nas"

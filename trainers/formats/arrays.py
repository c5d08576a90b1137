"""Numpy arrays in files: ``.npz``, ``.npy.xz``."""

import lzma
from pathlib import Path

import numpy as np

from trainers.formats.reading import ContentError, reading


def read_npy_xz(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 array of ``shape`` from a ``.npy`` file inside an xz container."""
    with reading(path, f"a uint8 array of shape {shape} in a .npy.xz file"), lzma.open(path) as file:
        array: np.ndarray = np.load(file, allow_pickle=False)
        if array.shape != shape or array.dtype != np.uint8:
            raise ValueError(f"it holds {array.dtype} of shape {array.shape}")
    return array


def check_labels(path: Path, labels: np.ndarray, images: int, classes: int) -> np.ndarray:
    """``labels`` as int64, one for each of ``images`` and all below ``classes``.

    Raises:
        ValueError: naming the file, if they are not.
    """
    expected = f"{images} labels from 0 to {classes - 1}"
    with reading(path, expected):
        if labels.ndim != 1 or len(labels) != images or labels.dtype.kind not in "iu":
            raise ValueError(f"it holds {labels.dtype} of shape {labels.shape}")
        if not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"its labels go from {labels.min()} to {labels.max()}")
    return labels.astype(np.int64)


def npz_names(path: Path, expected: str) -> set[str]:
    """Names of the arrays in a ``.npz`` file."""
    with reading(path, expected):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ContentError("it holds a single array")
        with archive:
            return set(archive.files)


def read_npz(path: Path, keys: list[str]) -> list[np.ndarray]:
    """The arrays called ``keys`` of a ``.npz`` file."""
    expected = f"a .npz file with {', '.join(keys)}"
    npz_names(path, expected)
    with reading(path, expected), np.load(path, allow_pickle=False) as archive:
        return [_plain(archive, key) for key in keys]


def _plain(archive: "np.lib.npyio.NpzFile", key: str) -> np.ndarray:
    try:
        array: np.ndarray = archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ContentError(
            f"{key} holds Python objects (dtype object), which are not read because they could run code; write it "
            "again as an array of numbers (allow_pickle is not needed then)"
        ) from None
    return array

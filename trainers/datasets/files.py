"""Readers of the file formats in which image sets come; a damaged file is one message that names it."""

import gzip
import lzma
import os
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def data_root() -> Path | None:
    """Folder that the environment variable NAS_DATA names; None if it is not set."""
    root = os.environ.get("NAS_DATA")
    return Path(root) if root else None


def missing(name: str, location: str, layouts: list[str], origin: str) -> FileNotFoundError:
    """The error for a data set that is not here: what was looked for, and where to get it."""
    root = data_root()
    nowhere = f"in {root} (environment variable NAS_DATA)" if root else "because NAS_DATA, the data folder, is not set"
    place = f"in {location}" if location else nowhere
    return FileNotFoundError(f"{name} was not found {place}. Expected {' or '.join(layouts)}. {origin}")


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turns whatever a damaged file raises into one ValueError that names it and says what was expected."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist. Expected {expected}.") from None
    except PermissionError:
        raise
    except Exception as error:  # a damaged pickle or archive raises nearly anything
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is truncated or damaged ({reason}). Expected {expected}. Get it again.") from None


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
            raise ValueError("it holds a single array")
        with archive:
            return set(archive.files)


def read_npz(path: Path, keys: list[str]) -> list[np.ndarray]:
    """The arrays called ``keys`` of a ``.npz`` file."""
    expected = f"a .npz file with {', '.join(keys)}"
    npz_names(path, expected)
    with reading(path, expected), np.load(path, allow_pickle=False) as archive:
        return [archive[key] for key in keys]


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """uint8 array with so many ``dimensions`` from an idx file, plain or ``.gz`` (the format of MNIST)."""
    with reading(path, f"an idx file of unsigned bytes with {dimensions} dimensions"):
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        magic, *shape = struct.unpack_from(f">{1 + dimensions}I", raw)
        if magic != 0x0800 + dimensions:
            raise ValueError(f"its magic number is {magic}, not {0x0800 + dimensions}")
        body = np.frombuffer(raw, np.uint8, offset=4 * (1 + dimensions))
        if body.size != np.prod(shape):
            raise ValueError(f"it holds {body.size} bytes for {'x'.join(map(str, shape))}")
        return body.reshape(shape)


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that builds numpy arrays and plain containers and nothing else: no code of the file is run."""

    allowed = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.numeric", "_frombuffer"),
            ("numpy._core.numeric", "_frombuffer"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image file needs")
        return super().find_class(module, name)


def read_pickle(path: Path, expected: str) -> dict[bytes, Any]:
    """Dictionary of arrays and lists from a pickle written by Python 2 or 3, without running code of it."""
    with reading(path, expected), open(path, "rb") as file:
        content = _ArraysOnly(file, encoding="bytes").load()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
        return content

"""Pickles of arrays, read without running code of theirs: CIFAR-10 and CIFAR-100."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from trainers.formats.reading import reading


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


def read_cifar(path: Path, key: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) of one pickle of CIFAR-10 or CIFAR-100, and the labels under ``key``."""
    expected = f"an official CIFAR-{classes} batch: b'data' (N, 3072) uint8 and {key!r} from 0 to {classes - 1}"
    batch = read_pickle(path, expected)
    with reading(path, expected):
        data, labels = np.asarray(batch[b"data"]), np.asarray(batch[key], dtype=np.int64)
        if (
            data.shape != (len(labels), 3072)
            or data.dtype != np.uint8
            or not 0 <= labels.min() <= labels.max() < classes
        ):
            raise ValueError(f"it holds {data.dtype} of shape {data.shape} and {len(labels)} labels")
        return data.reshape(-1, 3, 32, 32), labels

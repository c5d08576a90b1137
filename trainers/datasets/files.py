"""Readers of the file formats in which image sets come; a damaged file is one message that names it."""

import gzip
import lzma
import os
import pickle
import re
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

N = TypeVar("N", int, float)


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


def options(location: str, known: Collection[str], example: str) -> tuple[str, dict[str, str]]:
    """The place and the values by key of ``PLACE,key=value,key=value``; ``32x64`` alone is the ``size``, if known.

    A comma in front of anything else belongs to the place; one that looks like an option is written ``./a=b``.

    Args:
        known: the keys that there are.
        example: how it is written, for the message.

    Raises:
        ValueError: if a key is unknown or comes twice.
    """
    items, values = location.split(","), {}
    pattern = r"(\w+)=([^/]*)|\d+x\d+" if "size" in known else r"(\w+)=([^/]*)"
    while items and (match := re.fullmatch(pattern, items[-1])):
        key, value = (match[1], match[2]) if match[1] else ("size", match[0])
        if key not in known or key in values:
            why = "comes twice" if key in values else f"is unknown. Known: {', '.join(sorted(known))}"
            raise ValueError(f"option {key!r} of {location!r} {why}. Write it as in {example}.")
        values[key] = value
        items.pop()
    return ",".join(items), values


def number(kind: Callable[[str], N], key: str, text: str, least: N, most: N) -> N:
    """The value of an option, a ``kind`` (int or float) from ``least`` to ``most``.

    Raises:
        ValueError: if it is none.
    """
    try:
        value = kind(text)
    except ValueError:
        value = most + 1
    if not least <= value <= most:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{key} must be {what} from {least} to {most}, got {text!r}.")
    return value


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

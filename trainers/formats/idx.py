"""The idx format of MNIST, and what data sets in it share: 60,000 + 10,000 grey images of 28x28, in two layouts.

``MNIST/raw/`` or ``mnist/``: the official files ``train-images-idx3-ubyte``, ..., plain or ``.gz``; ``mnist/``:
``train.npy.xz``, ``test.npy.xz`` and ``labels.npz``.
"""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainers.dataset import Dataset
from trainers.formats.arrays import check_labels, read_npy_xz, read_npz
from trainers.formats.reading import data_root, missing, reading
from trainers.samples import Samples, Split

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Idx(Dataset):
    """A data set that replaces MNIST; subclasses say what differs."""

    shift = 2
    epsilon = "25/255"
    folders: ClassVar[tuple[str, str]]
    """Our name for its folder, which is that of the data set too, and the one that others give it."""

    def found(self) -> str | None:
        root = Path(self.location) if self.location else data_root()
        folders = [root / folder for folder in self.folders] if root else []
        if root and self.location:  # the data folder itself may hold the files of another of these data sets
            folders.append(root)
        return next((str(f) for f in folders if (f / "labels.npz").exists() or _existing(f, FILES[0]).exists()), None)

    def load(self, split: Split, limit: int | None = None) -> Samples:
        place = self.found()
        if place is None:
            ours, others = self.folders
            layouts = [f"{ours}/labels.npz", f"{others}/{FILES[0]}.gz"]
            raise missing(ours, self.location, layouts, self.origin)
        folder = Path(place)
        if (folder / "labels.npz").exists():
            (labels,) = read_npz(folder / "labels.npz", [f"{split}_labels"])
            images = read_npy_xz(folder / f"{split}.npy.xz", (60_000 if split == "train" else 10_000, 28, 28))
            source = folder / "labels.npz"
        else:
            files = [_existing(folder, name) for name in (FILES[:2] if split == "train" else FILES[2:])]
            images, labels = read_idx(files[0], 3), read_idx(files[1], 1)
            source = files[1]
        return Samples(images[:, None], check_labels(source, labels, len(images), len(self.classes())))


def idx_files(folder: str, host: str, checksums: tuple[str, str, str, str]) -> dict[str, tuple[str, str]]:
    """`Dataset.files` of the four official files, whose MD5 sums come in the order of `FILES`."""
    pairs = zip(FILES, checksums, strict=True)
    return {f"{folder}/{name}.gz": (f"{host}/{name}.gz", f"md5:{checksum}") for name, checksum in pairs}


def _existing(folder: Path, name: str) -> Path:
    """The file that exists, plain or compressed; the compressed one if neither does."""
    plain, compressed = folder / name, folder / f"{name}.gz"
    return plain if plain.exists() and not compressed.exists() else compressed


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

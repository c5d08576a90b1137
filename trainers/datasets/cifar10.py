"""CIFAR-10: 50,000 + 10,000 colour images of 32x32, 10 classes, in two layouts.

``cifar10/``: ``train_1..5.npy.xz``, ``test.npy.xz`` (NHWC) and ``labels.npz``; ``cifar-10-batches-py/``: the official
pickles ``data_batch_1..5`` and ``test_batch``, read without running any code of theirs.
"""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from trainers.dataset import Dataset, dataset
from trainers.formats.arrays import check_labels, read_npy_xz, read_npz
from trainers.formats.pickles import read_cifar
from trainers.formats.reading import data_root, missing
from trainers.samples import Samples, Split

SHARD = 10_000
"""Images in one file."""


@dataset("cifar10")
@dataclass(frozen=True)
class Cifar10(Dataset):
    """Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"."""

    flip = True
    shift = 4
    epsilon = "1/255"
    origin = "Get cifar-10-python.tar.gz from the CIFAR page of Alex Krizhevsky and unpack it there."
    files = MappingProxyType(
        {
            "cifar-10-python.tar.gz": (
                "https://cave.cs.toronto.edu/kriz/cifar-10-python.tar.gz",
                "md5:c58f30108f718f92721af3b95e74349a",
            )
        }
    )

    def classes(self) -> tuple[str, ...]:
        return ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def found(self) -> str | None:
        roots = [Path(self.location)] if self.location else [r for r in [data_root()] if r]
        for root in roots:
            for folder in (root / "cifar10", root / "cifar-10-batches-py", root):
                if (folder / "labels.npz").exists() or (folder / "data_batch_1").exists():
                    return str(folder)
        return None

    def load(self, split: Split, limit: int | None = None) -> Samples:
        place = self.found()
        if place is None:
            raise missing(
                "cifar10", self.location, ["cifar10/labels.npz", "cifar-10-batches-py/data_batch_1"], self.origin
            )
        folder, shards = Path(place), 1 if split == "test" else 5 if limit is None else min(5, -(-limit // SHARD))
        if (folder / "labels.npz").exists():
            (labels,) = read_npz(folder / "labels.npz", [f"{split}_labels"])
            names = [f"train_{k}.npy.xz" for k in range(1, shards + 1)] if split == "train" else ["test.npy.xz"]
            images = [read_npy_xz(folder / name, (SHARD, 32, 32, 3)).transpose(0, 3, 1, 2) for name in names]
            labels = check_labels(folder / "labels.npz", labels, SHARD * (1 if split == "test" else 5), 10)
            labels = labels[: shards * SHARD]
        else:
            names = [f"data_batch_{k}" for k in range(1, shards + 1)] if split == "train" else ["test_batch"]
            batches = [read_cifar(folder / name, b"labels", 10) for name in names]
            images, labels = [b[0] for b in batches], np.concatenate([b[1] for b in batches])
        return Samples(np.ascontiguousarray(np.concatenate(images)), labels)

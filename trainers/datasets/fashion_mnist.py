"""Fashion-MNIST: 60,000 + 10,000 grey images of 28x28, 10 classes, in two layouts.

``fashion_mnist/``: ``train.npy.xz``, ``test.npy.xz`` and ``labels.npz``; ``FashionMNIST/raw/`` or ``fashion_mnist/``:
the official idx files, plain or ``.gz``.
"""

from dataclasses import dataclass
from pathlib import Path

from trainers.data import Dataset, Samples, Split, dataset
from trainers.datasets.files import check_labels, data_root, missing, read_idx, read_npy_xz, read_npz


@dataset("fashion_mnist")
@dataclass(frozen=True)
class FashionMnist(Dataset):
    """Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747."""

    flip = True
    shift = 2
    epsilon = "4/255"
    origin = "Get the four .gz files from the page of Fashion-MNIST (zalandoresearch) and put them there."

    def classes(self) -> tuple[str, ...]:
        return ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

    def found(self) -> str | None:
        roots = [Path(self.location)] if self.location else [r for r in [data_root()] if r]
        for root in roots:
            for folder in (root / "fashion_mnist", root / "FashionMNIST" / "raw", root):
                if (folder / "labels.npz").exists() or _idx(folder, "train-images-idx3-ubyte"):
                    return str(folder)
        return None

    def load(self, split: Split, limit: int | None = None) -> Samples:
        place = self.found()
        if place is None:
            layouts = ["fashion_mnist/labels.npz", "FashionMNIST/raw/train-images-idx3-ubyte.gz"]
            raise missing("fashion_mnist", self.location, layouts, self.origin)
        folder, count = Path(place), 60_000 if split == "train" else 10_000
        if (folder / "labels.npz").exists():
            (labels,) = read_npz(folder / "labels.npz", [f"{split}_labels"])
            images = read_npy_xz(folder / f"{split}.npy.xz", (count, 28, 28))
            source = folder / "labels.npz"
        else:
            prefix = "train" if split == "train" else "t10k"
            names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
            files = [_idx(folder, name) or folder / f"{name}.gz" for name in names]
            images, labels = read_idx(files[0], 3), read_idx(files[1], 1)
            source = files[1]
        return Samples(images[:, None], check_labels(source, labels, len(images), 10))


def _idx(folder: Path, name: str) -> Path | None:
    return next((folder / file for file in (f"{name}.gz", name) if (folder / file).exists()), None)

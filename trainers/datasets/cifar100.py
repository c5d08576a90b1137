"""CIFAR-100: 50,000 + 10,000 colour images of 32x32, 100 classes, in the official pickles.

``cifar-100-python/``: ``train``, ``test`` and ``meta``, read without running any code of theirs; fine labels.
"""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from trainers.dataset import Dataset, dataset
from trainers.formats.pickles import read_cifar, read_pickle
from trainers.formats.reading import data_root, missing, reading
from trainers.samples import Samples, Split


@dataset("cifar100")
@dataclass(frozen=True)
class Cifar100(Dataset):
    """Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"."""

    flip = True
    shift = 4
    epsilon = "1/255"
    origin = "Get cifar-100-python.tar.gz from the CIFAR page of Alex Krizhevsky and unpack it there."
    files = MappingProxyType(
        {
            "cifar-100-python.tar.gz": (
                "https://cave.cs.toronto.edu/kriz/cifar-100-python.tar.gz",
                "md5:eb9058c3a382ffc7106e4002c42a8d85",
            )
        }
    )

    def classes(self) -> tuple[str, ...]:
        path = self._folder() / "meta"
        expected = "an official CIFAR-100 meta file: b'fine_label_names', a list of 100 names"
        meta = read_pickle(path, expected)
        with reading(path, expected):
            names = tuple(name.decode() for name in meta[b"fine_label_names"])
            if len(set(names)) != 100:
                raise ValueError(f"it holds {len(set(names))} names")
            return names

    def found(self) -> str | None:
        root = Path(self.location) if self.location else data_root()
        folders = (root / "cifar-100-python", root / "cifar100", root) if root else ()
        return next((str(f) for f in folders if (f / "train").is_file() and (f / "meta").is_file()), None)

    def load(self, split: Split, limit: int | None = None) -> Samples:
        return Samples(*read_cifar(self._folder() / split, b"fine_labels", 100))

    def _folder(self) -> Path:
        place = self.found()
        if place is None:
            raise missing("cifar100", self.location, ["cifar-100-python/train", "cifar-100-python/meta"], self.origin)
        return Path(place)

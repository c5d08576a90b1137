"""``folder:DIR``: a folder of PNG or JPEG files for each class, ``DIR/train/CLASS/*.png`` and ``DIR/test/CLASS/*.png``.

``DIR/val/CLASS/*.png`` is the validation split, if it is there. Without a ``train`` folder, ``DIR/CLASS/*.png`` is the
training split and there is no test split. Images of several sizes need one: ``folder:DIR,size=64`` resizes the shorter
side and takes the middle, so that ImageNet is ``folder:imagenet,size=160``. More images than ``memory_gb`` (2 unless
given, in 10^9 bytes of pixels) stay in their files and are decoded again in every epoch; all machines of a cluster need
the folder then.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.dataset import Dataset, check_range, dataset
from trainers.formats.image_files import open_files
from trainers.samples import Samples, Split

SUFFIXES = (".png", ".jpg", ".jpeg")
VALIDATION = ("val", "validation", "valid")
LAYOUT = "DIR/CLASS/IMAGE.png, or DIR/train/CLASS/IMAGE.png and DIR/test/CLASS/IMAGE.png (PNG or JPEG)"
SIZES = 8, 1024
MEMORY_GB = 2.0


@dataset("folder")
@dataclass(frozen=True)
class Folder(Dataset):
    """The user's own images; grey if every file is grey, else RGB.

    Args:
        size: sides in pixels of the middle square to which images are resized; unset: they have one size already.
        memory_gb: 10^9 bytes of pixels that are held in memory; more stay in their files.
    """

    size: int | None = None
    memory_gb: float = MEMORY_GB

    example = "folder:my_images,size=64"
    flip = False
    shift = 2
    takes = "DIR"
    origin = f"Put the images into {LAYOUT}."

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, *SIZES)
        check_range("memory_gb", self.memory_gb, 0, 1e6)

    @property
    def own_validation(self) -> bool:
        root = Path(self.location)
        return (root / "train").is_dir() and self._validation(root).is_dir()

    def found(self) -> str | None:
        return str(Path(self.location)) if self.location and Path(self.location).is_dir() else None

    def classes(self) -> tuple[str, ...]:
        root = self._root("train")
        names = _folders(root)
        if len(names) < 2:
            raise ValueError(f"{root} holds {len(names)} class folders, at least 2 are needed. Expected {LAYOUT}.")
        return names

    def load(self, split: Split, limit: int | None = None) -> Samples:
        root, classes = self._root(split), self.classes()
        if others := sorted(set(_folders(root)).difference(classes)):
            raise ValueError(f"{root / others[0]} is no class of the training split: {', '.join(classes[:10])}.")
        names: list[bytes] = []
        labels: list[int] = []
        for label, name in enumerate(classes):
            files = _images(root / name)
            if not files:
                raise ValueError(f"{root / name} holds no PNG or JPEG file. Every class needs some; remove or fill it.")
            names += [os.fsencode(os.path.join(name, file)) for file in files]
            labels += [label] * len(files)
        opened = open_files(root, names, self.size, 1e9 * self.memory_gb)
        return Samples(opened.held(), np.asarray(labels, dtype=np.int64))

    def _validation(self, root: Path) -> Path:
        return next((root / name for name in VALIDATION if (root / name).is_dir()), root / VALIDATION[0])

    def _root(self, split: Split) -> Path:
        if not self.location:
            raise FileNotFoundError("folder needs a directory, as in folder:my_images.")
        root = Path(self.location)
        if not root.is_dir():
            raise FileNotFoundError(f"{root} is not a folder. Expected {LAYOUT}.")
        if (root / "train").is_dir():
            root = self._validation(root) if split == "validation" else root / split
            if not root.is_dir():
                raise FileNotFoundError(f"{root} does not exist, so there is no {split} split. Expected {LAYOUT}.")
        elif split != "train":
            raise ValueError(f"{root} has no {split} split. Expected {LAYOUT}.")
        return root


def _folders(root: Path) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and entry.name[0] != "."))


def _images(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    names = (entry.name for entry in os.scandir(folder) if entry.is_file())
    return sorted(name for name in names if name[0] != "." and name.lower().endswith(SUFFIXES))

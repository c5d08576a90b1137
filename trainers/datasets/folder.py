"""``folder:DIR``: a folder of PNG or JPEG files for each class, ``DIR/train/CLASS/*.png`` and ``DIR/test/CLASS/*.png``.

Without ``train`` and ``test`` folders, ``DIR/CLASS/*.png`` is the training split and there is no test split.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainers.data import Dataset, Samples, Split, dataset

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg")
LAYOUT = "DIR/CLASS/IMAGE.png, or DIR/train/CLASS/IMAGE.png and DIR/test/CLASS/IMAGE.png (PNG or JPEG)"


@dataset("folder")
@dataclass(frozen=True)
class Folder(Dataset):
    """Images of one's own, all of one size; grey if every file is grey, else RGB."""

    flip = False
    shift = 2
    origin = f"Put the images into {LAYOUT}."

    def found(self) -> str | None:
        return self.location if self.location and Path(self.location).is_dir() else None

    def classes(self) -> tuple[str, ...]:
        root = self._root("train")
        names = tuple(sorted(f.name for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")))
        if len(names) < 2:
            raise ValueError(f"{root} holds {len(names)} class folders, at least 2 are needed. Expected {LAYOUT}.")
        return names

    def load(self, split: Split, limit: int | None = None) -> Samples:
        try:
            from PIL import Image, UnidentifiedImageError
        except ImportError:
            raise ValueError(
                "folder: reads images with Pillow. Install it: pip install 'mixing-nas[images]'."
            ) from None

        root, arrays, labels = self._root(split), [], []
        first: tuple[Path, tuple[int, int]] | None = None
        for number, name in enumerate(self.classes()):
            files = sorted(f for f in (root / name).glob("*") if f.suffix.lower() in SUFFIXES)
            if not files:
                raise ValueError(f"{root / name} holds no PNG or JPEG file. Every class needs some; remove or fill it.")
            for file in files:
                try:
                    with Image.open(file) as image:
                        pixels = _pixels(image)
                except (UnidentifiedImageError, OSError, SyntaxError) as error:
                    raise ValueError(f"{file} is not a readable image ({error}). Replace or remove it.") from None
                first = first or (file, pixels.shape[:2])
                if pixels.shape[:2] != first[1]:
                    raise ValueError(
                        f"all images must be of one size, but {first[0]} is {first[1]} (height, width) "
                        f"and {file} is {pixels.shape[:2]}. Resize them first."
                    )
                arrays.append(pixels)
                labels.append(number)
        if any(a.ndim == 3 for a in arrays):
            arrays = [a if a.ndim == 3 else np.repeat(a[:, :, None], 3, axis=2) for a in arrays]
        images = np.stack(arrays)
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        return Samples(np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64))

    def _root(self, split: Split) -> Path:
        if not self.location:
            raise FileNotFoundError("folder needs a directory, as in folder:my_images.")
        root = Path(self.location)
        if not root.is_dir():
            raise FileNotFoundError(f"{root} is not a folder. Expected {LAYOUT}.")
        if (root / "train").is_dir():
            root = root / split
            if not root.is_dir():
                raise FileNotFoundError(f"{root} does not exist, so there is no {split} split. Expected {LAYOUT}.")
        elif split == "test":
            raise ValueError(f"{root} has no test split. Expected {LAYOUT}.")
        return root


def _pixels(image: "Image.Image") -> np.ndarray:
    """(H, W) or (H, W, 3) uint8; of 16 bits the upper eight, because Pillow's own conversion clips them to white."""
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))

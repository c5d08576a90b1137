"""``npz:FILE``: images and labels in one numpy archive, under the names that people use.

``x_train, y_train[, x_test, y_test]`` (Keras), ``train_images, train_labels[, test_images, test_labels]`` (MedMNIST) or
``images, labels`` (no test split). ``x_val, y_val`` or ``val_images, val_labels`` are an official validation split; no
training image is held out then. Images are uint8, or float in [0, 1]; (N, H, W), (N, H, W, C) or (N, C, H, W).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.dataset import Dataset, dataset
from trainers.formats.arrays import npz_names, read_npz
from trainers.formats.reading import reading
from trainers.samples import Samples, Split

NAMES = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels")),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
EXPECTED = "a .npz file with x_train and y_train, or train_images and train_labels, or images and labels"


@dataset("npz")
@dataclass(frozen=True)
class Npz(Dataset):
    """The user's own numpy archive."""

    takes = "FILE"
    example = "npz:mydata.npz"
    origin = "Write it with numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)."

    def found(self) -> str | None:
        return self.location if self.location and Path(self.location).is_file() else None

    @property
    def own_validation(self) -> bool:
        names = npz_names(Path(self.location), EXPECTED) if self.found() else set()
        return any(names.issuperset(pair) for pair in NAMES["validation"])

    def classes(self) -> tuple[str, ...]:
        return tuple(str(k) for k in range(int(self._labels("train").max()) + 1))

    def load(self, split: Split, limit: int | None = None) -> Samples:
        path, labels = Path(self.location), self._labels(split)
        if split == "train" and len(present := np.unique(labels)) <= (largest := labels.max()):
            absent = int(np.flatnonzero(present != np.arange(len(present)))[0])
            raise ValueError(
                f"{path}: no training image has label {absent}, but labels go to {largest}. Number the classes from 0."
            )
        (images,) = read_npz(path, [self._names(split)[0]])
        with reading(path, "uint8 images, or float images in [0, 1], of shape (N, H, W), (N, H, W, C) or (N, C, H, W)"):
            shape = images.shape
            if images.ndim == 3:
                images = images[:, None]
            elif images.ndim == 4 and images.shape[-1] in (1, 3, 4) and images.shape[1] not in (1, 3):
                images = images.transpose(0, 3, 1, 2)
            if images.ndim != 4 or len(images) != len(labels):
                raise ValueError(f"it holds images of shape {images.shape} and {len(labels)} labels")
            if images.shape[1] not in (1, 3, 4):
                raise ValueError(f"its images of shape {shape} have neither 1, 3 nor 4 channels, first or last")
            if images.dtype == np.uint8:
                return Samples(np.ascontiguousarray(images), labels)
            if images.dtype.kind != "f" or not 0 <= images.min() <= images.max() <= 1:
                raise ValueError(f"its images are {images.dtype} from {images.min()} to {images.max()}")
        return Samples(np.ascontiguousarray(images, dtype=np.float32), labels, levels=1)

    def _names(self, split: Split) -> tuple[str, str]:
        if not self.location:
            raise FileNotFoundError("npz needs a file, as in npz:mydata.npz.")
        path = Path(self.location)
        present = npz_names(path, EXPECTED)
        for pair in NAMES[split]:
            if present.issuperset(pair):
                return pair
        if split == "test":
            raise ValueError(f"{path} has no test split: it holds {', '.join(sorted(present))}, not x_test and y_test.")
        raise ValueError(f"{path} holds {', '.join(sorted(present)) or 'nothing'}. Expected {EXPECTED}.")

    def _labels(self, split: Split) -> np.ndarray:
        path = Path(self.location)
        (labels,) = read_npz(path, [self._names(split)[1]])
        labels = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) == 0 or labels.min() < 0:
            raise ValueError(f"{path}: labels must be class numbers from 0, (N,), got {labels.dtype} {labels.shape}.")
        if split != "train" and labels.max() > (largest := self._labels("train").max()):
            raise ValueError(f"{path}: {split} labels go to {labels.max()}, training labels only to {largest}.")
        return labels.astype(np.int64)

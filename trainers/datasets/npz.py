"""``npz:FILE``: images and labels in one numpy archive, under the names that people use.

``x_train, y_train[, x_test, y_test]`` (Keras), ``train_images, train_labels[, test_images, test_labels]`` (MedMNIST) or
``images, labels`` (no test split). ``x_val, y_val`` or ``val_images, val_labels`` are an official validation split; no
training image is held out then. Images are (N, H, W), (N, H, W, C) or (N, C, H, W): uint8, or float in [0, 1]. Other
numbers are converted: those that end between 128 and 255 are taken for 8 bits, else the least and the greatest of the
training images, or those of ``span=0..4095``, become black and white. A search records the span, as for ``folder``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.dataset import Dataset, dataset
from trainers.formats.arrays import npz_names, read_npz
from trainers.formats.reading import ContentError, reading
from trainers.formats.spans import Span
from trainers.samples import Samples, Split

NAMES = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels")),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
IMAGES = (
    "uint8 images, or float images in [0, 1], or other numbers not below 0, of shape (N, H, W), (N, H, W, C) or "
    "(N, C, H, W)"
)
EIGHT_BITS = Span(0.0, 255.0)
ROUNDING = 1e-5
"""By so much floats from 0 to 1 may be above 1."""
DARK = 32
"""A greatest value of 8 bits below which images are nearly black."""
EXPECTED = "a .npz file with x_train and y_train, or train_images and train_labels, or images and labels"


@dataset("npz")
@dataclass(frozen=True)
class Npz(Dataset):
    """The user's own numpy archive.

    Args:
        span: pixel values that are black and white, ``LOW..HIGH``; unset: what suits the training images.
    """

    span: str | None = None

    takes = "FILE"
    decided = ("span",)
    example = "npz:mydata.npz"
    origin = "Write it with numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.span is not None:
            Span.of(self.span)

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
        images = self._array(split)
        with reading(path, IMAGES):
            shape = images.shape
            if images.ndim == 3:
                images = images[:, None]
            elif images.ndim == 4 and images.shape[-1] in (1, 3, 4) and images.shape[1] not in (1, 3):
                images = images.transpose(0, 3, 1, 2)
            if images.ndim != 4 or len(images) != len(labels):
                raise ContentError(f"it holds images of shape {images.shape} and {len(labels)} labels")
            if images.shape[1] not in (1, 3, 4):
                raise ContentError(f"its images of shape {shape} have neither 1, 3 nor 4 channels, first or last")
            return self._converted(np.ascontiguousarray(images), labels, split)

    def _array(self, split: Split) -> np.ndarray:
        return read_npz(Path(self.location), [self._names(split)[0]])[0]

    def _converted(self, images: np.ndarray, labels: np.ndarray, split: Split) -> Samples:
        """Images (N, C, H, W) of any numbers as pixels.

        Raises:
            ContentError: if it is not clear which of them are black and white.
        """
        _, most = _ends(images)
        span = self._scale(images, split)
        if span in (None, EIGHT_BITS) and most > (white := 1 if span is None else 255) + ROUNDING:
            raise ContentError(f"its {split} images go to {most:g}, but in its training images {white} is white")
        where = f"{self.location!r}, {split} split"
        if images.dtype == np.uint8 and span == EIGHT_BITS:
            dark = (
                f"{where}: uint8 pixels go to {most:g} of 255, nearly black; span=0..{max(most, 1):g} makes that white"
            )
            return Samples(images, labels, notes=(dark,) if most < DARK else ())
        if span is None:
            note = () if images.dtype.kind == "f" else (f"{where}: False is black, True white",)
            return Samples(images.clip(0, 1).astype(np.float32), labels, levels=1, notes=note)
        low, high = str(span).split("..")
        dark = f"; these go to {most:g}, nearly black" if most < span.high * DARK / 255 else ""
        notes = (f"{where}: of {images.dtype} pixels {low} is black and {high} white, for all splits{dark}",)
        if span == EIGHT_BITS and images.dtype.kind in "iu":
            return Samples(images.astype(np.uint8), labels, notes=notes)
        decided = {"span": str(span)} if split == "train" and span != EIGHT_BITS else {}
        return Samples(span.scaled(images), labels, levels=1, notes=notes, decided=decided)

    def _scale(self, images: np.ndarray, split: Split) -> Span | None:
        """Black and white of the images of a split; None if that is 0 and 1.

        Raises:
            ContentError: if it is not known.
        """
        least, most = _ends(images)
        if self.span is not None:
            return Span.of(self.span)
        if split == "train":
            return _suitable(images)
        training = self._array("train")
        if training.dtype == images.dtype:
            return _suitable(training)
        own = _suitable(images)
        if not {own, _suitable(training)} <= {None, EIGHT_BITS}:
            raise ContentError(
                f"its {split} images are {images.dtype} from {least:g} to {most:g}, its training images "
                f"{training.dtype}; their scale is known only if both are of one type"
            )
        return own

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


def _suitable(images: np.ndarray) -> Span | None:
    """Black and white of images; None if that is 0 and 1.

    Raises:
        ContentError: if they are no pixels.
    """
    least, most = _ends(images)
    if least < 0:
        raise ContentError(
            f"its images are {images.dtype} from {least:g} to {most:g}, but pixels are not below 0; write them "
            f"as they were before they were normalised, which networks do by themselves, or add {-least:g}"
        )
    if images.dtype.kind == "b" or (images.dtype.kind == "f" and most <= 1 + ROUNDING):
        return None
    if images.dtype.kind == "f" and most < 2:
        raise ContentError(
            f"its images are {images.dtype} from {least:g} to {most:g}, which is neither 0 to 1 nor 0 to 255; clip "
            f"them, or say which value is white, as in span=0..{most:g}"
        )
    if images.dtype == np.uint8 or 128 <= most <= 255:
        return EIGHT_BITS
    return Span(least, max(most, least + 1))


def _ends(images: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value.

    Raises:
        ContentError: if the values are no numbers.
    """
    if images.dtype.kind not in "buif":
        raise ContentError(f"its images are {images.dtype}, not numbers")
    if images.dtype.kind == "f" and (strange := images.size - np.count_nonzero(np.isfinite(images))):
        raise ContentError(
            f"its images are {images.dtype}, but {strange} of the {images.size} values are no finite numbers; put "
            "numbers in their place"
        )
    return float(images.min()), float(images.max())

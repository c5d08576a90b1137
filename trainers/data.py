"""Images and labels as whole arrays, and the split of a training set into training and validation.

A search sees training and validation only: loading the training split never opens the test files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Samples:
    """Images with their labels.

    Args:
        images: (N, C, H, W), uint8 in 0..levels, or float32 in 0..1 with ``levels`` 1.
        labels: (N,) int64 class numbers from 0.
        levels: the pixel value that is white.
        groups: (N,) numbers of what must not be divided between training and validation, for example speakers; None if
            every image stands for itself.
    """

    images: np.ndarray
    labels: np.ndarray
    levels: int = 255
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: np.ndarray) -> "Samples":
        groups = None if self.groups is None else self.groups[index]
        return Samples(self.images[index], self.labels[index], self.levels, groups)

    def tensors(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Images as float32 (N, C, H, W) in [0, 1], channels last in memory, and labels, on ``device``."""
        images = torch.tensor(self.images, device=device).float().div_(self.levels)
        return images.contiguous(memory_format=torch.channels_last), torch.tensor(self.labels, device=device)


@dataclass(frozen=True)
class Dataset:
    """A data set; subclasses register under a name and load one split at a time.

    Args:
        location: what stands behind the colon in ``name:location``; empty for data sets found by name alone.
    """

    location: str = ""

    flip: ClassVar[bool] = False
    """Whether a mirrored image still is a typical member of its class."""
    shift: ClassVar[int] = 0
    """Pixels by which an image may be moved without leaving its class."""
    own_validation: ClassVar[bool] = False
    """Whether ``load("validation")`` gives an official validation split; else a share of ``train`` is held out."""
    epsilon: ClassVar[str] = "4/255"
    """Radius of the default attack, in pixel units 0..1."""
    origin: ClassVar[str]
    """Where the data come from, for a person who lacks them."""

    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by number."""
        raise NotImplementedError

    def load(self, split: Split, limit: int | None = None) -> Samples:
        """One split, in the order of its files; with ``limit`` at least that many images if there are as many.

        Raises:
            FileNotFoundError: if the files are not there, with what was looked for and where to get it.
            ValueError: if a file is truncated or not what it should be, naming the file.
        """
        raise NotImplementedError

    def found(self) -> str | None:
        """Where the data lie on this machine; None if they do not."""
        raise NotImplementedError


DATASETS: dict[str, type[Dataset]] = {}
T = TypeVar("T", bound=type[Dataset])


def dataset(name: str) -> Callable[[T], T]:
    """Class decorator that registers a data set.

    Raises:
        ValueError: if the name is taken.
    """

    def add(cls: T) -> T:
        if name in DATASETS:
            raise ValueError(f"data set {name!r} is already registered by {DATASETS[name]!r}. Choose another name.")
        DATASETS[name] = cls
        return cls

    return add


@dataclass(frozen=True)
class TrainingData:
    """What a trial sees: training and validation samples and what is known of them.

    Args:
        classes: names of the classes, by number.
        mean, std: per channel in pixel units 0..1, of the training samples.
        flip, shift: augmentations that suit the data (`Dataset`).
    """

    classes: tuple[str, ...]
    train: Samples
    validation: Samples
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    shift: int

    @property
    def input(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def training_data(dataset: Dataset, *, limit: int | None, validation: float, seed: int) -> TrainingData:
    """Training set of ``dataset``, split by ``seed`` into training and validation, every class in its share.

    An official validation split is taken as it is. Groups of samples stay whole; the shares are then met as well as
    they allow.

    Args:
        limit: use this many images of the training set, validation included; None for all.
        validation: share of the images kept for validation.

    Raises:
        FileNotFoundError, ValueError: see `Dataset.load`; or if a class is too small to be split.
    """
    if dataset.own_validation:
        apart = None if limit is None else max(1, round(validation * limit))
        kept = None if limit is None or apart is None else limit - apart
        train = _limited(dataset.load("train", kept), kept, seed)
        held_out = _limited(dataset.load("validation", apart), apart, seed)
    else:
        samples = _limited(dataset.load("train", limit), limit, seed)
        parts = _divided(samples, validation, seed)
        train, held_out = samples[parts[0]], samples[parts[1]]
    pixels = train.images.transpose(1, 0, 2, 3).reshape(train.images.shape[1], -1)
    mean, std = pixels.mean(1, dtype=np.float64) / train.levels, pixels.std(1, dtype=np.float64) / train.levels
    return TrainingData(
        classes=dataset.classes(),
        train=train,
        validation=held_out,
        mean=tuple(mean.tolist()),
        std=tuple(np.maximum(std, 1e-6).tolist()),
        flip=dataset.flip,
        shift=dataset.shift,
    )


def _limited(samples: Samples, limit: int | None, seed: int) -> Samples:
    if limit is None or limit >= len(samples):
        return samples
    return samples[_stratified(samples.labels, limit, seed)[0]]


def _divided(samples: Samples, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the samples for training and of those for validation."""
    if samples.groups is None:
        return _stratified(samples.labels, len(samples) - round(validation * len(samples)), seed)
    from sklearn.model_selection import StratifiedGroupKFold

    groups = len(np.unique(samples.groups))
    if groups < 2:
        raise ValueError("all samples belong to one group (speaker or recording), so none can be held out.")
    folds = StratifiedGroupKFold(max(2, min(groups, round(1 / validation))), shuffle=True, random_state=seed)
    train, held_out = next(folds.split(samples.labels, samples.labels, samples.groups))
    return np.sort(train), np.sort(held_out)


def _stratified(labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of ``count`` samples, every class in its share, and of the others."""
    from sklearn.model_selection import train_test_split

    sizes = np.bincount(labels)
    rarest = int(np.argmin(np.where(sizes > 0, sizes, sizes.max())))
    try:
        chosen, rest = train_test_split(np.arange(len(labels)), train_size=count, stratify=labels, random_state=seed)
    except ValueError:
        raise ValueError(
            f"cannot divide {len(labels)} images of {np.count_nonzero(sizes)} classes into {count} and "
            f"{len(labels) - count} with every class in both (the rarest, class {rarest}, has {sizes[rarest]}). "
            "Use more images."
        ) from None
    return np.sort(chosen), np.sort(rest)

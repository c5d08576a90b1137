"""What a trial sees: how a training set is divided into training and validation, and resized.

A search sees training and validation only.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from trainers.dataset import Dataset
from trainers.samples import Images, Samples
from trainers.shares import Shares
from trainers.task import Classification, Shape, Task

CHUNK = 256
"""Images that are read or converted at a time."""
SAMPLED = 10_000
"""Images of a streamed training set whose mean and standard deviation stand for all."""
LEAST_STD = 1e-6
"""Standard deviation below which a channel has no contrast."""


@dataclass(frozen=True)
class TrainingData:
    """What a trial sees: training and validation samples and what is known of them.

    Args:
        classes: names of the classes, by number.
        mean, std: per channel in pixel units 0..1, of the training samples.
        flip, shift, decibels: which augmentations suit the data (`Dataset`).
        things: what the samples are, for messages.
        notes: what a person should know of how the data were read.
        decided: options of the data set that the training split has decided, by name.
        task: what is learnt from them.
    """

    classes: tuple[str, ...]
    train: Samples
    validation: Samples
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    shift: int
    things: str = "images"
    notes: tuple[str, ...] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)
    task: Task = field(default_factory=Classification)
    decibels: float = 0.0

    @property
    def input(self) -> Shape:
        """(C, H, W) of what a network is given of one sample."""
        return self.task.takes(self._sample)

    @property
    def outputs(self) -> int | Shape:
        """What a network for these data returns for one image: so many logits, or (C, H, W) values."""
        return self.task.outputs(self._sample, len(self.classes))

    @property
    def _sample(self) -> Shape:
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def with_share(self, share: float, seed: int) -> "TrainingData":
        """With a share of the training samples: of every class about as much, but one at least.

        What a smaller share has is in every larger one of the same seed. Mean and deviation stay those of all.
        """
        labels, generator = self.train.labels, np.random.default_rng(seed)
        classes, place = np.unique(labels), np.empty(len(labels))
        for label in classes:
            own = generator.permutation(np.flatnonzero(labels == label))
            place[own] = np.arange(len(own)) / len(own)
        kept = max(len(classes), round(share * len(labels)))
        return replace(self, train=self.train[np.sort(np.argsort(place, kind="stable")[:kept])])


def training_data(
    dataset: Dataset, *, limit: int | None, validation: float, seed: int, resolution: int | None = None
) -> TrainingData:
    """Training set of ``dataset``, split by ``seed`` into training and validation, every class in its share.

    An official validation split is used as it is. Groups of samples stay whole; the shares are then met as well as
    they allow.

    Args:
        limit: use this many images of the training set, validation included; None for all. A class whose share would be
            less keeps two.
        validation: share of the images kept for validation; 0 to train on all, a fifth of which is then given as
            validation images too.
        resolution: sides in pixels to which the images are resized; the shift that suits them is scaled with them.

    Raises:
        FileNotFoundError, ValueError: see `Dataset.load`; or if a class cannot be in both parts, or nothing is to be
            seen in the training images.
    """
    if resolution is not None and not dataset.poses().pictures:
        raise ValueError(f"resolution is for images; {dataset.name} has {dataset.things}. Leave data.resolution out.")
    if dataset.own_validation and not validation:
        raise ValueError("the data have a validation split of their own; leave data.validation as it is.")
    shares = Shares(dataset, limit, validation or 0.2, seed)
    if dataset.own_validation:
        train, held_out = shares.official()
    else:
        samples = shares.limited("train", limit, least=2)
        parts = shares.divided(samples)
        train, held_out = samples[parts[0]] if validation else samples, samples[parts[1]]
    shift = dataset.shift
    if resolution is not None:
        shift = round(shift * resolution / min(train.images.shape[2:]))
        train, held_out = resized(train, resolution), resized(held_out, resolution)
    mean, std = _statistics(train)
    if std.max() < LEAST_STD:
        shades = ", ".join(f"{value:.3g}" for value in mean)
        raise ValueError(
            f"the training {dataset.things} have no contrast: every pixel is {shades} (0 is black, 1 white), so that "
            "there is nothing to learn from. Check how the files were made."
        )
    return TrainingData(
        classes=dataset.classes(),
        train=train,
        validation=held_out,
        mean=tuple(mean.tolist()),
        std=tuple(np.maximum(std, LEAST_STD).tolist()),
        flip=dataset.flip,
        shift=shift,
        things=dataset.things,
        notes=tuple(dict.fromkeys((*train.notes, *held_out.notes, *shares.notes))),
        decided=train.decided,
        task=dataset.poses(),
        decibels=dataset.decibels,
    )


def resized(samples: Samples, resolution: int) -> Samples:
    """``samples`` with images of ``resolution`` x ``resolution`` pixels, by antialiased bilinear interpolation."""
    images = samples.images
    if isinstance(images, np.ndarray):
        return replace(samples, images=_resize(images, resolution))
    return replace(samples, images=_Resized(images, resolution))


@dataclass(frozen=True)
class _Resized:
    """`Images` of another resolution."""

    images: Images
    resolution: int

    @property
    def shape(self) -> tuple[int, ...]:
        return *self.images.shape[:2], self.resolution, self.resolution

    @property
    def dtype(self) -> np.dtype:
        return self.images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        return _resize(self.images[index], self.resolution)

    def subset(self, index: np.ndarray) -> np.ndarray | Images:
        images = self.images.subset(index)
        if isinstance(images, np.ndarray):
            return _resize(images, self.resolution)
        return _Resized(images, self.resolution)

    def fingerprint(self) -> bytes:
        return self.images.fingerprint() + b"%d" % self.resolution


def _resize(images: np.ndarray, resolution: int) -> np.ndarray:
    out = np.empty((*images.shape[:2], resolution, resolution), images.dtype)
    for start, chunk in _chunks(images):
        pixels = F.interpolate(torch.tensor(chunk), size=(resolution, resolution), mode="bilinear", antialias=True)
        out[start : start + len(chunk)] = pixels.numpy()
    return out


def _chunks(images: np.ndarray | Images) -> Iterator[tuple[int, np.ndarray]]:
    """Some images at a time, with the number of the first."""
    for start in range(0, len(images), CHUNK):
        yield start, images[start : start + CHUNK]


def _statistics(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (C,) in pixel units 0..1, of a sample if the images must be read for it."""
    images, count = samples.images, len(samples)
    chunks = (chunk for _, chunk in _chunks(images))
    if not isinstance(images, np.ndarray) and count > SAMPLED:
        sample = np.sort(np.random.default_rng(0).permutation(count)[:SAMPLED])
        chunks, count = (images[sample[start : start + CHUNK]] for start in range(0, SAMPLED, CHUNK)), SAMPLED
    channels, *sides = images.shape[1:]
    total, squares = np.zeros(channels), np.zeros(channels)
    for chunk in chunks:
        pixels = chunk.transpose(1, 0, 2, 3).reshape(channels, -1).astype(np.float64)
        total += pixels.sum(1)
        squares += np.einsum("cn,cn->c", pixels, pixels)
    mean, mean_square = (figure / (count * math.prod(sides)) for figure in (total, squares))
    return mean / samples.levels, np.sqrt(np.maximum(mean_square - mean**2, 0)) / samples.levels

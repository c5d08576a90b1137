"""Samples with their labels: whole arrays, or, where they are too many for the memory, files read on demand."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

Split = Literal["train", "validation", "test"]


class Images(Protocol):
    """Images that are read on demand; safe to use from several threads, and cheap to pickle."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of the arrays that reading returns."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        """(B, C, H, W): the images of those numbers, read now.

        Raises:
            ValueError: if a file is damaged, naming it.
        """
        ...

    def subset(self, index: np.ndarray) -> "np.ndarray | Images":
        """The images of those numbers, not read yet; an array if they are few enough to hold."""
        ...

    def fingerprint(self) -> bytes:
        """Changes when the images do, as far as that shows without reading them all."""
        ...


@dataclass(frozen=True)
class Samples:
    """Images with their labels.

    Args:
        images: (N, C, H, W), uint8 in 0..levels, or float32 in 0..1 with ``levels`` 1 (values of series, which are no
            pictures, are float32 on their standardised scale); an array or `Images`.
        labels: (N,) int64 class numbers from 0.
        levels: the pixel value that is white.
        groups: (N,) numbers of what must not be divided between training and validation, for example speakers; None if
            images can be divided one by one.
        notes: what a person should know of how these were read, a sentence each; what is a name in them is quoted by
            `repr`, for it may hold anything.
        decided: options of the data set (`Dataset.decided`) that this split, being the one for training, has decided.
    """

    images: np.ndarray | Images
    labels: np.ndarray
    levels: int = 255
    groups: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: np.ndarray) -> "Samples":
        groups = None if self.groups is None else self.groups[index]
        images = self.images[index] if isinstance(self.images, np.ndarray) else self.images.subset(index)
        return replace(self, images=images, labels=self.labels[index], groups=groups)

    def tensors(self, device: torch.device | str = "cpu") -> "tuple[Tensor | Streamed, Tensor]":
        """Images as float32 (N, C, H, W) in [0, 1], channels last in memory, and labels, on ``device``.

        `Images` stay in their files: a slice of them is read on demand.
        """
        labels = torch.tensor(self.labels, device=device)
        if isinstance(self.images, np.ndarray):
            return _pixels(self.images, self.levels, device), labels
        return Streamed(self.images, self.levels, device), labels


@dataclass(frozen=True)
class Streamed:
    """`Images` as float tensors on a device, a slice at a time."""

    images: Images
    levels: int
    device: torch.device | str

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice | Tensor) -> Tensor:
        """(B, C, H, W) float32 in [0, 1], read now."""
        index = part if isinstance(part, slice) else part.cpu().numpy()
        return _pixels(self.images[index], self.levels, self.device)


def _pixels(images: np.ndarray, levels: int, device: torch.device | str) -> Tensor:
    pixels = torch.tensor(images, device=device).float().div_(levels)
    return pixels.contiguous(memory_format=torch.channels_last)

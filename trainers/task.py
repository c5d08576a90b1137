"""What a network is to learn from a data set: which outputs, for which inputs, and how far they are from right.

A data set states its task. How samples are divided follows their labels, every one in its share, whatever the task; a
task that needs none of them leaves them to that.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainers.samples import Streamed

Shape = tuple[int, int, int]
"""(C, H, W) of one sample."""
Draw = Callable[[torch.Size], Tensor]
"""Standard normal numbers of a shape (B, C, H, W), on the CPU."""


@dataclass(frozen=True)
class Task(ABC):
    """A kind of question; implementations are frozen dataclasses whose fields are its settings."""

    name: ClassVar[str]
    """What objectives call it that are for this task alone."""
    objectives: ClassVar[tuple[str, ...]]
    """Names of the objectives that suit it, where nobody asks for others; the first is what a training shows."""
    labelled: ClassVar[bool]
    """Whether the targets are class numbers, which can be smoothed and mixed."""
    pictures: ClassVar[bool] = True
    """Whether samples are pictures: values in [0, 1] that may be resized, mirrored and cropped."""
    aligned: ClassVar[bool] = True
    """Whether values that a network returns stand for the positions of its input, one for one."""

    def takes(self, sample: Shape) -> Shape:
        """What a network is given of each sample (C, H, W): all of it, unless a part of it is the target."""
        return sample

    @abstractmethod
    def outputs(self, sample: Shape, classes: int) -> int | Shape:
        """What a network for samples (C, H, W) returns for each: so many logits, or (C, H, W) values."""

    @abstractmethod
    def examples(self, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a batch to train on.

        Args:
            images: (B, C, H, W), pictures in [0, 1].
            labels: (B,) class numbers.
            generator: on the CPU, of all that is random.
        """

    @abstractmethod
    def measured(self, images: Tensor | Streamed) -> "tuple[Inputs, Inputs | None]":
        """Inputs of the images to measure on, the same ones every time; and their targets, unless those are labels."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """(B,) loss of each sample; ``smoothing``: share of the targets spread over all classes, where they are."""


@dataclass(frozen=True)
class Classification(Task):
    """Which of the classes an image is of: cross-entropy on its label."""

    name = "classification"
    objectives = ("accuracy", "robust_accuracy")
    labelled = True

    def outputs(self, sample: Shape, classes: int) -> int:
        return classes

    def examples(self, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return images, labels

    def measured(self, images: Tensor | Streamed) -> tuple[Tensor | Streamed, None]:
        return images, None

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(outputs, targets, label_smoothing=smoothing, reduction="none")


@dataclass(frozen=True)
class ImageRegression(Task):
    """The image itself, from what `spoilt` has made of it: mean squared error of its pixels."""

    name = "image regression"
    objectives = ("r2", "psnr", "mse")
    labelled = False

    @abstractmethod
    def spoilt(self, images: Tensor, draw: Draw) -> Tensor:
        """(B, C, H, W) what the network is given for ``images``; ``draw`` is where random numbers come from."""

    def outputs(self, sample: Shape, classes: int) -> Shape:
        return sample

    def examples(self, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return self.spoilt(images, lambda shape: torch.randn(shape, generator=generator)), images

    def measured(self, images: Tensor | Streamed) -> "tuple[Posed, Tensor | Streamed]":
        return Posed(self, images), images

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return F.mse_loss(outputs, targets, reduction="none").flatten(1).mean(1)


@dataclass(frozen=True)
class Posed:
    """Spoilt images, a slice at a time; what is random in an image depends on its number alone."""

    task: ImageRegression
    images: Tensor | Streamed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice | Tensor) -> Tensor:
        """(B, C, H, W) float32 inputs for these images."""
        numbers = range(len(self))[part] if isinstance(part, slice) else part.tolist()

        def draw(shape: torch.Size) -> Tensor:
            return torch.stack([torch.randn(shape[1:], generator=Generator().manual_seed(n)) for n in numbers])

        return self.task.spoilt(self.images[part], draw)


@dataclass(frozen=True)
class Forecasting(Task):
    """The values that follow a stretch of a series, from that stretch: mean squared error.

    A sample is a window (1, variates, context + horizon) on the standardised scale of its series.

    Args:
        context: steps that the network is given.
        horizon: steps after them that it returns.
    """

    context: int = 96
    horizon: int = 96

    name = "forecasting"
    objectives = ("mse", "mae")
    labelled = False
    pictures = False
    aligned = False

    def takes(self, sample: Shape) -> Shape:
        return sample[0], sample[1], sample[2] - self.horizon

    def outputs(self, sample: Shape, classes: int) -> Shape:
        return sample[0], sample[1], self.horizon

    def examples(self, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return images[..., : self.context], images[..., self.context :]

    def measured(self, images: Tensor | Streamed) -> "tuple[Stretch, Stretch]":
        return Stretch(images, 0, self.context), Stretch(images, self.context, self.context + self.horizon)

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return F.mse_loss(outputs, targets, reduction="none").flatten(1).mean(1)


@dataclass(frozen=True)
class Stretch:
    """The same steps of every window, some windows at a time."""

    windows: Tensor | Streamed
    start: int
    end: int

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, part: slice | Tensor) -> Tensor:
        """(B, 1, variates, end - start) float32 values of these windows."""
        return self.windows[part][..., self.start : self.end]


Inputs = Tensor | Streamed | Posed | Stretch
"""What a network is measured on, some samples at a time."""

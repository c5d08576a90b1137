"""What a network is to learn from a data set: which outputs, for which inputs, and how far they are from right.

A data set states its task. How samples are divided follows their labels, every one in its share, whatever the task; a
task that needs none of them leaves them to that.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Generator, Tensor

Shape = tuple[int, int, int]
"""(C, H, W) of one sample."""


@dataclass(frozen=True)
class Task(ABC):
    """A kind of question; implementations are frozen dataclasses whose fields are its settings."""

    name: ClassVar[str]
    """What objectives call it that are for this task alone."""
    labelled: ClassVar[bool]
    """Whether the targets are class numbers, which can be smoothed and mixed."""

    @abstractmethod
    def outputs(self, input: Shape, classes: int) -> int | Shape:
        """What a network for samples ``input`` = (C, H, W) returns for each: so many logits, or (C, H, W) values."""

    @abstractmethod
    def examples(self, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a batch to train on.

        Args:
            images: (B, C, H, W) in [0, 1].
            labels: (B,) class numbers.
            generator: on the CPU, of all that is random.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Mean loss of a batch; ``smoothing``: share of the targets spread over all classes, where they are classes."""


@dataclass(frozen=True)
class Classification(Task):
    """Which of the classes an image is of: cross-entropy on its label."""

    name = "classification"
    labelled = True

    def outputs(self, input: Shape, classes: int) -> int:
        return classes

    def examples(self, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return images, labels

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(outputs, targets, label_smoothing=smoothing)

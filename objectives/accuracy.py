"""Share of images classified correctly."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from objectives.objective import Candidate, Direction, Estimate, Images, Needs, Objective, Scale, objective

BATCH = 500
"""Images in one forward pass while measuring."""
GROUPS = 20
"""Groups of images that are left out in turn for the standard error of a figure that is no mean."""


@dataclass(frozen=True)
class OfLogits(Objective):
    """A fraction to be made large, from the logits of all images."""

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"
    task: ClassVar[str] = "classification"

    def measure(self, candidate: Candidate) -> float:
        images, labels = candidate.examples()
        return self.estimate(logits(candidate.model, images), labels)

    def estimate(self, outputs: Tensor, labels: Tensor) -> Estimate:
        """The value for logits (N, K) and labels (N,), with its standard error."""
        value = self.figure(outputs, labels)
        if isinstance(value, Estimate):
            return value
        error = jackknife(self.figure, outputs, labels)
        return Estimate(value, standard_error=error, n=len(labels), kind="jackknife")

    def figure(self, outputs: Tensor, labels: Tensor) -> float:
        """The value for logits (N, K) and labels (N,); a plain number gets its standard error by the jackknife."""
        raise NotImplementedError

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {"samples": len(candidate.examples()[1])}


@objective("accuracy")
@dataclass(frozen=True)
class Accuracy(OfLogits):
    """Top-1 accuracy, a fraction in [0, 1]."""

    def figure(self, outputs: Tensor, labels: Tensor) -> Estimate:
        return Estimate.share(outputs.argmax(1) == labels)


def jackknife(figure: Callable[[Tensor, Tensor], float], outputs: Tensor, labels: Tensor) -> float | None:
    """Standard error of ``figure(outputs, labels)``, leaving out each of `GROUPS` groups of images in turn.

    Every class is spread over the groups. None where a class has a single image, as it would vanish with its group.

    Source: Efron & Tibshirani 1993, section 11.5.
    """
    counts = torch.bincount(labels)
    groups = min(GROUPS, len(labels))
    if int(counts[counts > 0].min()) < 2:
        return None
    group = torch.empty_like(labels)
    group[labels.argsort(stable=True)] = torch.arange(len(labels), device=labels.device) % groups
    kept = (group != number for number in range(groups))
    values = torch.tensor([figure(outputs[rest], labels[rest]) for rest in kept], dtype=torch.float64)
    return math.sqrt((groups - 1) * float(values.var(correction=0)))


def correct(model: nn.Module, images: Images, labels: Tensor) -> Tensor:
    """(N,) booleans: whether the model, in eval mode, predicts the label of each image.

    Raises:
        FloatingPointError: if the model's logits are not finite.
    """
    return logits(model, images).argmax(1) == labels


@torch.no_grad()
def logits(model: nn.Module, images: Images) -> Tensor:
    """(N, K) outputs of the model in eval mode.

    Raises:
        FloatingPointError: if they are not finite.
    """
    found = in_batches(model.eval(), images)
    if not torch.isfinite(found).all():
        raise FloatingPointError("the model's logits are not finite.")
    return found


@torch.no_grad()
def in_batches(run: Callable[[Tensor], Tensor], images: Images) -> Tensor:
    """What ``run`` returns for all images, `BATCH` at a time."""
    return torch.cat([run(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])

"""Share of images classified correctly."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from objectives.objective import Candidate, Direction, Images, Needs, Objective, Scale, objective

BATCH = 500
"""Images in one forward pass while measuring."""


@dataclass(frozen=True)
class OfLogits(Objective):
    """A fraction to be made large, from the logits of all images."""

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"
    task: ClassVar[str] = "classification"

    def measure(self, candidate: Candidate) -> float:
        images, labels = candidate.examples()
        return self.figure(logits(candidate.model, images), labels)

    def figure(self, outputs: Tensor, labels: Tensor) -> float:
        """The value for logits (N, K) and labels (N,)."""
        raise NotImplementedError

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {"samples": len(candidate.examples()[1])}


@objective("accuracy")
@dataclass(frozen=True)
class Accuracy(OfLogits):
    """Top-1 accuracy, a fraction in [0, 1]."""

    def figure(self, outputs: Tensor, labels: Tensor) -> float:
        return float((outputs.argmax(1) == labels).double().mean())


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
    model.eval()
    outputs = torch.cat([model(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])
    if not torch.isfinite(outputs).all():
        raise FloatingPointError("the model's logits are not finite.")
    return outputs

"""A trainer of one's own: plain gradient descent on the classifier alone."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from trainers import DivergedError, Epoch
from trainers.trainer import Trainer, trainer


@trainer("last_layer")
@dataclass(frozen=True)
class LastLayer(Trainer):
    """Whole-batch steps on the last layer of a network, one an epoch.

    Args:
        rate: length of a step.
    """

    rate: float = 0.5

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        images, labels = data.train.tensors(next(model.parameters()).device)
        last = [p for p in list(model.modules())[-1].parameters() if p.requires_grad]
        for number in range(1, self.epochs + 1):
            loss = F.cross_entropy(model.train()(images[:]), labels)
            if not loss.isfinite():
                raise DivergedError(f"the loss was {loss} in epoch {number} of {self.epochs}.")
            for p, gradient in zip(last, torch.autograd.grad(loss, last), strict=True):
                p.data -= self.rate * gradient
            report(Epoch(number, self.epochs, float(loss.detach()), 0.0))
        model.eval()

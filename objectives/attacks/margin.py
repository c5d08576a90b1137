"""Projected gradient descent on the margin between classes (Carlini & Wagner 2017, their loss without its box search).

The cross-entropy of an image that is classified with certainty has hardly a gradient; the margin of its logits has.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from objectives.attacks.attack import attack, margin
from objectives.attacks.pgd import Loss, Pgd, climb


@attack("margin")
@dataclass(frozen=True)
class Margin(Pgd):
    """Steps up the margin of the likeliest wrong class, then, for images that survive, of one wrong class at a time.

    Args:
        targets: wrong classes that are aimed at besides, the likeliest of each image first; 0 for none.
    """

    targets: int | None = None

    def check_classes(self, number: int) -> None:
        if self.targets is not None and self.targets >= number:
            raise ValueError(
                f"targets = {self.targets} needs at least {self.targets + 1} classes, got {number}. Use targets = "
                f"{number - 1}, or leave it out."
            )

    def climbs(self, logits: Tensor, labels: Tensor) -> Tensor:
        return margin(logits, labels)

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        best = climb(self, model, images, labels, steps=self.steps, step_size=self.step_size, loss=margin, start=start)
        if not self.targets:
            return best
        with torch.no_grad():
            wrong = model(images).scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)[:, :-1]
        for target in wrong[:, : self.targets].T:
            with torch.no_grad():
                held = margin(model(best), labels) <= 0
            if not held.any():
                break
            found = climb(
                self,
                model,
                images[held],
                labels[held],
                steps=self.steps,
                step_size=self.step_size,
                loss=_towards(target[held]),
                start=None if start is None else start[held],
            )
            best[held] = found
        return best


def _towards(target: Tensor) -> Loss:
    """Loss that raises the logit of each image's target above that of its class."""

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.gather(1, target[:, None])[:, 0] - logits.gather(1, labels[:, None])[:, 0]

    return loss

"""Auto-PGD: projected gradient descent with momentum whose step halves where it stops helping (Croce & Hein 2020)."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from objectives.attacks.attack import Attack, Norm, attack, margin, project, steepest
from objectives.attacks.pgd import cross_entropy

MOMENTUM = 0.75
RISING = 0.75
"""Share of the steps between two looks at the step size that must raise the loss, or the step is halved."""


@attack("apgd")
@dataclass(frozen=True)
class Apgd(Attack):
    """Returns, of all images on the way, an error if there was one, else the one of the highest loss.

    Args:
        steps: number of gradient steps; AutoAttack takes 100.
        loss: ``cross_entropy``, or ``dlr``, the difference of logits ratio, which needs three classes.
    """

    steps: int = 20
    loss: Literal["cross_entropy", "dlr"] = "cross_entropy"

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    def check_classes(self, number: int) -> None:
        if self.loss == "dlr" and number < 3:
            raise ValueError(f"the loss dlr needs at least 3 classes, got {number}. Use loss = 'cross_entropy'.")

    def climbs(self, logits: Tensor, labels: Tensor) -> Tensor:
        self.check_classes(logits.shape[1])
        return cross_entropy(logits, labels) if self.loss == "cross_entropy" else _dlr(logits, labels)

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        found = images.clone()
        walk = _Walk(self, model, images, labels, start)
        places = torch.arange(len(images), device=images.device)
        for number, after in _intervals(self.steps):
            places = walk.drop_fooled(found, places)
            if len(places) == 0:
                return found
            for step in range(number, after):
                walk.move(first=step == 0)
            walk.look_back(after - number)
        found[places] = torch.where(walk.fooled[:, None, None, None], walk.fooling, walk.best)
        return found


class _Walk:
    """Images on their way, those that are errors already left out now and then."""

    def __init__(self, ball: Apgd, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None) -> None:
        self.ball, self.model = ball, model
        self.images, self.labels = images, labels
        self.x = images.clone() if start is None else self.keep(images + start)
        self.previous = self.x
        self.step = torch.full((len(images), 1, 1, 1), 2 * ball.epsilon, device=images.device)
        self.loss, self.gradient, self.fooled = self.look()
        self.best, self.best_loss, self.best_gradient = self.x.clone(), self.loss.clone(), self.gradient.clone()
        self.fooling = self.x.clone()
        self.rises, self.last_best = torch.zeros_like(self.loss), self.loss.clone()
        self.halved = torch.zeros_like(self.fooled)

    def keep(self, x: Tensor) -> Tensor:
        """The nearest images in the ball and in the pixel range."""
        return (self.images + project(x - self.images, self.ball.epsilon, self.ball.norm)).clamp(0, 1)

    def look(self) -> tuple[Tensor, Tensor, Tensor]:
        """(B,) losses, their gradient, and whether the network errs."""
        x = self.x.detach().requires_grad_(True)
        logits = self.model(x)
        loss = self.ball.climbs(logits, self.labels)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        return loss.detach(), gradient, margin(logits.detach(), self.labels) > 0

    def move(self, *, first: bool) -> None:
        """One step with momentum."""
        ahead = self.keep(self.x + self.step * steepest(self.gradient, self.ball.norm))
        moved = ahead if first else self.x + MOMENTUM * (ahead - self.x) + (1 - MOMENTUM) * (self.x - self.previous)
        self.previous, self.x, before = self.x, self.keep(moved), self.loss
        self.loss, self.gradient, erring = self.look()
        new = erring & ~self.fooled
        self.fooling[new], self.fooled = self.x[new], self.fooled | erring
        self.rises += self.loss > before
        better = self.loss > self.best_loss
        self.best[better], self.best_loss[better] = self.x[better], self.loss[better]
        self.best_gradient[better] = self.gradient[better]

    def look_back(self, steps: int) -> None:
        """Halves the step of images that made little of the last ``steps`` and puts them back to their best."""
        stuck = (self.rises < RISING * steps) | (~self.halved & (self.last_best >= self.best_loss))
        self.step[stuck] /= 2
        self.x, self.gradient = self.x.clone(), self.gradient.clone()
        self.x[stuck], self.gradient[stuck] = self.best[stuck], self.best_gradient[stuck]
        self.halved, self.last_best = stuck, self.best_loss.clone()
        self.rises.zero_()

    def drop_fooled(self, found: Tensor, places: Tensor) -> Tensor:
        """Writes the errors to ``found`` and leaves them out; returns the places of the others."""
        found[places[self.fooled]] = self.fooling[self.fooled]
        going = ~self.fooled
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[going])
        return places[going]


def _dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) margin over the distance from the highest to the third logit: the same for logits of any scale."""
    highest = logits.sort(dim=1, descending=True).values
    return margin(logits, labels) / (highest[:, 0] - highest[:, 2] + 1e-12)


def _intervals(steps: int) -> list[tuple[int, int]]:
    """Where the step size is looked at: after 22 % of the steps, then in shorter and shorter intervals."""
    places, shares = {math.ceil(0.22 * steps)}, [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
        places.add(math.ceil(shares[-1] * steps))
    return list(pairwise([0, *sorted(place for place in places if place < steps), steps]))

"""Auto-PGD: projected gradient descent with momentum whose step halves where it stops helping (Croce & Hein 2020)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from objectives.attacks.attack import Attack, Norm, attack, margin, project, steepest
from objectives.attacks.pgd import cross_entropy

MOMENTUM = 0.75
RISING = 0.75
"""Share of the steps between two checkpoints that must raise the loss, or the step is halved."""


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

    def climbs(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels) if self.loss == "cross_entropy" else _dlr(logits, labels)

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        def keep(x: Tensor) -> Tensor:
            return (images + project(x - images, self.epsilon, self.norm)).clamp(0, 1)

        x = images.clone() if start is None else keep(images + start)
        previous, step = x, torch.full((len(x), 1, 1, 1), 2 * self.epsilon, device=x.device)
        best_loss, gradient, erring = self._look(model, x, labels)
        best, best_gradient, fooling, fooled = x.clone(), gradient.clone(), x.clone(), erring
        rises, last_rises = torch.zeros(len(x), device=x.device), best_loss.clone()
        halved, loss = torch.zeros(len(x), dtype=torch.bool, device=x.device), best_loss
        checkpoints = _checkpoints(self.steps)
        since = 0
        for number in range(1, self.steps + 1):
            ahead = keep(x + step * steepest(gradient, self.norm))
            moved = x + MOMENTUM * (ahead - x) + (1 - MOMENTUM) * (x - previous) if number > 1 else ahead
            previous, x, before = x, keep(moved), loss
            loss, gradient, erring = self._look(model, x, labels)
            fooling[erring & ~fooled], fooled = x[erring & ~fooled], fooled | erring
            rises += loss > before
            better = loss > best_loss
            best[better], best_loss[better], best_gradient[better] = x[better], loss[better], gradient[better]
            since += 1
            if number in checkpoints:
                stuck = (rises < RISING * since) | (~halved & (last_rises >= best_loss))
                step[stuck] /= 2
                x, gradient = x.clone(), gradient.clone()
                x[stuck], gradient[stuck] = best[stuck], best_gradient[stuck]
                halved, last_rises, since = stuck, best_loss.clone(), 0
                rises.zero_()
        best[fooled] = fooling[fooled]
        return best

    def _look(self, model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B,) losses, their gradient, and whether the network errs."""
        x = x.detach().requires_grad_(True)
        logits = model(x)
        loss = self.climbs(logits, labels)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        return loss.detach(), gradient, margin(logits.detach(), labels) > 0


def _dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) margin over the distance from the highest to the third logit: the same for logits of any scale."""
    if logits.shape[1] < 3:
        raise ValueError(f"the loss dlr needs at least 3 classes, got {logits.shape[1]}. Use loss = 'cross_entropy'.")
    highest = logits.sort(dim=1, descending=True).values
    return margin(logits, labels) / (highest[:, 0] - highest[:, 2] + 1e-12)


def _checkpoints(steps: int) -> set[int]:
    """The steps after which the step size is looked at: after 22 % of them, then in shorter and shorter intervals."""
    places, shares = {math.ceil(0.22 * steps)}, [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
        places.add(math.ceil(shares[-1] * steps))
    return places

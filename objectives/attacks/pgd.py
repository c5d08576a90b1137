"""Projected gradient descent, untargeted (Madry et al. 2018)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from objectives.attacks.attack import Attack, Norm, attack

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, K) and labels (B,) -> (B,) what the attack makes larger."""


@attack("pgd")
@dataclass(frozen=True)
class Pgd(Attack):
    """Steps up the cross-entropy, each followed by a projection onto the ball, so that the last step counts.

    Args:
        steps: number of gradient steps.
    """

    steps: int = 10

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    @property
    def step_size(self) -> float:
        """Length of a step in the norm: 2.5 epsilon / steps, or epsilon for a single step."""
        return self.epsilon if self.steps == 1 else 2.5 * self.epsilon / self.steps

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        return climb(self, model, images, labels, steps=self.steps, step_size=self.step_size, start=start)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "step_size": self.step_size}


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) cross-entropy of each image."""
    return F.cross_entropy(logits, labels, reduction="none")


def climb(
    ball: Attack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    step_size: float,
    loss: Loss = cross_entropy,
    start: Tensor | None = None,
) -> Tensor:
    """(B, C, H, W) images within the ball of an attack that raise ``loss`` by ``steps`` projected gradient steps.

    Args:
        start: (B, C, H, W) perturbation to start from; zero unless given.
    """
    delta = torch.zeros_like(images) if start is None else (images + start).clamp(0, 1) - images
    for _ in range(steps):
        delta.requires_grad_(True)
        # Summed over the batch, so that a step does not depend on the batch size.
        (gradient,) = torch.autograd.grad(loss(model(images + delta), labels).sum(), delta)
        delta = ball.climbed(delta.detach(), gradient, step_size)
        delta = (images + delta).clamp(0, 1) - images
    return (images + delta).detach()

"""Projected gradient descent, L-infinity, untargeted (Madry et al. 2018)."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from objectives.attacks.attack import Attack, attack


@attack("pgd")
@dataclass(frozen=True)
class Pgd(Attack):
    """Steps along the sign of the gradient, each followed by a projection onto the ball, so that the last step counts.

    Args:
        steps: number of gradient steps.
    """

    steps: int = 10

    @property
    def step_size(self) -> float:
        """Length of a step in pixel units: 2.5 epsilon / steps, or epsilon for a single step."""
        return self.epsilon if self.steps == 1 else 2.5 * self.epsilon / self.steps

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        return projected_steps(
            model, images, labels, epsilon=self.epsilon, steps=self.steps, step_size=self.step_size, start=start
        )

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "step_size": self.step_size}


def projected_steps(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    step_size: float,
    start: Tensor | None = None,
) -> Tensor:
    """(B, C, H, W) images within ``epsilon`` of ``images`` in every pixel that raise the cross-entropy to ``labels``.

    Args:
        start: (B, C, H, W) perturbation to start from; zero unless given.
    """
    delta = torch.zeros_like(images) if start is None else (images + start).clamp(0, 1) - images
    for _ in range(steps):
        delta.requires_grad_(True)
        # Summed over the batch, so that a step does not depend on the batch size.
        loss = F.cross_entropy(model(images + delta), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = (delta.detach() + step_size * gradient.sign()).clamp(-epsilon, epsilon)
        delta = (images + delta).clamp(0, 1) - images
    return (images + delta).detach()

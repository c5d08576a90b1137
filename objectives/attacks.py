"""Adversarial attacks in pixel space: FGSM and PGD, L-infinity, untargeted.

The loss is summed over the batch, so that a step does not depend on the batch size; every step ends with a projection,
so that the last one counts; images stay in [0, 1] and normalisation belongs to the model. Our own because a library in
the inner loop of a search costs 5 to 80 % more for the same result; a test holds it to foolbox.

Source: Goodfellow et al. 2015 (FGSM), Madry et al. 2018 (PGD).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def radius(value: float | str) -> float:
    """Radius of an attack in pixel units 0..1, from a number or a quotient such as ``"8/255"``.

    Raises:
        ValueError: if it is not a number in [0, 1].
    """
    try:
        above, *below = str(value).split("/")
        number = float(above) / float(*below or ["1"])
    except (ValueError, ZeroDivisionError, TypeError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f'epsilon must be a number in [0, 1] or a quotient such as "8/255", got {value!r}.')
    return number


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int = 10,
    step_size: float | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """Adversarial images within ``epsilon`` of ``images`` in every pixel; FGSM is one step of size ``epsilon``.

    Args:
        model: maps images to logits (B, K); put it in eval mode and its parameters to ``requires_grad_(False)`` first.
        images: (B, C, H, W) in [0, 1].
        labels: (B,) true classes; the cross-entropy to them is raised.
        step_size: 2.5 epsilon / steps unless given, epsilon for one step.
        start: (B, C, H, W) perturbation to start from; zero unless given.
    """
    size = step_size if step_size is not None else epsilon if steps == 1 else 2.5 * epsilon / steps
    delta = torch.zeros_like(images) if start is None else (images + start).clamp(0, 1) - images
    for _ in range(steps):
        delta.requires_grad_(True)
        loss = F.cross_entropy(model(images + delta), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = (delta.detach() + size * gradient.sign()).clamp(-epsilon, epsilon)
        delta = (images + delta).clamp(0, 1) - images
    return (images + delta).detach()

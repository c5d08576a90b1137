"""An attack of one's own: one step against the margin between the true class and the next best."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from objectives.attacks import Attack, attack


@attack("margin_step")
@dataclass(frozen=True)
class MarginStep(Attack):
    """A step of length epsilon along the sign of the gradient of the margin."""

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        x = (images if start is None else images + start).clamp(0, 1).requires_grad_(True)
        logits = model(x)
        true = logits.gather(1, labels[:, None])[:, 0]
        other = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        (gradient,) = torch.autograd.grad((other - true).sum(), x)
        change = (x.detach() + self.epsilon * gradient.sign() - images).clamp(-self.epsilon, self.epsilon)
        return (images + change).clamp(0, 1)

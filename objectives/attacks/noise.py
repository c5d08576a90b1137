"""Random noise: what an attack must beat, or its gradients say nothing."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from objectives.attacks.attack import Attack, Norm, attack, length, margin, own_numbers, project


@attack("noise")
@dataclass(frozen=True)
class Noise(Attack):
    """The worst of several random changes; each image has its own, which do not depend on its batch.

    Args:
        tries: changes that each image has to survive.
        kind: ``uniform`` in the ball, or ``gaussian`` with standard deviation epsilon / 2 in each pixel, cut off at the
            ball; with ``l2`` both lie on its surface.
        seed: of the changes.
    """

    tries: int = 10
    kind: Literal["uniform", "gaussian"] = "uniform"
    seed: int | None = None

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    uses_gradients: ClassVar[bool] = False

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        worst, found = images.clone(), images.new_full((len(images),), -torch.inf)
        for number in range(self.tries):
            uniform = own_numbers(images, images[0].numel(), (self.seed or 0) + number).view_as(images).to(images)
            change = 2 * uniform - 1
            if self.kind == "gaussian" or self.norm == "l2":
                change = torch.erfinv(change.clamp(-1 + 1e-6, 1 - 1e-6)) * (2**0.5 / 2)
            change = change * self.epsilon if self.norm == "linf" else change * self.epsilon / length(change)
            changed = (images + project(change, self.epsilon, self.norm)).clamp(0, 1)
            with torch.no_grad():
                reached = margin(model(changed), labels)
            better = reached > found
            worst[better], found[better] = changed[better], reached[better]
        return worst

"""Fast gradient sign method, L-infinity, untargeted (Goodfellow et al. 2015)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from objectives.attacks.attack import Attack, attack
from objectives.attacks.pgd import projected_steps


@attack("fgsm")
@dataclass(frozen=True)
class Fgsm(Attack):
    """One step of length epsilon along the sign of the gradient."""

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        return projected_steps(
            model, images, labels, epsilon=self.epsilon, steps=1, step_size=self.epsilon, start=start
        )

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "steps": 1, "step_size": self.epsilon}

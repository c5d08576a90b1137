"""Fast gradient (sign) method, untargeted (Goodfellow et al. 2015)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from objectives.attacks.attack import Attack, Norm, attack
from objectives.attacks.pgd import climb


@attack("fgsm")
@dataclass(frozen=True)
class Fgsm(Attack):
    """One step of length epsilon along the sign of the gradient, or with ``l2`` along the gradient itself."""

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        return climb(self, model, images, labels, steps=1, step_size=self.epsilon, start=start)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "steps": 1, "step_size": self.epsilon}

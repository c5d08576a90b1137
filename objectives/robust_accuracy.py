"""Share of images classified correctly under attack."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from objectives.accuracy import BATCH, correct
from objectives.attacks import pgd, radius
from objectives.objective import Candidate, Direction, Needs, Scale, objective


@objective("robust_accuracy")
@dataclass(frozen=True)
class RobustAccuracy:
    """Accuracy on adversarial images, a fraction in [0, 1]; an image counts if it survives every restart.

    Args:
        attack: ``pgd``, or ``fgsm`` (one step of size epsilon).
        epsilon: L-infinity radius in pixel units 0..1, as a number or a quotient such as ``"8/255"``.
        steps: gradient steps of PGD.
        restarts: runs of the attack; the first starts at zero, the others at random points of the ball.
        samples: number of images attacked, the first ones of the split.
        seed: of the random starts.
    """

    attack: Literal["pgd", "fgsm"] = "pgd"
    epsilon: float | str = "4/255"
    steps: int = 10
    restarts: int = 1
    samples: int = 400
    seed: int = 0

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"

    def __post_init__(self) -> None:
        radius(self.epsilon)
        if self.attack not in ("pgd", "fgsm"):
            raise ValueError(f"attack must be pgd or fgsm, got {self.attack!r}.")
        for name in ("steps", "restarts", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")

    def measure(self, candidate: Candidate) -> float:
        images, labels = candidate.examples()
        images, labels = images[: self.samples], labels[: self.samples]
        epsilon, model = radius(self.epsilon), candidate.model.eval()
        trained = [p for p in model.parameters() if p.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        generator = torch.Generator().manual_seed(self.seed)
        survived = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
        try:
            for restart in range(self.restarts):
                start = None
                if restart:
                    start = (2 * torch.rand(images.shape, generator=generator) - 1).to(images) * epsilon
                for first in range(0, len(labels), BATCH):
                    part = slice(first, first + BATCH)
                    attacked = pgd(
                        model,
                        images[part],
                        labels[part],
                        epsilon=epsilon,
                        steps=1 if self.attack == "fgsm" else self.steps,
                        start=None if start is None else start[part],
                    )
                    survived[part] &= correct(model, attacked, labels[part])
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)
        return float(survived.double().mean())

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        epsilon, steps = radius(self.epsilon), 1 if self.attack == "fgsm" else self.steps
        return {
            "attack": self.attack,
            "norm": "linf",
            "epsilon": epsilon,
            "steps": steps,
            "step_size": epsilon if steps == 1 else 2.5 * epsilon / steps,
            "start": "zero" if self.restarts == 1 else "zero, then random",
            "restarts": self.restarts,
            **({"seed": self.seed} if self.restarts > 1 else {}),
            "samples": min(self.samples, len(candidate.examples()[1])),
        }

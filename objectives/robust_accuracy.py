"""Share of images classified correctly under attack."""

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch

from objectives.accuracy import BATCH, correct
from objectives.attacks import Attack, find_attack, radius
from objectives.objective import Candidate, DataTraits, Direction, Needs, Objective, Scale, objective

EPSILON = "4/255"
"""Radius where neither the study nor the data state one."""


@objective("robust_accuracy")
@dataclass(frozen=True)
class RobustAccuracy(Objective):
    """Accuracy on adversarial images, a fraction in [0, 1]; an image counts if it survives every restart.

    Args:
        attack: name of the attack (`objectives.attacks.ATTACKS`).
        epsilon: radius in pixel units 0..1, as a number or a quotient such as ``"8/255"``; unset: what suits the data.
        steps: gradient steps, for attacks that take several.
        restarts: runs of the attack; the first starts at zero, the others at random points of the ball.
        samples: number of images attacked, the first ones of the split.
        seed: of the random starts.
    """

    attack: str = "pgd"
    epsilon: float | str | None = None
    steps: int = 10
    restarts: int = 1
    samples: int = 400
    seed: int = 0

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"

    def __post_init__(self) -> None:
        for name in ("steps", "restarts", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, got {self.seed}.")
        idle = {
            "seed": "restarts = 1" if self.restarts == 1 else "",
            "steps": "" if "steps" in self._takes() else f"attack = {self.attack!r}",
        }
        for name, reason in idle.items():
            value, default = getattr(self, name), getattr(RobustAccuracy, name)
            if reason and value != default:
                raise ValueError(f"{name} = {value} does nothing with {reason}. Leave {name} at {default}.")
        self.adversary()

    def _takes(self) -> set[str]:
        """Names of the settings of the attack."""
        return {field.name for field in fields(find_attack(self.attack))}

    def adversary(self) -> Attack:
        """The attack with the settings that it takes."""
        given = {"epsilon": radius(EPSILON if self.epsilon is None else self.epsilon), "steps": self.steps}
        takes = self._takes()
        return find_attack(self.attack)(**{name: value for name, value in given.items() if name in takes})

    def suited(self, data: DataTraits) -> "RobustAccuracy":
        return self if self.epsilon is not None else replace(self, epsilon=data.epsilon)

    def measure(self, candidate: Candidate) -> float:
        images, labels = candidate.examples()
        images, labels = images[: self.samples], labels[: self.samples]
        adversary, model = self.adversary(), candidate.model.eval()
        trained = [p for p in model.parameters() if p.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        generator = torch.Generator().manual_seed(self.seed)
        survived = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
        try:
            for restart in range(self.restarts):
                start = adversary.random_start(images, generator) if restart else None
                for first in range(0, len(labels), BATCH):
                    part = slice(first, first + BATCH)
                    attacked = adversary.perturb(
                        model, images[part], labels[part], None if start is None else start[part]
                    )
                    survived[part] &= correct(model, attacked, labels[part])
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)
        return float(survived.double().mean())

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {
            "attack": self.attack,
            **self.adversary().settings(),
            "start": "zero" if self.restarts == 1 else "zero, then random",
            "restarts": self.restarts,
            **({"seed": self.seed} if self.restarts > 1 else {}),
            "samples": min(self.samples, len(candidate.examples()[1])),
        }

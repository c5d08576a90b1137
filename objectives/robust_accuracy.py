"""Share of images classified correctly under attack."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from objectives import sanity
from objectives.accuracy import BATCH, correct
from objectives.attacks import Attack, make_attack
from objectives.attacks.transfer import Transfer, transferred
from objectives.devices import SteadyBatches
from objectives.objective import (
    Candidate,
    DataTraits,
    Direction,
    Estimate,
    Needs,
    Objective,
    Scale,
    Surrogate,
    objective,
)


@objective("robust_accuracy")
@dataclass(frozen=True)
class RobustAccuracy(Objective):
    """Share of images classified correctly before the attack and after every restart of it, a fraction in [0, 1].

    Args:
        attack: name of the attack (`objectives.attacks.ATTACKS`).
        epsilon: radius in pixel units 0..1, as a number or a quotient such as ``"8/255"``; unset: what suits the data.
        steps: gradient steps; unset: what the attack takes.
        restarts: runs of the attack; the first starts at zero, the others at random points of the ball.
        options: further settings of the attack, by name, such as ``norm``, ``loss`` or ``queries``.
        samples: number of images attacked, every class in its share.
        seed: of the random starts.
        sanity: look for signs that the attack failed where the network is not robust (`objectives.sanity`).
        surrogates: names of the networks on which a transfer attack makes its images; unset: all that there are.
    """

    attack: str = "pgd"
    epsilon: float | str | None = None
    steps: int | None = None
    restarts: int = 1
    samples: int = 400
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    sanity: bool = True
    surrogates: list[str] | None = None

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"
    task: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        for name in ("restarts", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, got {self.seed}.")
        if self.seed and self.restarts == 1:
            raise ValueError(f"seed = {self.seed} does nothing with restarts = 1. Leave it out.")
        if not self.transfers and self.surrogates is not None:
            raise ValueError(
                f"attack {self.attack!r} takes no surrogates, because it attacks the network itself. Leave surrogates "
                "out, or take attack = 'transfer'."
            )
        if self.surrogates is not None and (not self.surrogates or len(set(self.surrogates)) < len(self.surrogates)):
            raise ValueError(f"surrogates must be one or more different names, got {self.surrogates}.")

    def adversary(self) -> Attack:
        """The attack with the settings that it takes."""
        return make_attack(self.attack, self.epsilon, self.steps, self.options)

    def check_classes(self, number: int) -> None:
        self.adversary().check_classes(number)

    def suited(self, data: DataTraits) -> "RobustAccuracy":
        return self if self.epsilon is not None else replace(self, epsilon=data.epsilon)

    def measure(self, candidate: Candidate) -> Estimate:
        part = candidate.part(self.samples)
        images, labels = part.images, part.labels
        adversary, model = self.adversary(), SteadyBatches(candidate.model).eval()
        pool = list(self.pool(candidate).values())
        survived = correct(model, images, labels)
        trained = [p for p in model.parameters() if p.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        generator = torch.Generator().manual_seed(self.seed)
        try:
            for restart in range(self.restarts):
                start = adversary.random_start(images, generator) if restart else None
                if not survived.any():
                    break
                if isinstance(adversary, Transfer):
                    made = transferred(adversary, pool, images, labels, start)
                    survived &= correct(model, made, labels)
                    continue
                for held in torch.split(torch.nonzero(survived)[:, 0], BATCH):
                    attacked = adversary.perturb(
                        model, images[held], labels[held], None if start is None else start[held]
                    )
                    survived[held] = correct(model, attacked, labels[held])
            flags = self._flags(adversary, model, candidate, survived) if self.sanity else []
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)
        return Estimate.share(survived, flags=flags)

    @property
    def transfers(self) -> bool:
        """Whether it measures on images that were made on surrogates."""
        return isinstance(self.adversary(), Transfer)

    def pool(self, candidate: Candidate) -> dict[str, Surrogate]:
        """The networks that a transfer attack makes its images on, by name; none for any other attack.

        Raises:
            ValueError: if there are none, or one is missing.
        """
        if not self.transfers:
            return {}
        names = list(candidate.surrogates) if self.surrogates is None else self.surrogates
        if not names or (lacking := [name for name in names if name not in candidate.surrogates]):
            what = f"not {', '.join(map(repr, lacking))}" if names else "not one"
            raise ValueError(
                f"attack {self.attack!r} makes its images on surrogates, but {what} came with the candidate."
            )
        return {name: candidate.surrogates[name] for name in names}

    def _flags(self, adversary: Attack, model: nn.Module, candidate: Candidate, survived: Tensor) -> list[str]:
        part, held = candidate.part(self.samples), tuple(candidate.surrogates.values())
        few = sanity.checked(part.labels, part.seed)
        return sanity.Checks(adversary, model, part.images[few], part.labels[few], survived[few], held).flags()

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {
            "attack": self.attack,
            **self.adversary().settings(),
            "start": "zero" if self.restarts == 1 else "zero, then random",
            "restarts": self.restarts,
            **({"seed": self.seed} if self.restarts > 1 else {}),
            **({"surrogates": {n: s.digest for n, s in self.pool(candidate).items()}} if self.transfers else {}),
            **candidate.part(self.samples).settings(),
            **({"sanity": sanity.settings(self.adversary(), candidate.surrogates)} if self.sanity else {}),
        }

"""A trainer and an objective that do nothing: what a trial costs besides its work."""

import random
from dataclasses import dataclass
from typing import Any, ClassVar

from objectives.objective import Candidate, Direction, Needs, Scale, objective
from trainers.trainer import Trainer, trainer


@trainer("noop")
@dataclass(frozen=True)
class NoTraining(Trainer):
    """Leaves the network as it was built; epochs are none."""

    epochs: int = 0

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        """Notes the seed, by which trials differ."""
        vars(model)["seed"] = seed


@objective("noop")
@dataclass(frozen=True)
class Noop:
    """A fraction drawn from the seed of the trial.

    Args:
        number: by which objectives of one study differ.
    """

    number: int = 0
    direction: ClassVar[Direction] = "minimize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"

    def measure(self, candidate: Candidate) -> float:
        return random.Random(f"{vars(candidate.model)['seed']}/{self.number}").random()

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {}

"""An objective of one's own: how sure the network is of what it predicts."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from objectives.objective import Candidate, Direction, Needs, Objective, Scale, objective


@objective("certainty")
@dataclass(frozen=True)
class Certainty(Objective):
    """Mean probability of the predicted class, a fraction in [0, 1].

    Args:
        samples: number of images to measure on, every class in its share.
    """

    samples: int = 100

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"

    @torch.no_grad()
    def measure(self, candidate: Candidate) -> float:
        images = candidate.part(self.samples).images
        return float(candidate.model(images).softmax(1).amax(1).mean())

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return candidate.part(self.samples).settings()

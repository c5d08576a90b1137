"""Bytes that training a batch in float32 takes, known from shapes alone and exact: nothing is allocated."""

from dataclasses import dataclass
from typing import Any, ClassVar

from objectives.counting import Counts, Kept
from objectives.objective import Candidate, Direction, Needs, Objective, Scale, objective


@dataclass(frozen=True)
class OfBatch(Objective):
    """Bytes that training takes for a batch, to be kept small, compared by their logarithm.

    Args:
        batch: images in a step.
    """

    batch: int = 64

    direction: ClassVar[Direction] = "minimize"
    needs: ClassVar[Needs] = "shapes"
    scale: ClassVar[Scale] = "count"
    unit: ClassVar[str] = "bytes"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}.")

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {"batch": self.batch, "input": list(candidate.input), "dtype": "float32"}


@objective("activation_memory")
@dataclass(frozen=True)
class ActivationMemory(OfBatch):
    """Bytes that the forward pass of a batch keeps for its backward pass, weights left out."""

    def measure(self, candidate: Candidate) -> float:
        return float(max(1, candidate.kept.of(self.batch)))


@objective("training_memory")
@dataclass(frozen=True)
class TrainingMemory(OfBatch):
    """Bytes of weights, gradients, the optimiser's state and the activations of a batch.

    Args:
        moments: numbers that the optimiser keeps for each trained parameter: 2 for AdamW, 1 for SGD with momentum.
    """

    moments: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moments < 0:
            raise ValueError(f"moments must be at least 0, got {self.moments}.")

    def measure(self, candidate: Candidate) -> float:
        return float(training_bytes(candidate.counts, candidate.kept, self.batch, self.moments))

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {**super().settings(candidate), "moments": self.moments}


def training_bytes(counts: Counts, kept: Kept, batch: int, moments: int = 2) -> int:
    """Bytes that training keeps at the end of a forward pass: weights, gradients, moments, activations."""
    return counts.checkpoint_bytes + 4 * (1 + moments) * counts.trainable_parameters + kept.of(batch)

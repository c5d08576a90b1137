"""Share of images classified correctly with weights that are powers of two, so that shifts can multiply."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from objectives.accuracy import Accuracy
from objectives.objective import Candidate, objective


@objective("accuracy_pow2")
@dataclass(frozen=True)
class AccuracyPow2(Accuracy):
    """Top-1 accuracy after every weight is rounded to a signed power of two, without training again.

    Biases, norms and other vectors stay as they are; zeros stay zero.

    Args:
        bits: of a weight: one for the sign, the others for the exponents 0, -1, -2, ...

    Source: the shift weights of ShiftAddViT, 2306.06446.
    """

    bits: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must be from 2 to 8, got {self.bits}.")

    def measure(self, candidate: Candidate) -> float:
        with rounded(candidate.model, self.bits):
            return super().measure(candidate)

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {**super().settings(candidate), "bits": self.bits}


def power_of_two(weights: Tensor, bits: int) -> Tensor:
    """``sign(w) 2^p``, p the rounded logarithm of the size from 0 down to 1 - 2^(bits - 1)."""
    exponents = weights.abs().log2().round().clamp(1 - 2 ** (bits - 1), 0)
    return weights.sign() * exponents.exp2()


@contextmanager
def rounded(model: nn.Module, bits: int) -> Iterator[None]:
    """The model with weights rounded to powers of two; afterwards they are as they were."""
    weights = [p for p in model.parameters() if p.dim() > 1 and p.numel() > max(p.shape)]
    before = [p.detach().clone() for p in weights]
    try:
        with torch.no_grad():
            for parameter in weights:
                parameter.copy_(power_of_two(parameter, bits))
        yield
    finally:
        with torch.no_grad():
            for parameter, values in zip(weights, before, strict=True):
                parameter.copy_(values)

"""How far values that a network returns are from those they should be: pixels in [0, 1], or what follows in a series.

Values of a series are on its standardised scale: 1 is a standard deviation of the training part, so that the mean of
that part forecast for ever has an MSE of about 1, and an MAE of about 0.8 where they are normal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from objectives.accuracy import BATCH
from objectives.objective import Candidate, Direction, Estimate, Needs, Objective, Scale, objective

LEAST = 1e-12
"""Mean squared error that counts as none: 120 dB."""


@dataclass(frozen=True)
class OfValues(Objective):
    """A figure of the outputs for all images, and of their targets."""

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "count"
    task: ClassVar[str | tuple[str, ...]] = ("image regression", "forecasting")

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {"samples": sum(len(targets) for _, targets in candidate.pairs(BATCH))}


@objective("mse")
@dataclass(frozen=True)
class Mse(OfValues):
    """Mean squared error of a pixel or of a standardised value, compared by its logarithm."""

    direction: ClassVar[Direction] = "minimize"
    units: ClassVar[Mapping[str, str]] = {"forecasting": "sd²"}

    def worst(self) -> float:
        return 1.0  # white for black everywhere; of a series its mean for ever

    def measure(self, candidate: Candidate) -> Estimate:
        return Estimate.mean(_errors(candidate, clipped=False).clamp_min(LEAST))


@objective("mae")
@dataclass(frozen=True)
class Mae(OfValues):
    """Mean absolute error of a pixel or of a standardised value, compared by its logarithm."""

    direction: ClassVar[Direction] = "minimize"
    units: ClassVar[Mapping[str, str]] = {"forecasting": "sd"}

    def worst(self) -> float:
        return 1.0

    def measure(self, candidate: Candidate) -> Estimate:
        return Estimate.mean(_errors(candidate, clipped=False, squared=False).clamp_min(LEAST))


@objective("psnr")
@dataclass(frozen=True)
class Psnr(OfValues):
    """Peak signal-to-noise ratio, mean over the images, of outputs that are cut off at black and white."""

    unit: ClassVar[str] = "dB"
    task: ClassVar[str | tuple[str, ...]] = "image regression"

    def worst(self) -> float:
        return 1.0

    def measure(self, candidate: Candidate) -> Estimate:
        errors = _errors(candidate, clipped=True).clamp(LEAST, 1 - LEAST)  # above 0 dB if all is as wrong as can be
        return Estimate.mean(-10 * errors.log10())


@objective("r2")
@dataclass(frozen=True)
class R2(OfValues):
    """Share of the variance of the values that is explained, 1 - MSE / MSE of the mean target; 0 if that is better.

    The mean target is that of the images, or of the windows, measured on.
    """

    scale: ClassVar[Scale] = "fraction"

    def measure(self, candidate: Candidate) -> Estimate:
        total = squares = torch.zeros((), dtype=torch.float64)
        count = 0
        for _, targets in candidate.pairs(BATCH):
            pixels = targets.double().cpu()
            total, squares, count = total + pixels.sum(0), squares + pixels.square().sum(0), count + len(pixels)
        varies = max(float((squares / count - (total / count).square()).mean()), LEAST)
        unexplained = Estimate.mean(_errors(candidate, clipped=False) / varies)
        return Estimate(max(0.0, 1 - unexplained), **unexplained.spread())


@torch.no_grad()
def _errors(candidate: Candidate, *, clipped: bool, squared: bool = True) -> torch.Tensor:
    """(N,) mean error of each image or window, in float64.

    Args:
        clipped: of outputs that are cut off at 0 and 1.
        squared: or absolute.

    Raises:
        FloatingPointError: if an output is not finite.
    """
    model, found = candidate.model.eval(), []
    for inputs, targets in candidate.pairs(BATCH):
        outputs = model(inputs)
        if not torch.isfinite(outputs).all():
            raise FloatingPointError("the model's outputs are not finite.")
        error = (outputs.clamp(0, 1) if clipped else outputs).double() - targets.double()
        found.append((error.square() if squared else error.abs()).flatten(1).mean(1))
    return torch.cat(found)

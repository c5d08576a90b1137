"""Share of images classified correctly after corruptions that need no adversary (Hendrycks & Dietterich 2019)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from objectives.accuracy import correct
from objectives.attacks.attack import own_numbers
from objectives.objective import Candidate, Direction, Estimate, Needs, Objective, Scale, objective

SEVERITIES: dict[str, tuple[float, float, float, float, float]] = {
    "noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
}
"""Corruption -> standard deviation, sigma in pixels, factor, sum and share of the side left, at severities 1 to 5."""


@objective("corrupted_accuracy")
@dataclass(frozen=True)
class CorruptedAccuracy(Objective):
    """Accuracy on corrupted images, a fraction in [0, 1]: mean over the corruptions and severities.

    Args:
        corruptions: some of noise, blur, contrast, brightness, pixelate; all unless given.
        severity: 1 to 5; unset: the mean over all five.
        samples: number of images corrupted, every class in its share.
        seed: of the noise.
    """

    corruptions: list[str] = field(default_factory=lambda: list(SEVERITIES))
    severity: int | None = None
    samples: int = 400
    seed: int = 0

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"
    task: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        if not self.corruptions or len(set(self.corruptions)) < len(self.corruptions):
            raise ValueError(f"corruptions must be one or more different names, got {self.corruptions}.")
        for name in self.corruptions:
            if name not in CORRUPTIONS:
                raise ValueError(f"unknown corruption {name!r}. Known: {', '.join(sorted(CORRUPTIONS))}.")
        if self.severity is not None and not 1 <= self.severity <= 5:
            raise ValueError(f"severity must be from 1 to 5, got {self.severity}.")
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, got {self.samples}.")

    @property
    def severities(self) -> list[int]:
        """Those that are measured."""
        return [self.severity] if self.severity is not None else [1, 2, 3, 4, 5]

    def measure(self, candidate: Candidate) -> Estimate:
        part = candidate.part(self.samples)
        right = [
            correct(candidate.model, corrupt(part.images, name, severity, self.seed), part.labels).double()
            for name in self.corruptions
            for severity in self.severities
        ]
        return Estimate.mean(torch.stack(right).mean(0))

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        said = {"corruptions": list(self.corruptions), "severities": self.severities, "seed": self.seed}
        return {**said, **candidate.part(self.samples).settings()}


def corrupt(images: Tensor, name: str, severity: int, seed: int = 0) -> Tensor:
    """(B, C, H, W) images in [0, 1] after a corruption of a severity from 1 to 5."""
    amount = SEVERITIES[name][severity - 1]
    return CORRUPTIONS[name](images, amount, seed).clamp(0, 1)


def _noise(images: Tensor, deviation: float, seed: int) -> Tensor:
    uniform = own_numbers(images, images[0].numel(), seed).view_as(images)
    return images + deviation * torch.erfinv((2 * uniform - 1).clamp(-1 + 1e-6, 1 - 1e-6)) * 2**0.5


def _blur(images: Tensor, sigma: float, seed: int) -> Tensor:
    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    line = torch.exp(-(places**2) / (2 * sigma**2))
    line = (line / line.sum()).view(1, 1, 1, -1).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    across = F.conv2d(padded, line, groups=images.shape[1])
    return F.conv2d(across, line.transpose(2, 3), groups=images.shape[1])


def _contrast(images: Tensor, factor: float, seed: int) -> Tensor:
    means = images.mean((2, 3), keepdim=True)
    return means + factor * (images - means)


def _brightness(images: Tensor, amount: float, seed: int) -> Tensor:
    return images + amount


def _pixelate(images: Tensor, share: float, seed: int) -> Tensor:
    rows, columns = (_boxes(side, max(1, int(side * share))).to(images) for side in images.shape[2:])
    return rows @ images @ columns


def _boxes(side: int, boxes: int) -> Tensor:
    """(side, side) symmetric matrix that replaces each pixel by the mean of the boxes that it lies in."""
    edges = torch.linspace(0, side, boxes + 1, dtype=torch.float64)[:, None]
    pixels = torch.arange(side, dtype=torch.float64)
    overlap = (torch.minimum(edges[1:], pixels + 1) - torch.maximum(edges[:-1], pixels)).clamp_min(0)
    return overlap.T @ overlap * (boxes / side)


CORRUPTIONS: dict[str, Callable[[Tensor, float, int], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "pixelate": _pixelate,
}

"""The objective contract: what a candidate is worth or costs, in its own unit and direction.

An objective is a frozen dataclass in one file: its settings are its fields, ``measure`` gives the value. It says the
cheapest state in which it can be measured, so that costs and bounds are known before anything is trained.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from torch import Tensor, nn

from objectives.counting import Counts, count

Direction = Literal["maximize", "minimize"]
Needs = Literal["shapes", "weights", "training"]
Scale = Literal["fraction", "count"]


class Images(Protocol):
    """Images (N, C, H, W) of which slices are taken: a tensor, or what reads them from files when they are needed."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Tensor:
        """(B, C, H, W) float in [0, 1], on the device of the model."""
        ...


@dataclass(frozen=True)
class Candidate:
    """What an objective looks at.

    Args:
        model: in eval mode; on the meta device for objectives that need ``shapes`` only. Maps images to logits (B, K).
        input: (C, H, W) of one image.
        images: None unless the objective needs more than shapes.
        labels: (N,) class numbers.
        known: operations and parameters where they are known in closed form.
    """

    model: nn.Module
    input: tuple[int, int, int]
    images: Images | None = None
    labels: Tensor | None = None
    known: Counts | None = None

    @cached_property
    def counts(self) -> Counts:
        """Operations and parameters of the model: those known already, else counted, once for all objectives."""
        return self.known or count(self.model, self.input)

    def examples(self) -> tuple[Images, Tensor]:
        """Images and labels to measure on.

        Raises:
            ValueError: if the candidate carries none.
        """
        if self.images is None or self.labels is None or len(self.images) == 0:
            raise ValueError("this objective measures on images, but the candidate carries none.")
        return self.images, self.labels


class Objective(Protocol):
    """One number about a candidate; implementations are frozen dataclasses whose fields are the settings."""

    direction: ClassVar[Direction]
    needs: ClassVar[Needs]
    scale: ClassVar[Scale]
    """``fraction``: a value in [0, 1]; ``count``: a positive number that is compared by its logarithm."""

    def measure(self, candidate: Candidate) -> float:
        """The value, in the objective's own unit and direction."""
        ...

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        """How the value was measured: all that another person needs to measure the same."""
        ...


OBJECTIVES: dict[str, type[Objective]] = {}
T = TypeVar("T", bound=type[Objective])


def objective(name: str) -> Callable[[T], T]:
    """Class decorator that registers an objective.

    Raises:
        ValueError: if the name is taken.
    """

    def add(cls: T) -> T:
        if name in OBJECTIVES:
            raise ValueError(f"objective {name!r} is already registered by {OBJECTIVES[name]!r}. Choose another name.")
        OBJECTIVES[name] = cls
        return cls

    return add


def cost(objective: Objective | type[Objective], value: float) -> float:
    """``value`` as a cost to be minimised: 1 - value for fractions to maximise, log10 for counts.

    The one place where a direction becomes a sign; Pareto fronts and hypervolumes are computed from costs.

    Raises:
        ValueError: if the value is not finite, or a count is not positive.
    """
    if not math.isfinite(value) or (objective.scale == "count" and value <= 0):
        raise ValueError(
            f"a {objective.scale} must be finite{' and positive' * (objective.scale == 'count')}: {value}."
        )
    size = math.log10(value) if objective.scale == "count" else value
    if objective.direction == "minimize":
        return size
    return 1 - size if objective.scale == "fraction" else -size

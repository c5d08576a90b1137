"""The objective contract: what a candidate is worth or costs, in its own unit and direction.

An objective is a frozen dataclass in one file: its settings are its fields, ``measure`` returns the value. It states
the cheapest state in which it can be measured, so that costs and bounds are known before anything is trained.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, Self, SupportsFloat, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor, nn

from objectives.counting import Counts, count
from objectives.part import stratified

Direction = Literal["maximize", "minimize"]
Needs = Literal["shapes", "weights", "training"]
Scale = Literal["fraction", "count"]


class Images(Protocol):
    """Images (N, C, H, W) that are read slice by slice: a tensor, or something that reads them from files."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice | Tensor) -> Tensor:
        """(B, C, H, W) float in [0, 1], on the device of the model: a slice, or the images of those numbers."""
        ...


@dataclass(frozen=True)
class Candidate:
    """What an objective measures.

    Args:
        model: in eval mode; on the meta device for objectives that need ``shapes`` only. Maps images to logits (B, K).
        input: (C, H, W) of one image.
        images: None unless the objective needs more than shapes.
        labels: (N,) class numbers.
        known: operations and parameters where they are known in closed form.
        seed: of the part that expensive objectives measure on; from the checksum of the data, so that it is the same
            for all trials of a study.
        targets: (N, C, H, W) what the model is to return, where that is not a class.
    """

    model: nn.Module
    input: tuple[int, int, int]
    images: Images | None = None
    labels: Tensor | None = None
    known: Counts | None = None
    seed: int = 0
    targets: Images | None = None

    @cached_property
    def counts(self) -> Counts:
        """Operations and parameters of the model: those known already, else counted, once for all objectives."""
        return self.known or count(self.model, self.input)

    def examples(self) -> tuple[Images, Tensor]:
        """Images and labels to measure on.

        Raises:
            ValueError: if the candidate carries none, or was trained for something else than classes.
        """
        if self.targets is not None:
            raise ValueError("this objective is for classification, but the data have no classes to be found.")
        if self.images is None or self.labels is None or len(self.images) == 0:
            raise ValueError("this objective measures on images, but the candidate carries none.")
        return self.images, self.labels

    def pairs(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and what the model is to return for them, (B, C, H, W) each, ``batch`` at a time.

        Raises:
            ValueError: if the candidate carries no images, or was trained for classes.
        """
        if self.images is None or len(self.images) == 0:
            raise ValueError("this objective measures on images, but the candidate carries none.")
        if self.targets is None:
            raise ValueError("this objective is for image regression, but the data have classes to be found.")
        for first in range(0, len(self.images), batch):
            yield self.images[first : first + batch], self.targets[first : first + batch]

    def part(self, samples: int) -> "Part":
        """About ``samples`` of the images, every class in its share; the same ones whenever that many are asked for.

        Raises:
            ValueError: as `examples`.
        """
        if samples not in self._parts:
            images, labels = self.examples()
            chosen = stratified(labels, samples, self.seed)
            self._parts[samples] = Part(images[chosen], labels[chosen.to(labels.device)], self.seed)
        return self._parts[samples]

    @cached_property
    def _parts(self) -> "dict[int, Part]":
        return {}


@dataclass(frozen=True)
class Part:
    """Images that were chosen to stand for all.

    Args:
        images: (n, C, H, W).
        labels: (n,).
        seed: by which they were chosen.
    """

    images: Tensor
    labels: Tensor
    seed: int

    def settings(self) -> dict[str, Any]:
        """How many of which classes, as JSON: ``per_class`` is one number if all have as many."""
        counts = torch.bincount(self.labels).tolist()
        same = len(set(counts)) == 1
        return {"samples": len(self.labels), "per_class": counts[0] if same else counts, "part_seed": self.seed}


class DataTraits(Protocol):
    """What an objective may want to know of the data that it measures on."""

    @property
    def epsilon(self) -> str:
        """Radius of the default attack, in pixel units 0..1, as a quotient such as ``8/255``."""
        ...


@dataclass(frozen=True)
class Goal:
    """What the values of an objective mean, without the code that measures them.

    Args:
        unit: of the values, in a word such as ``MACs``; empty for a plain number.
    """

    direction: Direction
    scale: Scale
    unit: str = ""

    @classmethod
    def of(cls, kind: "Objective | type[Objective]") -> Self:
        """That of an objective."""
        return cls(kind.direction, kind.scale, kind.unit)


@dataclass(frozen=True)
class Objective(ABC):
    """One number about a candidate; implementations are frozen dataclasses whose fields are the settings."""

    direction: ClassVar[Direction]
    needs: ClassVar[Needs]
    scale: ClassVar[Scale]
    """``fraction``: a value in [0, 1]; ``count``: a positive number that is compared by its logarithm."""
    unit: ClassVar[str] = ""
    """Of the values, in a word such as ``MACs``; empty for a plain number."""
    task: ClassVar[str] = ""
    """Name of the only task that it is for, such as ``classification``; empty for any."""

    @abstractmethod
    def measure(self, candidate: Candidate) -> float:
        """The value, in the objective's own unit and direction."""

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        """How the value was measured: all that another person needs to measure the same, as JSON."""
        return {}

    def suited(self, data: DataTraits) -> Self:
        """The objective with the settings that were left open set to what suits ``data``."""
        return self


OBJECTIVES: dict[str, type[Objective]] = {}
T = TypeVar("T", bound=type[Any])

STATED: dict[str, tuple[str, ...]] = {
    "direction": get_args(Direction),
    "needs": get_args(Needs),
    "scale": get_args(Scale),
}
"""Class attribute that every objective states -> what it can be."""


def objective(name: str) -> Callable[[T], T]:
    """Class decorator that registers an objective; what `Objective` has a default for may be left out.

    Raises:
        ValueError: if the name is taken, or the class is no frozen dataclass or lacks a part of the contract.
    """

    def add(cls: T) -> T:
        if name in OBJECTIVES:
            raise ValueError(f"objective {name!r} is already registered by {OBJECTIVES[name]!r}. Choose another name.")
        parameters = vars(cls).get("__dataclass_params__")
        if parameters is None or not parameters.frozen:
            raise ValueError(
                f"objective {name!r} must be a frozen dataclass, got the class {cls.__name__}. Write "
                f"@dataclass(frozen=True) between @objective({name!r}) and the class."
            )
        for word, allowed in STATED.items():
            if getattr(cls, word, None) not in allowed:
                raise ValueError(f"objective {name!r} must state {word} = one of {', '.join(allowed)} in its class.")
        words = dir(cls)
        if "measure" not in words:
            raise ValueError(f"objective {name!r} must define measure(self, candidate) -> float.")
        for word in ("settings", "suited", "unit", "task"):
            if word not in words:  # a class that does not derive from Objective
                setattr(cls, word, getattr(Objective, word))
        OBJECTIVES[name] = cls
        return cls

    return add


def as_value(name: str, kind: Goal | Objective | type[Objective], returned: Any) -> float:
    """What an objective returned, as the float that is recorded: ``as_value("macs", Macs, np.int64(5))`` is 5.0.

    Numbers of every library count (numpy scalars, tensors of one element without dimension, Decimal, Fraction).

    Raises:
        FloatingPointError: if it is not finite.
        ValueError: if it is no number, or beyond the range of the objective's scale.
    """
    number = returned
    if isinstance(number, Tensor | np.ndarray | np.generic):
        number = number.item() if number.ndim == 0 else None
    if isinstance(number, bool) or not isinstance(number, SupportsFloat) or isinstance(number, complex):
        shape = f" of shape {tuple(returned.shape)}" if isinstance(returned, Tensor | np.ndarray) else ""
        raise ValueError(
            f"objective {name!r} must return a number, got {_brief(returned)} ({type(returned).__name__}{shape})."
        )
    value = float(number)
    if not math.isfinite(value):
        raise FloatingPointError(f"{name} is {value}.")
    if kind.scale == "fraction" and not 0 <= value <= 1:
        raise ValueError(f"objective {name!r} is a fraction: its value must be from 0 to 1, got {value:g}.")
    if kind.scale == "count" and value <= 0:
        raise ValueError(f"objective {name!r} is a count: its value must be above 0, got {value:g}.")
    return value


def as_settings(name: str, returned: Any) -> dict[str, Any]:
    """What the ``settings`` of an objective returned, if it can be recorded as JSON.

    Raises:
        ValueError: if it is no dictionary that JSON holds as it is.
    """
    try:
        same = isinstance(returned, dict) and json.loads(json.dumps(returned, allow_nan=False)) == returned
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise ValueError(
            f"settings of the objective {name!r} must be a dictionary of JSON values (lists, not tuples), got "
            f"{_brief(returned)}."
        )
    return dict(returned)


def _brief(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def to_minimise(kind: Goal | Objective | type[Objective], value: float) -> float:
    """``value`` as a cost to be minimised: 1 - value for fractions to maximise, log10 for counts.

    The one place where a direction becomes a sign; Pareto fronts and hypervolumes are computed from costs.

    Raises:
        ValueError: if the value is not finite, or a count is not positive.
    """
    positive = kind.scale == "count"
    if not math.isfinite(value) or (positive and value <= 0):
        raise ValueError(f"a {kind.scale} must be finite{' and positive' if positive else ''}: {value}.")
    size = math.log10(value) if positive else value
    if kind.direction == "minimize":
        return size
    return -size if positive else 1 - size

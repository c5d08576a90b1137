"""The objective contract: what a candidate is worth or costs, in its own unit and direction.

An objective is a frozen dataclass in one file: its settings are its fields, ``measure`` returns the value. It states
the cheapest state in which it can be measured, so that costs and bounds are known before anything is trained.
"""

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, Self, SupportsFloat, TypeVar, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from objectives.counting import Counts, Kept, count, kept
from objectives.part import stratified

Direction = Literal["maximize", "minimize"]
Needs = Literal["shapes", "weights", "training", "run"]
Scale = Literal["fraction", "count"]
R = TypeVar("R")


class Images(Protocol):
    """Images (N, C, H, W) that are read slice by slice: a tensor, or something that reads them from files."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice | Tensor) -> Tensor:
        """(B, C, H, W) float in [0, 1], on the device of the model: a slice, or the images of those numbers."""
        ...


@dataclass(frozen=True)
class Timing:
    """How long a training took.

    Args:
        seconds: wall time of each epoch that was watched; those of an earlier, lost attempt are missing.
        epochs: of the whole training.
    """

    seconds: tuple[float, ...]
    epochs: int


class Surrogate(Protocol):
    """A trained network beside the candidate, on which an attack makes its images."""

    @property
    def digest(self) -> str:
        """By which its architecture and weights are recognised."""
        ...

    def network(self) -> nn.Module:
        """The network in eval mode, on the CPU; maps images to logits (B, K)."""
        ...


@dataclass(frozen=True)
class Candidate:
    """What an objective measures.

    Args:
        model: in eval mode; on the meta device for objectives that need ``shapes`` only. Maps images to logits (B, K).
        input: (C, H, W) of one image.
        images: None unless the objective needs more than shapes.
        labels: (N,) class numbers.
        known, known_kept: operations and parameters, and what training keeps, where they are known in closed form.
        seed: of the part that expensive objectives measure on; from the checksum of the data, so that it is the same
            for all trials of a study.
        timing: of the training, where it was watched.
        targets: (N, C, H, W) what the model is to return, where that is not a class.
        surrogates: other networks for the same images, by the names that objectives have for them.
    """

    model: nn.Module
    input: tuple[int, int, int]
    images: Images | None = None
    labels: Tensor | None = None
    known: Counts | None = None
    seed: int = 0
    timing: Timing | None = None
    targets: Images | None = None
    known_kept: Kept | None = None
    surrogates: Mapping[str, Surrogate] = field(default_factory=dict)

    @cached_property
    def counts(self) -> Counts:
        """Operations and parameters of the model: those known already, else counted, once for all objectives."""
        return self.known or count(self.model, self.input)

    @cached_property
    def kept(self) -> Kept:
        """What training the model keeps for the backward pass, found once for all objectives."""
        return self.known_kept or kept(self.model, self.input)

    def once(self, key: Hashable, make: Callable[[], R]) -> R:
        """What ``make`` returned when ``key`` was first asked for: a measurement that value and settings share."""
        if key not in self._found:
            self._found[key] = make()
        return cast(R, self._found[key])

    @cached_property
    def _found(self) -> dict[Hashable, object]:
        return {}

    def inputs(self) -> Images:
        """What the model is given.

        Raises:
            ValueError: if the candidate carries nothing.
        """
        if self.images is None or len(self.images) == 0:
            raise ValueError("this objective measures on images, but the candidate carries none.")
        return self.images

    def examples(self) -> tuple[Images, Tensor]:
        """Images and labels to measure on.

        Raises:
            ValueError: if the candidate carries none, or was trained for something else than classes.
        """
        if self.targets is not None:
            raise ValueError("this objective is for classification, but the data have no classes to be found.")
        if self.labels is None:
            raise ValueError("this objective measures on images, but the candidate carries none.")
        return self.inputs(), self.labels

    def pairs(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and what the model is to return for them, (B, C, H, W) each, ``batch`` at a time.

        Raises:
            ValueError: if the candidate carries no images, or was trained for classes.
        """
        images = self.inputs()
        if self.targets is None:
            raise ValueError("this objective is for values, but the data have classes to be found.")
        for first in range(0, len(images), batch):
            yield images[first : first + batch], self.targets[first : first + batch]

    def part(self, samples: int) -> "Part":
        """About ``samples`` of the images, every class in its share; the same ones whenever that many are asked for.

        Raises:
            ValueError: as `examples`.
        """

        def draw() -> Part:
            images, labels = self.examples()
            chosen = stratified(labels, samples, self.seed)
            return Part(images[chosen], labels[chosen.to(labels.device)], self.seed)

        return self.once(("part", samples), draw)


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
    def of(cls, kind: "Objective | type[Objective]", task: str = "") -> Self:
        """That of an objective, for the task of that name."""
        return cls(kind.direction, kind.scale, kind.units.get(task, kind.unit))

    def unit_beside(self, name: str) -> str:
        """The unit, to be said beside the name of an objective; empty where that says it already."""
        return self.unit if self.unit.lower() != name.lower() else ""


Doubt = Literal["binomial", "sample", "jackknife", "runs", "replicates"]
FLAG = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Estimate(float):
    """A number that says how sure it is; an objective may return it in place of a plain one.

    It is a float in everything else: ``Estimate(0.75, n=4) == 0.75``. A frozen dataclass was rejected, because every
    caller, plugins of users included, would have had to tell the two apart.

    Args:
        standard_error: of the value, in its unit; None if it is not known.
        n: images, or whatever else was sampled.
        kind: what the standard error comes from: ``binomial`` (a share of n images), ``sample`` (a mean over n images),
            ``jackknife`` (n images, some left out in turn), ``runs`` (of a clock) or ``replicates`` (n trainings).
        flags: words that say why the value may not mean what its name says, such as ``zero_gradients``.

    Raises:
        ValueError: if one of them cannot be.
    """

    standard_error: float | None
    n: int | None
    kind: Doubt
    flags: tuple[str, ...]

    def __new__(
        cls,
        value: float,
        *,
        standard_error: float | None = None,
        n: int | None = None,
        kind: Doubt = "sample",
        flags: Sequence[str] = (),
    ) -> Self:
        if standard_error is not None and not 0 <= standard_error < math.inf:
            raise ValueError(f"standard_error must be a finite number from 0, got {standard_error}.")
        if n is not None and n < 1:
            raise ValueError(f"n must be at least 1, got {n}.")
        if kind not in get_args(Doubt):
            raise ValueError(f"kind must be one of {', '.join(get_args(Doubt))}, got {kind!r}.")
        for flag in flags:
            if not FLAG.fullmatch(flag):
                raise ValueError(f"a flag must be a word of a-z, 0-9 and _, at most 40 long, got {flag!r}.")
        one = super().__new__(cls, value)
        one.standard_error = None if standard_error is None else float(standard_error)
        one.n, one.kind, one.flags = None if n is None else int(n), kind, tuple(flags)
        return one

    @classmethod
    def share(cls, right: Tensor, *, flags: Sequence[str] = ()) -> Self:
        """Share of (n,) booleans that are true, with its binomial error."""
        n, value = len(right), float(right.double().mean())
        return cls(value, standard_error=math.sqrt(value * (1 - value) / n), n=n, kind="binomial", flags=flags)

    @classmethod
    def mean(cls, values: Tensor, *, flags: Sequence[str] = ()) -> Self:
        """Mean of (n,) numbers, one for each image, with the error of a mean."""
        n, doubles = len(values), values.double()
        error = float(doubles.std()) / math.sqrt(n) if n > 1 else None
        return cls(float(doubles.mean()), standard_error=error, n=n, flags=flags)

    def spread(self) -> dict[str, Any]:
        """Standard error, n and where they come from, as JSON; empty if neither is known."""
        if self.standard_error is None and self.n is None:
            return {}
        return {"standard_error": self.standard_error, "n": self.n, "kind": self.kind}


@dataclass(frozen=True)
class Objective(ABC):
    """One number about a candidate; implementations are frozen dataclasses whose fields are the settings."""

    direction: ClassVar[Direction]
    needs: ClassVar[Needs]
    """``run``: the training itself, of which stored weights no longer know."""
    scale: ClassVar[Scale]
    """``fraction``: a value in [0, 1]; ``count``: a positive number that is compared by its logarithm."""
    unit: ClassVar[str] = ""
    """Of the values, in a word such as ``MACs``; empty for a plain number."""
    units: ClassVar[Mapping[str, str]] = {}
    """Other units of the values, by the name of the task that has them."""
    task: ClassVar[str | tuple[str, ...]] = ""
    """Name of the only task that it is for, such as ``classification``, or several names; empty for any."""

    @abstractmethod
    def measure(self, candidate: Candidate) -> float:
        """The value, in the objective's own unit and direction: a plain number, or an `Estimate`, which knows more."""

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        """How the value was measured: all that another person needs to measure the same, as JSON."""
        return {}

    def worst(self) -> float | None:
        """A value as bad as any of interest, which bounds the hypervolume unless a study says otherwise.

        None for fractions, and for costs of shapes: there it is the dearest network that is found.
        """
        return None

    def check_classes(self, number: int) -> None:  # noqa: B027 (any number will do, unless an objective says otherwise)
        """Raises ValueError, with what to use instead, if nothing can be measured with so many classes."""

    def suited(self, data: DataTraits) -> Self:
        """The objective with the settings that were left open set to what suits ``data``."""
        return self


def tasks_of(kind: "Objective | type[Objective]") -> tuple[str, ...]:
    """Names of the tasks that an objective is for; none if it is for any."""
    names = kind.task
    return tuple(filter(None, (names,))) if isinstance(names, str) else names


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
        for word in ("check_classes", "settings", "suited", "unit", "units", "task", "worst"):
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
    value = returned if type(returned) is float else _as_float(name, returned)  # most are, in large logs
    if not math.isfinite(value):
        raise FloatingPointError(f"{name} is {value}.")
    if kind.scale == "fraction" and not 0 <= value <= 1:
        raise ValueError(f"objective {name!r} is a fraction: its value must be from 0 to 1, got {value:g}.")
    if kind.scale == "count" and value <= 0:
        raise ValueError(f"objective {name!r} is a count: its value must be above 0, got {value:g}.")
    return value


def _as_float(name: str, returned: Any) -> float:
    number = returned
    if isinstance(number, Tensor | np.ndarray | np.generic):
        number = number.item() if number.ndim == 0 else None
    if isinstance(number, bool) or not isinstance(number, SupportsFloat) or isinstance(number, complex):
        shape = f" of shape {tuple(returned.shape)}" if isinstance(returned, Tensor | np.ndarray) else ""
        raise ValueError(
            f"objective {name!r} must return a number, got {_brief(returned)} ({type(returned).__name__}{shape})."
        )
    return float(number)


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

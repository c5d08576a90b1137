"""One ended trial as data, and its JSON form: a line of ``trials.jsonl``, an element of ``nas pareto --json``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:  # at run time it would import torch
    from searchspaces import Value

SCHEMA = 3
"""Format of a study directory: of its records, its events and its ``study.toml``."""

LAST = 1e11
"""Seconds since 1970, to the year 5138; later times cannot be shown."""

Status = Literal["complete", "infeasible", "duplicate", "truncated", "failed", "cancelled"]
Failure = Literal["diverged", "out_of_memory", "timeout", "worker_lost", "bug", "disk_full", "over_bound"]
Source = Literal["sampler", "neighbour", "uniform", "promotion", "replicate", "given"]
STATUSES: tuple[Status, ...] = get_args(Status)
FAILURES: tuple[Failure, ...] = get_args(Failure)
SOURCES: tuple[Source, ...] = get_args(Source)
COUNTED: tuple[Status, ...] = ("complete", "failed", "truncated")
"""What counts towards ``trials``; infeasible and duplicate proposals are recorded, not counted."""
OVER_BOUND: Failure = "over_bound"
"""How a trial failed of which something that was measured is beyond its bound."""
INHERITED = "inherited_weights"
"""Flag of the values of a trial whose training did not begin from scratch."""


@dataclass(frozen=True)
class TrialRecord:
    """One ended trial.

    Args:
        number: of the trial, from 0.
        picks: an option for every choice of the space.
        architecture: canonical JSON of the network.
        key: of the architecture; equal networks have equal keys.
        seed: of weights, batch order and augmentation.
        fidelity: how much was spent on training, for example ``{"epochs": 10}``.
        measured: name -> value in the objective's own unit and direction.
        settings: name -> how the value was measured.
        spread: name -> how sure the value is: ``standard_error`` or None, ``n`` or None, and ``kind``, where they come
            from (`objectives.Estimate`); plain numbers have none.
        flags: name -> words that say why the value may not mean what its name says; most have none.
        facts: what the space says of the candidate beyond its picks, as the connections Omega that its split realises.
        violations: name of a bound -> by what share it is exceeded (0.5: half as dear again).
        seconds: wall time of each phase, in the attempt that ended it.
        ended: when the trial was recorded, in seconds since 1970; no part of what makes two records equal.
        error: what went wrong, for failed trials; why a candidate cannot be built, for infeasible ones.
        copied_from: number of the trial whose values a duplicate repeats.
        source: who proposed it: the ``sampler``; or, as that repeated itself, a ``neighbour`` of its proposal, or a
            ``uniform`` draw; or it is a ``promotion`` of a network that was trained for less; or it was ``given``; or
            it is a ``replicate``.
        continues: number of the trial whose network is trained longer here.
        repeats: number of the trial whose network is trained as long here, with another seed.
        inherited: where the first weights of the training come from if not all were drawn: ``trial``, the number of the
            relative that left them, and ``share``, of the parameters that were copied; None for one from scratch.
        draws: candidates that were looked at for the trial.
        graphs: of a training on a GPU, ``captured`` if its steps were replayed as CUDA graphs, or why not; None where
            none were to be. No part of what makes two records equal.
        micro_batches: parts into which each training batch was divided, gradients added up; 2 after a trial ran out of
            memory in one (normalisation then sees half a batch at a time).
    """

    number: int
    status: Status
    picks: dict[str, Value]
    architecture: dict[str, Any]
    key: str
    seed: int
    failure: Failure | None = None
    fidelity: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    spread: dict[str, dict[str, Any]] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, Value] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    ended: float | None = field(default=None, compare=False)
    error: str | None = None
    copied_from: int | None = None
    source: Source = "sampler"
    continues: int | None = None
    repeats: int | None = None
    inherited: dict[str, Any] | None = None
    draws: int = 1
    micro_batches: int = 1
    graphs: str | None = field(default=None, compare=False)

    @property
    def state(self) -> str:
        """How it ended, in a word or two: its failure, or its status with the epochs of a training that was short."""
        if self.status == "truncated":
            part = f" on {self.fidelity['data']:.0%} of the data" if "data" in self.fidelity else ""
            return f"truncated at {self.fidelity.get('epochs', 0)}{part}"
        return (self.failure or self.status).replace("_", " ")

    @property
    def length(self) -> float:
        """Of its training: epochs of all training samples; one of a part of them counts as that part."""
        return self.fidelity.get("epochs", 0) * self.fidelity.get("data", 1)

    @property
    def refused(self) -> bool:
        """Whether no network can be made of the picks; ``error`` then says why."""
        return self.status == "infeasible" and self.error is not None

    @property
    def reason(self) -> str:
        """Why a trial failed or was refused, in one line."""
        error = (self.error or "").strip()
        return Raised.of(error).message if self.failure == "bug" else error.partition("\n")[0]

    def to_json(self) -> dict[str, Any]:
        """JSON object with ``schema`` and every field."""
        return {"schema": SCHEMA, **vars(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrialRecord:
        """Record written by `to_json`; fields of later versions that this one does not know are ignored.

        Raises:
            ValueError: if it is no such object, or of a newer format.
        """
        if not isinstance(data, dict) or not {"schema", "number", "status"} <= data.keys():
            raise ValueError("it is not a trial record")
        if data["schema"] != SCHEMA:
            raise ValueError(refusal(data["schema"]))
        if lacking := [name for name in REQUIRED if name not in data]:
            raise ValueError(f"it lacks {', '.join(lacking)}")
        known = data.copy()
        del known["schema"]
        if not known.keys() <= FIELDS.keys():
            known = {name: value for name, value in known.items() if name in FIELDS}
        for name, value in known.items():
            if value is None and name in OPTIONAL:  # most are, and a call takes as long as all that is done here
                continue
            holds, rule = FIELDS[name]
            if not holds(value):
                raise ValueError(f"{name} must be {rule}, got {brief(value)}")
        if (data["status"] == "failed") != (data.get("failure") is not None):
            raise ValueError(f"its status is {data['status']!r}, but its failure {data.get('failure')!r}")
        if known.keys() != FIELDS.keys():
            return cls(**known)
        record = object.__new__(cls)
        vars(record).update(known)  # field by field, as a frozen dataclass sets them, takes as long as all the checks
        return record


def is_count(value: object) -> bool:
    """Whether it is a whole number from 0 to 10^15 (no bool)."""
    return type(value) is int and 0 <= value <= 10**15


def is_number(value: object) -> bool:
    """Whether it is a finite number (no bool)."""
    if value.__class__ is float:  # most are, and a log holds a hundred thousand
        return -1e300 < value < 1e300  # NaN is not between
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 < value < 1e300


def is_time(value: object) -> bool:
    """Whether it is a number of seconds since 1970 that can be shown."""
    return is_number(value) and 0 <= float(value) < LAST  # type: ignore[arg-type]


def _maps(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is a JSON object of such values."""
    return lambda value: isinstance(value, dict) and (not value or all(map(holds, value.values())))


def are_numbers(value: object, least: float = -1e300, *, or_words: bool = False) -> bool:
    """Whether it is an object of finite numbers, none below ``least``; of words too, if they may be.

    One loop, as a study holds more of these than of anything else.
    """
    if not isinstance(value, dict):
        return False
    for each in value.values():
        kind = each.__class__
        if kind is float or kind is int:
            if not (-1e300 < each < 1e300 and each >= least):  # NaN is not between
                return False
        elif not (or_words and kind is str):
            return False
    return True


def are_picks(value: object) -> bool:
    """Whether it is an object of words and numbers, as options of choices are."""
    return are_numbers(value, or_words=True)


def is_spread(value: object) -> bool:
    """Whether it says how sure a value is, as `objectives.Estimate.spread` does."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return False
    error, n = value.get("standard_error"), value.get("n")
    return (error is None or (is_number(error) and error >= 0)) and (n is None or (is_count(n) and n >= 1))


def is_setting(value: object) -> bool:
    """Whether it says how a value was measured, as `objectives.Objective.settings` does."""
    if not isinstance(value, dict):
        return False
    return all(is_number(found := value[name]) and found > 0 for name in ("samples", "one_sample") if name in value)


def is_origin(value: object) -> bool:
    """Whether it says from which trial what share of the first weights comes."""
    if not isinstance(value, dict) or value.keys() != {"trial", "share"}:
        return False
    return is_count(value["trial"]) and is_share(value["share"])


def is_share(value: object) -> bool:
    """Whether it is a number from 0 to 1."""
    return is_number(value) and 0 <= float(value) <= 1  # type: ignore[arg-type]


def are_words(value: object) -> bool:
    """Whether it is a list of words."""
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "number": (is_count, "a whole number from 0"),
    "status": (STATUSES.__contains__, f"one of {', '.join(STATUSES)}"),
    "picks": (are_picks, "an object of words and numbers"),
    "architecture": (lambda value: isinstance(value, dict), "an object"),
    "key": (lambda value: isinstance(value, str), "a word"),
    "seed": (is_count, "a whole number from 0"),
    "failure": (lambda value: value is None or value in FAILURES, f"one of {', '.join(FAILURES)}"),
    "fidelity": (lambda value: are_numbers(value, 0), "an object of numbers from 0"),
    "measured": (are_numbers, "an object of finite numbers"),
    "settings": (_maps(is_setting), "an object of objects, whose samples and one_sample are numbers above 0"),
    "spread": (_maps(is_spread), "an object of objects with a kind, a standard_error from 0 and an n from 1"),
    "flags": (_maps(are_words), "an object of lists of words"),
    "facts": (are_picks, "an object of words and numbers"),
    "violations": (are_numbers, "an object of finite numbers"),
    "seconds": (lambda value: are_numbers(value, 0), "an object of numbers from 0"),
    "ended": (lambda value: value is None or is_time(value), "a number of seconds since 1970"),
    "error": (lambda value: value is None or isinstance(value, str), "text"),
    "copied_from": (lambda value: value is None or is_count(value), "a whole number from 0"),
    "source": (lambda value: value in SOURCES, f"one of {', '.join(SOURCES)}"),
    "continues": (lambda value: value is None or is_count(value), "a whole number from 0"),
    "repeats": (lambda value: value is None or is_count(value), "a whole number from 0"),
    "inherited": (lambda value: value is None or is_origin(value), "an object of a trial and a share from 0 to 1"),
    "draws": (lambda value: is_count(value) and value >= 1, "a whole number from 1"),
    "micro_batches": (lambda value: is_count(value) and value >= 1, "a whole number from 1"),
    "graphs": (lambda value: value is None or isinstance(value, str), "text"),
}
"""Field of a record -> whether a value can stand in it, and the rule in words."""
OPTIONAL = frozenset(name for name, (holds, _) in FIELDS.items() if holds(None))
"""Fields of a record that may be None."""
REQUIRED = ("picks", "architecture", "key", "seed")


def brief(value: object) -> str:
    """A value as a message shows it: its first sixty characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # of a whole number of more than 4,300 digits, of a table of any depth
        text = f"what cannot be shown ({type(value).__name__})"
    return text if len(text) <= 60 else f"{text[:57]}..."


FRAME = re.compile(r'\s*File "(.+)", line (\d+)')


@dataclass(frozen=True)
class Raised:
    """Where an exception was raised, as its traceback says.

    Args:
        kind: name of the exception.
        place: ``FILE:LINE`` of the innermost frame; empty if there is none.
        message: kind and first line of what it says.
    """

    kind: str
    place: str
    message: str

    def repeats(self, other: Raised) -> bool:
        """Whether it is the same failure again: the same kind at the same place, whatever it says."""
        return (self.kind, self.place or self.message) == (other.kind, other.place or other.message)

    @classmethod
    def of(cls, traceback: str) -> Raised:
        """From the text of a traceback; of a chain of exceptions it is the last."""
        place, message = "", ""
        for line in traceback.strip().splitlines():
            if frame := FRAME.match(line):
                place, message = f"{frame[1]}:{frame[2]}", ""
            elif not message and line[:1].strip():  # the first line below the frames that is not indented
                message = line
        return cls(message.partition(":")[0], place, message)


def refusal(schema: object) -> str:
    """Why something of another format than `SCHEMA` is not read."""
    return f"its format is {schema!r}, this version reads {SCHEMA}; continue with the version of nas that wrote it"


def trial_seed(study_seed: int, number: int, purpose: str = "trial") -> int:
    """Seed in [0, 2^31) that depends on the study's seed, the trial's number and the purpose only."""
    text = f"{study_seed}/{number}/{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) >> 1

"""One ended trial as data, and its JSON form: a line of ``trials.jsonl``, an element of ``nas pareto --json``."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:  # at run time it would import torch
    from searchspaces import Value

SCHEMA = 2
"""Format of a study directory: of its records, its events and its ``study.toml``."""

Status = Literal["complete", "infeasible", "duplicate", "truncated", "failed", "cancelled"]
Failure = Literal["diverged", "out_of_memory", "timeout", "worker_lost", "bug", "disk_full"]
COUNTED: tuple[Status, ...] = ("complete", "failed", "truncated")
"""What counts towards ``trials``; infeasible and duplicate proposals are recorded, not counted."""


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
        violations: name of a bound -> by what share it is exceeded (0.5: half as dear again).
        seconds: wall time of each phase, in the attempt that ended it.
        error: what went wrong, for failed trials.
        copied_from: number of the trial whose values a duplicate repeats.
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
    fidelity: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    copied_from: int | None = None
    micro_batches: int = 1

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
        if data["status"] not in get_args(Status):
            raise ValueError(f"its status is {data['status']!r}")
        names = {f.name for f in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in names})


def refusal(schema: object) -> str:
    """Why something of another format than `SCHEMA` is not read."""
    return f"its format is {schema!r}, this version reads {SCHEMA}; continue with the version of nas that wrote it"


def trial_seed(study_seed: int, number: int, purpose: str = "trial") -> int:
    """Seed in [0, 2^31) that depends on the study's seed, the trial's number and the purpose only."""
    text = f"{study_seed}/{number}/{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) >> 1

"""``measurements.jsonl``: objectives that were measured on stored weights after the search, a line for each trial."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from nas.store.of_trials import LinesOfTrials
from nas.store.records import SCHEMA, are_words, brief, is_count, is_number, is_spread, is_time, refusal

MEASUREMENTS = "measurements.jsonl"
WORDS = {"direction": ("maximize", "minimize"), "scale": ("fraction", "count")}


@dataclass(frozen=True)
class Measurement:
    """The value of one objective of one trial.

    Args:
        name: of the objective with its settings, as it was asked for.
        trial, key: number of the trial, and of its architecture.
        value: in the unit and direction of the objective.
        direction, scale, unit: what values of this name mean.
        settings: how it was measured.
        spread, flags: as in a record.
        time: when, in seconds since 1970.
    """

    name: str
    trial: int
    key: str
    value: float
    direction: str
    scale: str
    unit: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    spread: dict[str, Any] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    time: float = 0.0

    @property
    def title(self) -> str:
        """Which one it is."""
        return f"{self.name} of trial {self.trial}"

    def to_json(self) -> dict[str, Any]:
        """The line."""
        return {"schema": SCHEMA, **vars(self)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The measurement of a line.

        Raises:
            ValueError: if it is none, or of another format.
        """
        if not isinstance(data, dict) or not {"schema", "name", "trial", "value"} <= data.keys():
            raise ValueError("it is no measurement")
        if data["schema"] != SCHEMA:
            raise ValueError(refusal(data["schema"]))
        for name, (holds, rule) in FIELDS.items():
            if not holds(data.get(name)):
                raise ValueError(f"{name} must be {rule}, got {brief(data.get(name))}")
        return cls(**{name: data[name] for name in FIELDS})


def _is_text(value: object) -> bool:
    return isinstance(value, str)


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "text"),
    "trial": (is_count, "a whole number from 0"),
    "key": (_is_text, "a word"),
    "value": (is_number, "a finite number"),
    "direction": (lambda value: value in WORDS["direction"], f"one of {', '.join(WORDS['direction'])}"),
    "scale": (lambda value: value in WORDS["scale"], f"one of {', '.join(WORDS['scale'])}"),
    "unit": (_is_text, "a word"),
    "settings": (lambda value: isinstance(value, dict), "an object"),
    "spread": (lambda value: value == {} or is_spread(value), "an object with a kind, a standard_error and an n"),
    "flags": (are_words, "a list of words"),
    "time": (is_time, "a number of seconds since 1970"),
}
"""Field of a line -> whether a value can stand in it, and the rule in words."""


LINES = LinesOfTrials(MEASUREMENTS, Measurement.from_json)
read_measurements, open_measurements = LINES.read, LINES.open

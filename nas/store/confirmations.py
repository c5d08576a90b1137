"""``confirmations.jsonl``: trials that were trained again with other seeds, one line for each such replicate.

As durable as the log beside it: a line is on the disk before the next replicate is chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from nas.store.log import Journal, parsed, read_lines
from nas.store.records import SCHEMA, TrialRecord, brief, is_count, refusal

CONFIRMATIONS = "confirmations.jsonl"
Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Protocol:
    """How replicates are trained and measured; only those of one protocol can be compared.

    Args:
        epochs: passes over the training images.
        attack: that replaces the one of every robust accuracy; None for that of the study.
        split: of the images that they are measured on.
    """

    epochs: int
    attack: str | None = None
    split: Split = "validation"

    def __str__(self) -> str:
        attack = f", attack {self.attack}" if self.attack else ""
        return f"{self.epochs} epochs{attack}, {self.split} images"


@dataclass(frozen=True)
class Replicate:
    """One more training of a trial.

    Args:
        number: of the replicates of this trial by this protocol, from 0.
        wanted: replicates of this protocol that the command was to end with, of all trials.
        record: as of a trial, under the number of the trial that is repeated.
    """

    number: int
    protocol: Protocol
    wanted: int
    record: TrialRecord

    @property
    def trial(self) -> int:
        """Number of the trial that is repeated."""
        return self.record.number

    def to_json(self) -> dict[str, Any]:
        """The line."""
        known = {"replicate": self.number, "wanted": self.wanted, **asdict(self.protocol)}
        return {"schema": SCHEMA, **known, "record": self.record.to_json()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The replicate of a line.

        Raises:
            ValueError: if it is none, or of another format.
        """
        if not isinstance(data, dict) or not {"schema", "replicate", "record"} <= data.keys():
            raise ValueError("it is no replicate of a trial")
        if data["schema"] != SCHEMA:
            raise ValueError(refusal(data["schema"]))
        for name in ("replicate", "wanted", "epochs"):
            if not is_count(data.get(name)):
                raise ValueError(f"{name} must be a whole number from 0, got {brief(data.get(name))}")
        if not isinstance(attack := data.get("attack"), str | None):
            raise ValueError(f"attack must be a word or null, got {brief(attack)}")
        if data.get("split") not in get_args(Split):
            raise ValueError(f"split must be one of {', '.join(get_args(Split))}, got {brief(data.get('split'))}")
        protocol = Protocol(data["epochs"], attack, data["split"])
        return cls(data["replicate"], protocol, data["wanted"], TrialRecord.from_json(data["record"]))


def read_confirmations(directory: Path, trials: Sequence[TrialRecord]) -> list[Replicate]:
    """The replicates of a study, in the order in which they ended; none if none was made.

    Args:
        trials: of the study.

    Raises:
        WrongInputError: if a line is damaged, or of no trial of the study, with its number and what must hold.
    """
    path = directory / CONFIRMATIONS
    return parsed(path, read_lines(path).objects, _reader(trials))


def open_confirmations(directory: Path, trials: Sequence[TrialRecord]) -> Journal[Replicate]:
    """The open file, to add replicates to.

    Raises:
        WrongInputError: as `Journal`.
    """
    return Journal(directory / CONFIRMATIONS, _reader(trials))


def _reader(trials: Sequence[TrialRecord]) -> Callable[[Any], Replicate]:
    """Reads lines, each replicate once and of a trial of the study."""
    keys = {record.number: record.key for record in trials}
    seen = set[tuple[int, int, Protocol]]()

    def read(line: Any) -> Replicate:
        one = Replicate.from_json(line)
        if keys.get(one.trial) != one.record.key:
            raise ValueError(f"trial {one.trial} of the study is another network")
        if (again := (one.trial, one.number, one.protocol)) in seen:
            raise ValueError(f"replicate {one.number} of trial {one.trial} is recorded twice")
        seen.add(again)
        return one

    return read

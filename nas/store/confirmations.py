"""``confirmations.jsonl``: trials that were trained again with other seeds, one line for each such replicate.

As durable as the log beside it: a line is on the disk before the next replicate is chosen.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from nas.store.of_trials import LinesOfTrials
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
        inherit: some begin with the weights of others, as the trials of a search may; replicates never do.
    """

    epochs: int
    attack: str | None = None
    split: Split = "validation"
    inherit: bool = False

    def __str__(self) -> str:
        attack = f", attack {self.attack}" if self.attack else ""
        return f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}{attack}, {self.split} images"


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

    @property
    def key(self) -> str:
        """That of its architecture."""
        return self.record.key

    @property
    def title(self) -> str:
        """Which one it is."""
        return f"replicate {self.number} of trial {self.trial} ({self.protocol})"

    def to_json(self) -> dict[str, Any]:
        """The line."""
        known = {"replicate": self.number, "wanted": self.wanted, **asdict(self.protocol)}
        del known["inherit"]
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


LINES = LinesOfTrials(CONFIRMATIONS, Replicate.from_json)
read_confirmations, open_confirmations = LINES.read, LINES.open

"""``runs.jsonl`` of an ablation: a line for each training of an arm by a seed, written before the next one begins."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

from nas.store.confirmations import Split
from nas.store.log import Journal
from nas.store.records import SCHEMA, TrialRecord, brief, is_count, refusal

RUNS = "runs.jsonl"


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        arm: name that it had then.
        replicate: number of the seed, from 0; the same number is the same seed in every arm.
        recipe: digest of all that decides what the training leads to, its seed included.
        split: of the images that it was measured on.
        record: as of a trial.
    """

    arm: str
    replicate: int
    recipe: str
    split: Split
    record: TrialRecord

    @property
    def is_final(self) -> bool:
        """Whether training it again would lead to the same: it is complete, or diverged."""
        return self.record.status == "complete" or self.record.failure == "diverged"

    def to_json(self) -> dict[str, Any]:
        """The line."""
        known = {"arm": self.arm, "replicate": self.replicate, "recipe": self.recipe, "split": self.split}
        return {"schema": SCHEMA, **known, "record": self.record.to_json()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The run of a line.

        Raises:
            ValueError: if it is none, or of another format.
        """
        if not isinstance(data, dict) or not {"schema", "arm", "recipe", "record"} <= data.keys():
            raise ValueError("it is no run of an ablation")
        if data["schema"] != SCHEMA:
            raise ValueError(refusal(data["schema"]))
        if not is_count(data.get("replicate")):
            raise ValueError(f"replicate must be a whole number from 0, got {brief(data.get('replicate'))}")
        for name in ("arm", "recipe"):
            if not isinstance(data[name], str):
                raise ValueError(f"{name} must be a word, got {brief(data[name])}")
        if data.get("split") not in get_args(Split):
            raise ValueError(f"split must be one of {', '.join(get_args(Split))}, got {brief(data.get('split'))}")
        record = TrialRecord.from_json(data["record"])
        return cls(data["arm"], data["replicate"], data["recipe"], data["split"], record)


def open_runs(directory: Path) -> Journal[Run]:
    """The open file of an ablation, to add lines to.

    Raises:
        WrongInputError: if another process writes to it, or a line is damaged.
    """
    return Journal(directory / RUNS, Run.from_json)

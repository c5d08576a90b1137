"""Where a training stands, on disk: it goes on from there as if nothing had happened.

A checkpoint is one safetensors file with every tensor of the training (weights, averages, optimiser, random
generators, position) and what it belongs to; nothing in it is ever unpickled. The last two are kept: one that is
damaged is passed over for the one before.
"""

import contextlib
import json
import os
import time
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

PREFIX = "checkpoint-"


class Checkpoints:
    """The checkpoints of one training in a folder of their own.

    Args:
        folder: made if it is not there.
        belongs_to: all that must be the same for a training to go on; compared as JSON.
        seconds: between two checkpoints.

    Attributes:
        stop: set it, from a signal handler for example, and the training saves its next step and is interrupted.
        notes: what a person should know of files that were passed over.
    """

    def __init__(self, folder: Path, belongs_to: dict[str, object], seconds: float = 60.0) -> None:
        self.folder, self.belongs_to = folder, json.dumps(belongs_to, sort_keys=True, default=str)
        self.seconds, self.stop = seconds, False
        self.notes: list[str] = []
        self._saved = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob(f"{PREFIX}*.safetensors"), reverse=True)

    def load(self) -> dict[str, Tensor] | None:
        """The tensors of the newest checkpoint that is whole; None if there is none.

        Raises:
            ValueError: if it belongs to another training.
        """
        for path in self.files():
            try:
                with safetensors.safe_open(path, "pt") as file:
                    belongs_to = (file.metadata() or {}).get("belongs_to")
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
            except (safetensors.SafetensorError, OSError) as error:
                self.notes.append(f"{path} is damaged ({error}) and is passed over for the one before.")
                continue
            if belongs_to != self.belongs_to:
                raise ValueError(
                    f"{path} belongs to another training: {_differences(belongs_to, self.belongs_to)}. "
                    "Use the settings that it was started with, or another folder."
                )
            return tensors
        return None

    def is_due(self) -> bool:
        """Whether it is time to save."""
        return self.stop or time.monotonic() - self._saved >= self.seconds

    def save(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Writes a checkpoint after ``step`` steps, whole or not at all, and deletes all but the last two."""
        path = self.folder / f"{PREFIX}{step:09d}.safetensors"
        temporary = self.folder / f".{path.name}.{os.getpid()}"
        try:
            content = safetensors.torch.save(
                {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
                {"belongs_to": self.belongs_to},
            )
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        self._saved = time.monotonic()
        for old in self.files()[2:]:
            with contextlib.suppress(OSError):
                old.unlink()


def _differences(old: str | None, new: str) -> str:
    try:
        before, now = json.loads(old or "{}"), json.loads(new)
        changed = [k for k in before.keys() | now.keys() if before.get(k) != now.get(k)]
        return "; ".join(f"{k} was {before.get(k)!r}, now {now.get(k)!r}" for k in sorted(changed))
    except (ValueError, AttributeError):
        return "its description cannot be read"

"""Checkpoints of a training, which continues from one as if nothing had happened.

A checkpoint is one safetensors file with every tensor of the training (weights, averages, optimiser, random
generators, position) and what it belongs to; nothing in it is ever unpickled. In a folder the last two are kept: one
that is damaged is skipped for the one before.
"""

import contextlib
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

PREFIX = "checkpoint-"
BESIDE = "beside."
"""Before the names of tensors that are not the training's own."""


class Checkpoints(ABC):
    """What a training continues from, and where it saves itself now and then.

    Args:
        belongs_to: everything that must be the same for a training to continue; compared as JSON.
        seconds: between two checkpoints.
        until: epoch after which the training saves itself and ends, as if it were over; None for its last.

    Attributes:
        stop: set it, from a signal handler for example, and the training saves its next step and is interrupted.
        beside: tensors of whoever started the training, by name, that are saved and loaded with it.
    """

    def __init__(self, belongs_to: dict[str, object], seconds: float = 60.0, until: int | None = None) -> None:
        self.belongs_to = json.dumps(belongs_to, sort_keys=True, default=str)
        self.seconds, self.until, self.stop = seconds, until, False
        self.beside: dict[str, Tensor] = {}
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to save."""
        return self.stop or time.monotonic() - self._saved >= self.seconds

    def save(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Saves the training as it is after ``step`` steps."""
        tensors = tensors | {BESIDE + name: tensor for name, tensor in self.beside.items()}
        content = safetensors.torch.save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            {"belongs_to": self.belongs_to},
        )
        self._write(step, content)
        self._saved = time.monotonic()

    def load(self) -> dict[str, Tensor] | None:
        """The tensors to continue from; None if there are none. Those of `beside` are put back there.

        Raises:
            ValueError: if there is a checkpoint, but of another training.
        """
        tensors = self._read()
        for name in [name for name in tensors or () if name.startswith(BESIDE)]:
            assert tensors is not None
            self.beside[name.removeprefix(BESIDE)] = tensors.pop(name)
        return tensors

    @abstractmethod
    def _read(self) -> dict[str, Tensor] | None: ...

    @abstractmethod
    def _write(self, step: int, content: bytes) -> None: ...


class FolderCheckpoints(Checkpoints):
    """The checkpoints of one training in a folder of their own.

    Args:
        folder: made if it is not there.
        belongs_to, seconds: see `Checkpoints`.

    Attributes:
        notes: what a person should know of files that were skipped.
    """

    def __init__(self, folder: Path, belongs_to: dict[str, object], seconds: float = 60.0) -> None:
        super().__init__(belongs_to, seconds)
        self.folder, self.notes = folder, list[str]()
        folder.mkdir(parents=True, exist_ok=True)

    def files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob(f"{PREFIX}*.safetensors"), reverse=True)

    def _read(self) -> dict[str, Tensor] | None:
        """The tensors of the newest checkpoint that is whole; None if there is none.

        Raises:
            ValueError: if it belongs to another training.
        """
        for path in self.files():
            try:
                belongs_to, tensors = _unpack(path.read_bytes())
            except (safetensors.SafetensorError, OSError) as error:
                self.notes.append(f"{path} is damaged ({error}) and is skipped for the one before.")
                continue
            if belongs_to != self.belongs_to:
                raise ValueError(
                    f"{path} belongs to another training: {_differences(belongs_to, self.belongs_to)}. "
                    "Use the settings that it was started with, or another folder."
                )
            return tensors
        return None

    def _write(self, step: int, content: bytes) -> None:
        """Writes a checkpoint whole or not at all, and deletes all but the last two."""
        path = self.folder / f"{PREFIX}{step:09d}.safetensors"
        temporary = self.folder / f".{path.name}.{os.getpid()}"
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        for old in self.files()[2:]:
            with contextlib.suppress(OSError):
                old.unlink()


class SentCheckpoints(Checkpoints):
    """Checkpoints of a training that does not keep them itself: the last one was given to it, new ones are sent off.

    Args:
        last: content to continue from; one that is damaged or of another training is ignored.
        send: is given the content of each new one.
        belongs_to, seconds, until: see `Checkpoints`.
    """

    def __init__(
        self,
        last: bytes | None,
        send: Callable[[bytes], None],
        belongs_to: dict[str, object],
        seconds: float = 60.0,
        until: int | None = None,
    ) -> None:
        super().__init__(belongs_to, seconds, until)
        self.last, self.send = last, send

    def _read(self) -> dict[str, Tensor] | None:
        if self.last is None:
            return None
        with contextlib.suppress(safetensors.SafetensorError):
            belongs_to, tensors = _unpack(self.last)
            if belongs_to == self.belongs_to:
                return tensors
        return None

    def _write(self, step: int, content: bytes) -> None:
        self.send(content)


def _unpack(content: bytes) -> tuple[str | None, dict[str, Tensor]]:
    """What a checkpoint belongs to, and its tensors.

    Raises:
        safetensors.SafetensorError: if it is not whole.
    """
    tensors = safetensors.torch.load(content)  # which leaves out the metadata
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header.get("__metadata__", {}).get("belongs_to"), tensors


def _differences(old: str | None, new: str) -> str:
    try:
        before, now = json.loads(old or "{}"), json.loads(new)
        changed = [k for k in before.keys() | now.keys() if before.get(k) != now.get(k)]
        return "; ".join(f"{k} was {before.get(k)!r}, now {now.get(k)!r}" for k in sorted(changed))
    except (ValueError, AttributeError):
        return "its description cannot be read"

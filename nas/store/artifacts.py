"""The weights of a study's trials within their disk space, and the checkpoints of the trainings that still run."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from nas.store.files import put_in_place, write_beside

WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"


def weights_path(directory: Path, number: int) -> Path:
    """File in which a study stores the weights of a trial."""
    return directory / "artifacts" / str(number) / WEIGHTS


def checkpoint_path(directory: Path, number: int) -> Path:
    """File in which a study stores the checkpoint of an unfinished trial."""
    return weights_path(directory, number).with_name(CHECKPOINT)


def read_checkpoint(directory: Path, number: int) -> bytes | None:
    """The checkpoint of a trial; None if it has none."""
    try:
        return checkpoint_path(directory, number).read_bytes()
    except OSError:
        return None


def drop_checkpoint(directory: Path, number: int) -> None:
    """Deletes the checkpoint of a trial, if there is one."""
    path = checkpoint_path(directory, number)
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()  # unless the weights are there


def checkpointed(directory: Path) -> set[int]:
    """The trials that have a checkpoint."""
    return {int(trial) for trial, file in _files(directory) if file.name == CHECKPOINT}


def _files(directory: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Name of the folder of each trial, with a file in it; `Path.glob` takes several times as long."""
    for folder in _entries(directory / "artifacts"):
        for file in _entries(folder):
            yield folder.name, file


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


class Artifacts:
    """The weights of a study's trials.

    Args:
        directory: of the study.
        limit: bytes that they may take; None for any number.

    Attributes:
        bytes: that they take now.
    """

    def __init__(self, directory: Path, limit: int | None) -> None:
        self.directory, self.limit = directory, limit
        self.sizes: dict[int, int] = {}
        stored = [(int(trial), file.stat()) for trial, file in _files(directory) if file.name == WEIGHTS]
        for number, file in sorted(stored, key=lambda pair: pair[1].st_mtime):
            self.sizes[number] = file.st_size
        self.bytes = sum(self.sizes.values())

    def sweep(self) -> None:
        """Deletes the unfinished files of processes that were killed while they wrote."""
        for _, file in _files(self.directory):
            if file.name.startswith("."):
                with contextlib.suppress(OSError):
                    os.unlink(file)

    def keep(self, number: int, weights: bytes | str) -> None:
        """Stores the weights of a trial: its bytes, or the name under which `write_beside` wrote them.

        Raises:
            StoppedError: if they cannot be written.
        """
        path = weights_path(self.directory, number)
        put_in_place(write_beside(path, weights) if isinstance(weights, bytes) else weights, path)
        size = path.stat().st_size
        self.bytes += size - self.sizes.get(number, 0)
        self.sizes[number] = size

    def trim(self, front: Iterable[int]) -> None:
        """Deletes weights of trials that are not on the front, oldest first, until all fit into the limit."""
        if self.limit is None or self.bytes <= self.limit:
            return
        spared = set(front)
        for number in [n for n in self.sizes if n not in spared]:
            shutil.rmtree(weights_path(self.directory, number).parent, ignore_errors=True)
            self.bytes -= self.sizes.pop(number)
            if self.bytes <= self.limit:
                return

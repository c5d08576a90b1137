"""The weights of a study's trials within their disk space, their traces, and the checkpoints of what still runs."""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nas.errors import WrongInputError, regular, user_input
from nas.store.files import put_in_place, write_atomically, write_beside

WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"
CURVE, PREDICTIONS = "curve.csv", "predictions.npz"
"""A trial's traces (`nas.store.traces`): a few hundred bytes each, which stay when weights are deleted."""
NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
"""Name of the folder of a trial."""


def weights_path(directory: Path, number: int) -> Path:
    """File in which a study stores the weights of a trial."""
    return directory / "artifacts" / str(number) / WEIGHTS


def checkpoint_path(directory: Path, number: int) -> Path:
    """File in which a study stores the checkpoint of an unfinished trial."""
    return weights_path(directory, number).with_name(CHECKPOINT)


def read_checkpoint(directory: Path, number: int) -> bytes | None:
    """The checkpoint of a trial; None if it has none."""
    try:
        return regular(checkpoint_path(directory, number)).read_bytes()
    except OSError:
        return None


def drop_checkpoint(directory: Path, number: int) -> None:
    """Deletes the checkpoint of a trial, if there is one."""
    path = checkpoint_path(directory, number)
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()  # unless something else is there


def checkpointed(directory: Path) -> set[int]:
    """The trials that have a checkpoint.

    Raises:
        WrongInputError: as `folders`.
    """
    return {number for number, files in folders(directory).items() if CHECKPOINT in files}


def folders(directory: Path) -> dict[int, dict[str, os.DirEntry[str]]]:
    """The files of every trial that has any, by number and name; hidden files are nobody's.

    By `os.scandir`, because `Path.glob` takes several times as long.

    Raises:
        WrongInputError: naming what else lies there: it is somebody's, and would be taken for a trial or be deleted.
    """
    found: dict[int, dict[str, os.DirEntry[str]]] = {}
    place = directory / "artifacts"
    if not os.path.lexists(place):
        return {}
    with user_input(str(place)):
        for entry in os.scandir(place):
            if entry.name.startswith("."):
                continue
            if not entry.is_dir() or not NUMBER.fullmatch(entry.name):
                raise _foreign(entry.path)
            files = {file.name: file for file in os.scandir(entry) if not file.name.startswith(".")}
            for name, file in files.items():
                if name not in (WEIGHTS, CHECKPOINT, CURVE, PREDICTIONS) or not file.is_file():
                    raise _foreign(file.path)
            found[int(entry.name)] = files
    return found


def weight_bytes(directory: Path) -> int:
    """What the weights of a study take on the disk, in bytes; 0 without any. A tenth of the work of `Artifacts`."""
    total = 0
    try:
        place = os.open(directory / "artifacts", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return 0
    try:
        for name in os.listdir(place):
            with contextlib.suppress(OSError):  # deleted, or no trial's
                total += os.stat(f"{name}/{WEIGHTS}", dir_fd=place).st_size
    finally:
        os.close(place)
    return total


def _foreign(path: str) -> WrongInputError:
    return WrongInputError(f"{path} is nothing that a search has written. Move it out of the study directory.")


def keep_traces(directory: Path, number: int, files: Mapping[str, bytes]) -> None:
    """Stores the traces of a trial, by name; they are not worth the wait for the disk.

    Raises:
        StoppedError: if they cannot be written.
    """
    for name, content in files.items():
        write_atomically(weights_path(directory, number).with_name(name), content, durable=False)


class Artifacts:
    """The weights of a study's trials.

    Args:
        directory: of the study.
        limit: bytes that they may take; None for any number.

    Attributes:
        bytes: that they take now.

    Raises:
        WrongInputError: as `folders`.
    """

    def __init__(self, directory: Path, limit: int | None) -> None:
        self.directory, self.limit = directory, limit
        self.sizes: dict[int, int] = {}
        stored = [(n, files[WEIGHTS].stat()) for n, files in folders(directory).items() if WEIGHTS in files]
        for number, state in sorted(stored, key=lambda pair: pair[1].st_mtime):
            self.sizes[number] = state.st_size
        self.bytes = sum(self.sizes.values())

    def sweep(self) -> None:
        """Deletes the unfinished files of processes that were killed while they wrote."""
        place = self.directory / "artifacts"
        for folder in os.scandir(place) if place.is_dir() else ():
            for file in os.scandir(folder) if folder.is_dir(follow_symlinks=False) else ():
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
            path = weights_path(self.directory, number)
            with contextlib.suppress(OSError):
                path.unlink()
                path.parent.rmdir()  # unless traces are there
            self.bytes -= self.sizes.pop(number)
            if self.bytes <= self.limit:
                return

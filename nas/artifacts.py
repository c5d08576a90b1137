"""Files that are there whole or not at all: the weights of a study's trials, within their disk space, and where the
trainings that still run stand.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from nas.errors import StoppedError

WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a kill at any moment leaves the old one or the new one; makes its folder.

    Raises:
        StoppedError: if it cannot be written, for example because the disk is full.
        TimeoutError: if an alarm rings meanwhile.
    """
    put_in_place(write_beside(path, content), path)


def write_beside(path: Path, content: bytes) -> str:
    """Writes what is to become a file, under a hidden name of this process in its folder, and returns that name.

    Raises:
        StoppedError, TimeoutError: as `write_atomically`.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}")
    with _or_stop(path, temporary):
        os.makedirs(folder or ".", exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return temporary


def put_in_place(temporary: str, path: Path) -> None:
    """Makes what `write_beside` wrote the file.

    Raises:
        StoppedError, TimeoutError: as `write_atomically`.
    """
    with _or_stop(path, temporary):
        os.replace(temporary, path)


@contextlib.contextmanager
def _or_stop(path: Path, temporary: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if error.errno is None:  # a trial's time is up, in the middle of saving it: not the disk's fault
            raise
        raise StoppedError(f"{path} cannot be written ({error.strerror}). What was finished before is kept.") from None


def weights_path(directory: Path, number: int) -> Path:
    """Where a study keeps the weights of a trial."""
    return directory / "artifacts" / str(number) / WEIGHTS


def checkpoint_path(directory: Path, number: int) -> Path:
    """Where a study keeps what an unfinished trial goes on from."""
    return weights_path(directory, number).with_name(CHECKPOINT)


def read_checkpoint(directory: Path, number: int) -> bytes | None:
    """What a trial goes on from, if it was saved."""
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
    return {int(path.parent.name) for path in directory.glob(f"artifacts/*/{CHECKPOINT}")}


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
        for path in sorted(directory.glob(f"artifacts/*/{WEIGHTS}"), key=lambda p: p.stat().st_mtime):
            self.sizes[int(path.parent.name)] = path.stat().st_size
        self.bytes = sum(self.sizes.values())

    def sweep(self) -> None:
        """Deletes what processes that were killed had not finished to write."""
        for path in self.directory.glob("artifacts/*/.*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def keep(self, number: int, weights: bytes | str) -> None:
        """Writes the weights of a trial; a name is that of `write_beside`.

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

"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from nas.errors import StoppedError


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file so that a kill at any moment leaves the old one or the new one; creates its folder.

    Args:
        durable: also survive a power cut (fsync), which costs most of the time.

    Raises:
        StoppedError: if it cannot be written, for example because the disk is full.
        TimeoutError: if an alarm rings meanwhile.
    """
    put_in_place(write_beside(path, content, durable=durable), path)


def write_beside(path: Path, content: bytes, *, durable: bool = True) -> str:
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
            if durable:
                file.flush()
                os.fsync(file.fileno())
    return temporary


def put_in_place(temporary: str, path: Path) -> None:
    """Renames what `write_beside` wrote to ``path``.

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
        if error.errno is None:  # a trial's time is up while it saves itself: not the disk's fault
            raise
        raise StoppedError(f"{path} cannot be written ({error.strerror}). What was finished before is kept.") from None

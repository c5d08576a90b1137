"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from nas.errors import StoppedError

LONGEST_NAME, LONGEST_PATH = 200, 4000
"""Bytes of a file's name and of a whole path: Linux takes 255 and 4,095, less what names of our own add."""


def check_path(path: str | Path, where: str) -> None:
    """Makes sure that something given can be the name of a file or folder.

    Raises:
        ValueError: if it has control characters, or is longer than a file system takes.
    """
    text = os.fspath(path)
    if not text.isprintable():
        raise ValueError(f"{where} must be without control characters, got {text[:60]!r}.")
    longest = max(len(os.fsencode(part)) for part in text.split(os.sep))
    if longest > LONGEST_NAME or len(os.fsencode(text)) > LONGEST_PATH:
        raise ValueError(
            f"{where} is too long: a name may have {LONGEST_NAME} bytes, a path {LONGEST_PATH:,}, got {longest:,} and "
            f"{len(os.fsencode(text)):,}. Give a shorter one."
        )


def read_text(path: Path, most: int) -> str:
    """The text of a file that a person wrote, of at most ``most`` bytes.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is larger, or no UTF-8.
    """
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return content.decode()


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

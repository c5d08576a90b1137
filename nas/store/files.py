"""Files and folders that are written whole or not at all."""

import contextlib
import ctypes
import glob
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from nas.errors import StoppedError, WrongInputError, regular

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
    with open(regular(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return content.decode("utf-8-sig")


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file so that a kill at any moment leaves the old one or the new one; creates its folder.

    Args:
        durable: also survive a power cut (fsync), which costs most of the time.

    Raises:
        StoppedError: if it cannot be written, for example because the disk is full.
        TimeoutError: if an alarm rings meanwhile.
    """
    put_in_place(write_beside(path, content, durable=durable), path)


def refuse_links(directory: Path) -> None:
    """Checks that nothing below a directory is a symbolic link, through which files elsewhere would be changed.

    Raises:
        WrongInputError: naming the first one.
    """
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            if os.path.islink(path := os.path.join(folder, name)):
                raise WrongInputError(
                    f"{path} is a symbolic link to {os.readlink(path)}. A study directory must hold its own files, "
                    "so that nothing outside it is changed: put the file or folder itself there."
                )


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
def new_folder(path: Path) -> Iterator[Path]:
    """A hidden folder to write into, which takes the place of ``path`` as a whole once the block ends well.

    Killed or out of disk at any moment, what was at ``path`` before stays as it was. Remains of processes that were
    killed in the block are deleted by the next.

    Raises:
        WrongInputError: if ``path`` cannot be replaced.
        StoppedError: if a folder cannot be made or a file written.
    """
    target = Path(os.path.realpath(path))
    check_replaceable(path)
    with _or_stop(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        hidden = target.with_name(f".{target.name}.{os.getpid()}")
        hidden.mkdir()
    try:
        yield hidden
        with _or_stop(path):
            _exchange(hidden, target) if target.exists() else os.rename(hidden, target)
    except StoppedError as error:
        raise StoppedError(str(error).replace(str(hidden), str(path))) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def check_replaceable(path: Path) -> None:
    """Checks that a folder may take the place of ``path``.

    Raises:
        WrongInputError: if it is a mount point or holds the current folder, or its name cannot be.
    """
    try:
        target = Path(os.path.realpath(path))
        fixed = os.path.ismount(target) or Path.cwd().is_relative_to(target)
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{str(path)!r} cannot be a folder: {error}.") from None
    if fixed:
        raise WrongInputError(
            f"{path} is a mount point or holds the current folder, so it cannot be replaced as a whole. "
            f"Give a new folder in it, as {path / 'best'}."
        )


def _sweep(target: Path) -> None:
    """Deletes what processes left that were killed while they wrote a new ``target``."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*"):
        pid = re.fullmatch(r"\d+", folder.name.rpartition(".")[2])
        if pid and folder.is_dir() and not folder.is_symlink() and not _is_alive(int(pid[0])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _exchange(a: Path, b: Path) -> None:
    """Swaps two folders in one step (renameat2 of Linux), or else in two renames."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename is not None and rename(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0:
        return
    old = a.with_name(f"{a.name}.old")
    os.rename(b, old)
    os.rename(a, b)
    os.rename(old, a)


@contextlib.contextmanager
def _or_stop(path: Path, temporary: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if error.errno is None:  # a trial's time is up while it saves itself: not the disk's fault
            raise
        raise StoppedError(f"{path} cannot be written ({error.strerror}). What was finished before is kept.") from None

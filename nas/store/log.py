"""One append-only file of JSON lines: read, locked, mended after a kill, appended to.

A last line without its newline is the trace of a kill: it is kept in a file beside; any other damage is an error.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from pydantic_core import from_json

from nas.errors import StoppedError, WrongInputError, regular


@dataclass(frozen=True)
class Lines:
    """What a JSON-lines file holds.

    Args:
        objects: one for each whole line.
        whole: length in bytes of the whole lines.
        rest: an unfinished last line, as a kill in the middle of writing leaves it.
    """

    objects: list[dict[str, Any]]
    whole: int
    rest: bytes


def read_lines(path: Path) -> Lines:
    """The lines of a JSON-lines file; a last one that is cut short is left out.

    A line ends with a line feed and nothing else: a stray carriage return must not end one.

    Raises:
        WrongInputError: naming the first other line that cannot be read.
    """
    objects: list[dict[str, Any]] = []
    try:
        *lines, last = regular(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return Lines([], 0, b"")
    except OSError as error:
        raise WrongInputError(f"{path} cannot be read ({error.strerror}).") from None
    for number, line in enumerate(lines, start=1):
        try:
            objects.append(_parse(line))
        except (ValueError, RecursionError) as error:
            raise WrongInputError(
                f"{path}, line {number} is damaged ({error}). Restore the file from a copy, or delete that line: "
                "its trial is then run again."
            ) from None
    whole = sum(map(len, lines)) + len(lines)
    if last:
        try:
            objects.append(_parse(last))
        except (ValueError, RecursionError):
            return Lines(objects, whole, last)
    return Lines(objects, whole + len(last), b"")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _parse(line: bytes) -> Any:
    """What `json.loads` returns for a line, in half the time and with one string for equal names; the same errors."""
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError:
        return _DECODER.decode(line.decode(json.detect_encoding(line), "surrogatepass"))


def line_of(content: dict[str, Any]) -> bytes:
    """An object as a line."""
    return (json.dumps(content, separators=(",", ":")) + "\n").encode()


class HeldError(RuntimeError):
    """Another process writes to the file."""


class Log:
    """The open file, created if there is none; of one writer at a time if it is held.

    Args:
        opened: closes the file, and gives it free.
        hold: lock it.

    Raises:
        HeldError: if another process holds it.
    """

    def __init__(self, path: Path, opened: contextlib.ExitStack, *, hold: bool = False) -> None:
        self.path = path
        self._file = os.open(regular(path), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        opened.callback(os.close, self._file)
        self._lines = Lines([], 0, b"")
        self._length, self._dirty = 0, False
        if hold:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise HeldError(f"another process writes to {path}") from None

    def read(self) -> list[dict[str, Any]]:
        """The objects of its whole lines, see `read_lines`."""
        self._lines = read_lines(self.path)
        return self._lines.objects

    def mend(self) -> list[str]:
        """Moves an unfinished last line, of what was read, into a file beside it; returns what to say of that."""
        notes, whole, rest = [], self._lines.whole, self._lines.rest
        if rest:
            aside = self.path.with_name(f"{self.path.name}.unfinished")
            with open(aside, "ab") as kept:
                kept.write(rest + b"\n")
            os.ftruncate(self._file, whole)
            notes = [f"{self.path}: the last line was cut short, as a kill leaves it; it is kept in {aside.name}."]
        elif whole and os.pread(self._file, 1, whole - 1) != b"\n":  # whole but for its end
            os.write(self._file, b"\n")
        self._length = os.fstat(self._file).st_size
        return notes

    def harm(self) -> str:
        """What somebody else has done to the file since this process last wrote to it; empty if nothing."""
        try:
            found = os.stat(self.path)
        except OSError:
            return "was deleted"
        if not os.path.samestat(found, os.fstat(self._file)):
            return "was replaced by another file"
        if found.st_size != self._length:
            return f"was changed by another process ({self._length:,} bytes, now {found.st_size:,})"
        return ""

    def append(self, content: dict[str, Any]) -> None:
        """Appends a line; it survives a kill at once, a power cut after `flush`.

        Raises:
            StoppedError: if it cannot be written, for example because the disk is full; the file is left whole.
        """
        line = line_of(content)
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            os.ftruncate(self._file, self._length)
            raise self._unwritable(error) from None
        self._length += len(line)
        self._dirty = True

    def flush(self) -> None:
        """Waits until what was appended is on the disk.

        Raises:
            StoppedError: if it cannot be written.
        """
        if self._dirty:
            try:
                os.fsync(self._file)
            except OSError as error:
                raise self._unwritable(error) from None
            self._dirty = False

    def _unwritable(self, error: OSError) -> StoppedError:
        return StoppedError(
            f"{self.path} cannot be written ({error.strerror}). All trials recorded before are kept; "
            "free some space and run the same command again."
        )


class Entry(Protocol):
    """What a line of a journal says."""

    def to_json(self) -> dict[str, Any]:
        """The line."""
        ...


E = TypeVar("E", bound=Entry)


def parsed(path: Path, lines: list[dict[str, Any]], parse: Callable[[Any], E]) -> list[E]:
    """The entries of the lines of a file.

    Raises:
        WrongInputError: naming the first line of which ``parse`` raises a ValueError.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(parse(line))
        except ValueError as error:
            raise WrongInputError(
                f"{path}, line {number} is damaged ({error}). Restore the file from a copy."
            ) from None
    return found


class Journal(Generic[E]):
    """An open file of entries, of which there is one writer at a time.

    Args:
        parse: a line -> its entry; raises ValueError for a damaged one.

    Raises:
        WrongInputError: if another process writes to it, or a line is damaged.
    """

    def __init__(self, path: Path, parse: Callable[[Any], E]) -> None:
        with contextlib.ExitStack() as opened:
            try:
                self._log = Log(path, opened, hold=True)
            except HeldError as error:
                raise WrongInputError(f"{error}. Wait for it.") from None
            self.entries = parsed(path, self._log.read(), parse)
            self.notes = self._log.mend()
            self._opened = opened.pop_all()

    def add(self, entry: E) -> None:
        """Appends an entry; it is on the disk when this returns.

        Raises:
            StoppedError: if it cannot be written, or somebody has deleted or changed the file.
        """
        if what := self._log.harm():
            raise StoppedError(f"{self._log.path} {what} meanwhile. Restore it, and run the same command again.")
        self._log.append(entry.to_json())
        self._log.flush()
        self.entries.append(entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

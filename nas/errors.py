"""What the command line turns into one message, no traceback, exit status 2 or 1; and what makes text safe to show."""

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of what a terminal may obey, or shows in another order or not at all."""


class WrongInputError(ValueError):
    """The user's input cannot be used: exit status 2. The message says what must hold, what came and what to do."""


class StoppedError(RuntimeError):
    """The work could not be finished: exit status 1. The message says why, and what is kept."""


@contextmanager
def user_input(where: str) -> Iterator[None]:
    """Turns the ValueError or OSError that a user's ``where`` causes into a `WrongInputError` that names it."""
    try:
        yield
    except WrongInputError:
        raise
    except (ValueError, OSError) as error:
        raise WrongInputError(f"{where}: {error}" if where else str(error)) from error


def regular(path: Path) -> Path:
    """The path, unless a pipe, device or socket lies there: reading one waits for ever, or never ends.

    Whatever came from somebody else, or by a name that somebody gave, is opened through it.

    Raises:
        OSError: if one does.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # it is not there, and who opens it says so
        return path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe, device or socket, where a file must be", os.fspath(path))
    return path


def printable(text: str) -> str:
    """The text with control characters, and what else cannot be seen, as escapes; tabs and line ends stay.

    Example: ``printable("a\\x1b[2Jb")`` returns ``"a\\\\x1b[2Jb"``.
    """
    if text.isprintable():
        return text
    return re.sub(r"[^\x20-\x7e\n\t]", lambda match: _shown(match[0]), text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in HIDDEN:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character

"""Files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path

from nas.errors import StoppedError


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a kill at any moment leaves the old one or the new one; makes its folder.

    Raises:
        StoppedError: if it cannot be written, for example because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StoppedError(f"{path} cannot be written ({error.strerror}). What was finished before is kept.") from None

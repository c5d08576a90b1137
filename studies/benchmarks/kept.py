"""A file with a line of JSON for each thing that a benchmark measured, with which it goes on where it was stopped."""

import json
import os
from pathlib import Path
from typing import Any


def kept(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, which need not exist; the half line of a process that was killed is none."""
    found = list[dict[str, Any]]()
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def keep(path: Path, line: dict[str, Any]) -> None:
    """Adds a line, on the disk when this returns; a half line before it is ended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")
        file.write(json.dumps(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())

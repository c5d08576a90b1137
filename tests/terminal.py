"""The command line in this process: starting one costs seconds for torch alone."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.cli import main


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, cwd: Path | None = None, **environment: str) -> Result:
    """Runs a command of ``nas``."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        for name, value in {"COLUMNS": "200", **environment}.items():
            patch.setenv(name, value)
        if cwd:
            patch.chdir(cwd)
        with pytest.raises(SystemExit) as status:
            main()
    return Result(int(status.value.code or 0), out.getvalue(), err.getvalue())

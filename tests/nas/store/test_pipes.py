"""What lies where a file must be, and whose reading never ends, stops nothing: a message, or it is not needed."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nas.cli import cli
from nas.errors import StoppedError, WrongInputError, regular

IN_A_STUDY = {
    "study.toml": ["status", "pareto", "search"],
    "trials.jsonl": ["status", "pareto", "search"],
    "events.jsonl": ["status", "search"],
    "confirmations.jsonl": ["status", "pareto", "search"],
    "measurements.jsonl": ["pareto", "report"],
    "live.json": ["status"],
    "lock": ["status"],
    "environment.json": ["report"],
    "artifacts/{member}/curve.csv": ["report"],
    "artifacts/{member}/predictions.npz": ["report", "export"],
    "artifacts/{member}/weights.safetensors": ["show", "export", "report"],
}
IN_AN_EXPORT = ("config.json", "model.safetensors", "origin.json", "SHA256SUMS", "evaluations.jsonl")


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Ends a test that waits, as nothing else would."""

    def ring(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def ran(*arguments: object, wrong: bool = False) -> None:
    """Runs a command, which ends well or, perhaps (or certainly: ``wrong``), with one message."""
    try:
        cli.main([str(argument) for argument in arguments], standalone_mode=False)
    except (WrongInputError, StoppedError, click.ClickException):
        return
    assert not wrong


@pytest.mark.parametrize(("name", "command"), [(name, c) for name, commands in IN_A_STUDY.items() for c in commands])
def test_a_pipe_in_a_study(name: str, command: str, searched: Path, tmp_path: Path) -> None:
    import nas

    run = tmp_path / "run"
    shutil.copytree(searched, run)
    member = nas.open(run).front[0].number
    pipe(run / name.format(member=member))
    more: dict[str, list[object]] = {
        "search": [searched.parent / "small.toml", "--out", run],
        "show": [run, member],
        "export": [run, "--format", "none", "--pick", f"trial:{member}", "-o", tmp_path / "out"],
        "report": [run, "-o", tmp_path / "page.html"],
    }
    ran(command, *more.get(command, [run]))


@pytest.mark.parametrize("name", IN_AN_EXPORT)
def test_a_pipe_in_an_export(name: str, searched: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cli.main(["export", str(searched), "--format", "none", "--pick", "knee", "-o", str(out)], standalone_mode=False)
    pipe(out / name)
    ran("evaluate", out)
    ran("cost", out)


@pytest.mark.parametrize("what", ["/dev/zero", "/dev/random", "pipe"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "{it}"],
        ["cost", "{it}"],
        ["evaluate", "{it}"],
        ["search", "{study}", "--set", 'plugins=["{it}"]'],
        ["search", "{study}", "--set", 'data="npz:{it}"'],
        ["search", "{study}", "--set", 'data="ucr:{it}"'],
        ["search", "{study}", "--set", 'data="folder:{it}"'],
        ["search", "{study}", "--first", "{it}"],
        ["search", "{study}", "--from", "{it}"],
    ],
)
def test_what_never_ends_named_by_a_user(arguments: list[str], what: str, searched: Path, tmp_path: Path) -> None:
    it = tmp_path / "it"
    if what == "pipe":
        os.mkfifo(it)
    words = {"it": it if what == "pipe" else what, "study": searched.parent / "small.toml"}
    place = ["--out", tmp_path / "run"] if arguments[0] == "search" else []
    ran(*(word.format(**words) for word in arguments), *place, wrong=True)


def test_files_and_folders_are_regular(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "none"):
        assert regular(path) == path
    with pytest.raises(OSError, match="pipe, device or socket"):
        regular(Path("/dev/null"))

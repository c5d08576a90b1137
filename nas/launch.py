"""From a study file to a study directory with its trials: start a study, or go on with one."""

import contextlib
import gc
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from nas.artifacts import write_atomically
from nas.driver import Driver, Watcher, write_environment
from nas.errors import StoppedError, WrongInputError
from nas.executors import open_executor
from nas.history import History
from nas.interruption import Interruption
from nas.ledger import Ledger
from nas.problem import Problem
from nas.proposals import Proposer
from nas.settings import Settings, differences, read_settings
from nas.study import Study


def launch(
    path: str | Path,
    *,
    trials: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    seed: int | None = None,
    ray: str | None = None,
    overrides: Sequence[str] = (),
    watcher: Watcher,
) -> Study:
    """Runs the study of a TOML file, or goes on with it where its directory already holds it.

    Args:
        trials, workers, seed, ray: go before what the file says.
        out: study directory, ``runs/<name>`` unless given.
        overrides: ``KEY=VALUE`` with dotted keys.
        watcher: is told of progress.

    Raises:
        WrongInputError: if something given cannot be used; nothing was trained.
        StoppedError: if the study cannot go on; what is finished is kept.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; what is finished is kept.
    """
    settings = apply(read_settings(Path(path), overrides), trials=trials, workers=workers, seed=seed, ray=ray)
    proposer, history = open_study(settings, out)
    limits, execution = settings.limits, settings.execution
    with history, Interruption(execution.grace_seconds, limits.seconds, watcher.say) as interruption:
        for note in history.notes:
            watcher.say(note)
        watcher.begin(proposer.problem, history.directory)
        driver = Driver(Ledger(proposer, history), watcher, interruption)
        with open_executor(proposer.problem.data, execution, driver) as executor, _no_needless_collections():
            interruption.listen()  # Ray puts handlers of its own in place
            driver.run(executor)
    return Study(history.directory)


@contextlib.contextmanager
def _no_needless_collections() -> Iterator[None]:
    """Leaves what is there already to itself: torch alone brings half a million objects that stay for ever.

    To look through them for cycles takes a sixth of a second, as often as a study's records have grown by so much.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def open_study(settings: Settings, out: str | Path | None) -> tuple[Proposer, History]:
    """The proposer and the open log of a study, new or gone on with; its directory says what it is and ran on.

    Raises:
        WrongInputError: if the settings cannot be used, or the directory is not this study's.
    """
    directory = Path(out) if out else Path("runs") / settings.name
    before = _earlier(directory)
    if before:
        settings = replace(settings, reference={**before.get("reference", {}), **settings.reference})
    problem = Problem.of(settings)
    proposer = Proposer(problem)
    changed = differences(before, problem.settings.table()) if before else []
    if changed:
        raise WrongInputError(
            f"{directory} holds another study: {'; '.join(changed)}. Give another directory with --out, "
            "or the settings it was started with."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        history = History(directory)
    except OSError as error:
        raise WrongInputError(
            f"{directory} cannot be written to ({error.strerror}). Give another directory with --out."
        ) from None
    try:
        write_atomically(directory / "study.toml", tomli_w.dumps(problem.settings.table()).encode())
        write_environment(directory)
    except StoppedError:
        history.close()
        raise
    return proposer, history


def apply(
    settings: Settings, *, trials: int | None, workers: int | None, seed: int | None, ray: str | None
) -> Settings:
    """The settings with what the command line says on top.

    Raises:
        WrongInputError: if a value cannot be used.
    """
    execution = settings.execution
    try:
        if workers is not None:
            execution = replace(execution, workers=workers)
        if ray is not None:
            execution = replace(execution, ray=ray)
        given: dict[str, Any] = {"trials": trials, "seed": seed}
        return replace(settings, execution=execution, **{k: v for k, v in given.items() if v is not None})
    except ValueError as error:
        raise WrongInputError(str(error)) from None


def _earlier(directory: Path) -> dict[str, Any]:
    """The resolved settings of the study that a directory holds; empty if it holds none.

    Raises:
        WrongInputError: if it holds something else.
    """
    if (directory / "study.toml").exists():
        return tomllib.loads((directory / "study.toml").read_text(encoding="utf-8"))
    if directory.exists() and (not directory.is_dir() or any(f.name != "lock" for f in directory.iterdir())):
        raise WrongInputError(f"{directory} exists and is no study directory. Give another directory with --out.")
    return {}

"""From a study file to a study directory with its trials: starts a study, or continues one."""

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.errors import StoppedError, WrongInputError, user_input
from nas.problem import Problem
from nas.results.picks import check_rule
from nas.results.study import Study
from nas.search.driver import Driver, Watcher, write_environment
from nas.search.executors import find_executor, open_executor
from nas.search.interruption import Interruption
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import STUDY, Settings, differences, read_resolved, read_settings, write_resolved
from nas.store.history import History, no_collections


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
    """Runs the study of a TOML file, or continues it where its directory already holds it.

    Args:
        trials, workers, seed, ray: override what the file says.
        out: study directory, ``runs/<name>`` unless given.
        overrides: ``KEY=VALUE`` with dotted keys.
        watcher: called after every change.

    Raises:
        WrongInputError: if something given cannot be used; nothing was trained.
        StoppedError: if the study cannot continue; what is finished is kept.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; what is finished is kept.
    """
    settings = apply(read_settings(Path(path), overrides), trials=trials, workers=workers, seed=seed, ray=ray)
    problem, history = open_study(settings, out)
    limits, execution = settings.limits, settings.execution
    with history, Interruption(execution.grace_seconds, limits.seconds, watcher.say) as interruption:
        for note in history.notes:
            watcher.say(note)
        watcher.begin(problem, history.directory)
        with no_collections():
            ledger = Ledger(problem, open_sampler(problem), history)
        driver = Driver(ledger, watcher, interruption)
        with open_executor(problem.data, execution, driver) as executor, _no_needless_collections():
            interruption.listen()  # Ray puts handlers of its own in place
            driver.run(executor)
    return Study(history.directory)


@contextlib.contextmanager
def _no_needless_collections() -> Iterator[None]:
    """Keeps the garbage collector from what exists already: torch alone makes half a million permanent objects.

    Searching them for cycles takes a sixth of a second, each time that a study's records have grown by so much.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def find_problem(settings: Settings) -> Problem:
    """The problem of a study that could be started: its sampler, its executor and what it exports exist too.

    Raises:
        WrongInputError: naming the key of the study that cannot be used, and why.
    """
    find_executor(settings.execution)
    if settings.export.pick:
        with user_input("export.pick"):
            check_rule(settings.export.pick, settings.objectives)
    problem = Problem.of(settings)
    open_sampler(problem)
    return problem


def open_study(settings: Settings, out: str | Path | None) -> tuple[Problem, History]:
    """The problem and the open log of a study, new or continued; its directory states what it is and ran on.

    Raises:
        WrongInputError: if the settings cannot be used, or the directory is not this study's.
    """
    directory = Path(out) if out else Path("runs") / settings.name
    before = _earlier(directory)
    if before:
        known = {name: value for name, value in before.get("reference", {}).items() if name in settings.objectives}
        settings = replace(settings, reference={**known, **settings.reference})
    problem = find_problem(settings)
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
        write_resolved(directory, problem.settings)
        write_environment(directory)
    except StoppedError:
        history.close()
        raise
    return problem, history


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
    if (directory / STUDY).exists():
        return read_resolved(directory)
    if directory.exists() and (not directory.is_dir() or any(f.name != "lock" for f in directory.iterdir())):
        raise WrongInputError(f"{directory} exists and is no study directory. Give another directory with --out.")
    return {}

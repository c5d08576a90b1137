"""From a study file to a study directory with its trials: starts a study, or continues one."""

import contextlib
import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nas.errors import WrongInputError, user_input
from nas.export.forms import Forms, check_forms
from nas.export.surrogates import Say, resolved, supplied
from nas.plugins import FOLDER, Plugin, loaded_from, named, remember
from nas.problem import Problem, objective_tables
from nas.results.picks import parse_rule
from nas.results.study import Study
from nas.search.driver import Driver, Watcher, write_environment
from nas.search.executors import find_executor, open_executor
from nas.search.interruption import Interruption
from nas.search.knowledge import EARLIER, given_picks, learn_earlier
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import (
    STUDY,
    ExecutionSettings,
    Facts,
    Settings,
    Table,
    differences,
    is_moved,
    read_resolved,
    read_settings,
    write_resolved,
)
from nas.store.artifacts import folders
from nas.store.files import check_path, refuse_links
from nas.store.history import EVENTS, LOCK, TRIALS, History, check_whole, no_collections
from nas.trial import fastest_device


def launch(
    path: str | Path,
    *,
    trials: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    seed: int | None = None,
    ray: str | None = None,
    overrides: Sequence[str] = (),
    accept_changes: bool = False,
    watcher: Watcher,
) -> Study:
    """Runs the study of a TOML file, or continues it where its directory already holds it.

    Args:
        trials, workers, seed, ray: override what the file says.
        out: study directory; unless given, that of ``path`` if it is a ``study.toml`` beside a log, else
            ``runs/<name>``.
        overrides: ``KEY=VALUE`` with dotted keys.
        accept_changes: go on with plugins that were edited since the study was started.
        watcher: called after every change.

    Raises:
        WrongInputError: if something given cannot be used; nothing was trained.
        StoppedError: if the study cannot continue; what is finished is kept.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; what is finished is kept.
    """
    path, shortcuts = Path(path), overriding(trials=trials, workers=workers, seed=seed, ray=ray)
    settings = read_settings(path, [*overrides, *shortcuts])
    if out is None and path.name == STUDY and (path.parent / TRIALS).exists():
        out = path.parent
    problem, history = open_study(settings, out, accept_changes=accept_changes, say=watcher.say)
    limits, execution = settings.limits, settings.execution
    with history, Interruption(execution.grace_seconds, limits.seconds, watcher.say) as interruption:
        for note in (*problem.notes, *history.notes, *_idle_gpu(execution)):
            watcher.say(note)
        watcher.begin(problem, history.directory)
        with no_collections():
            ledger = Ledger(problem, open_sampler(problem), history)
        driver = Driver(ledger, watcher, interruption)
        with open_executor(problem.data, execution, driver) as executor, _no_needless_collections():
            interruption.listen()  # Ray puts handlers of its own in place
            driver.run(executor)
    return Study(history.directory)


def _idle_gpu(execution: ExecutionSettings) -> list[str]:
    """What to say where this machine has a GPU that trials are not told to use, or not to use."""
    if execution.device != "auto" or execution.gpus_per_trial or fastest_device() != "cuda":
        return []
    return [
        "this machine has a GPU, which trials do not use. Set execution.gpus_per_trial to 1 or to a share such as "
        "0.25, or execution.device to cpu."
    ]


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

    Of its surrogates it has those that are exports.

    Raises:
        WrongInputError: naming the key of the study that cannot be used, and why.
    """
    find_executor(settings.execution)
    if settings.export.pick is not None:
        with user_input("export.pick"):
            if parse_rule(settings.export.pick, settings.objectives).kind == "front":
                raise ValueError("front names several trials; a search exports one. Use nas export --pick front.")
    with user_input("export.formats"):
        forms = Forms.of(settings.export.formats)
    problem = Problem.of(settings)
    check_forms(forms, problem.data.outputs, measured=True)
    objectives, copies = resolved(problem.objectives, problem.data)
    tables = problem.settings.objective | objective_tables(problem.settings, objectives)
    problem = replace(
        problem, objectives=objectives, settings=replace(problem.settings, objective=tables), surrogates=copies
    )
    search = replace(problem.settings.search, first=given_picks(problem))
    problem = replace(problem, settings=replace(problem.settings, search=search))
    open_sampler(problem)
    return problem


def open_study(
    settings: Settings, out: str | Path | None, *, accept_changes: bool = False, say: Say | None = None
) -> tuple[Problem, History]:
    """The problem and the open log of a study, new or continued; its directory states what it is and ran on.

    Surrogates that the directory lacks are trained first.

    Args:
        say: called with what a person should know meanwhile; the notes of the history hold it otherwise.

    Raises:
        WrongInputError: if the settings cannot be used, or the directory is not this study's.
    """
    directory = Path(out) if out else Path("runs") / settings.name
    with user_input(""):
        check_path(directory, "--out")
    refuse_links(directory)
    before, facts = _earlier(directory)
    if before:
        known = {name: value for name, value in before.get("reference", {}).items() if name in settings.objectives}
        settings = replace(settings, reference={**known, **settings.reference})
    problem, plugins = find_problem(settings), named(map(loaded_from, settings.plugins))
    after, notes = problem.settings.table(), []
    if before and is_moved(before, after):
        notes.append(f"the data are now read from {problem.settings.data.label}; they are the same (checksum).")
    elif changed := differences(before, after) if before else []:
        raise WrongInputError(
            f"{directory} holds another study: {'; '.join(changed)}. Give another directory with --out, "
            "or the settings it was started with."
        )
    notes += _edited(directory, plugins, facts, accept_changes=accept_changes)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        history = History(directory)
    except OSError as error:
        raise WrongInputError(
            f"{directory} cannot be written to ({error.strerror}). Give another directory with --out."
        ) from None
    history.notes += notes
    try:
        if problem.settings.search.earlier and not (directory / EARLIER).exists():
            history.notes += learn_earlier(problem, directory)
        write_resolved(directory, problem.settings, problem.goals, plugins)
        write_environment(directory)
        surrogates = supplied(
            problem.objectives,
            problem.surrogates,
            directory,
            settings=problem.settings,
            data=problem.data,
            trainer=problem.trainer,
            say=say or history.notes.append,
        )
    except BaseException:
        history.close()
        raise
    remember(plugins.values())
    return replace(problem, surrogates=surrogates), history


def _edited(directory: Path, plugins: Mapping[str, Plugin], facts: Facts | None, *, accept_changes: bool) -> list[str]:
    """What to say of plugins that are not those that the study was started with.

    Raises:
        WrongInputError: if there are such, and the user did not say to go on.
    """
    before = facts.plugins if facts else {}
    edited = [name for name in before.keys() & plugins.keys() if before[name] != plugins[name].digest]
    if edited and not accept_changes:
        files = ", ".join(f"{plugins[name].path} (as it was: {directory / FOLDER / name})" for name in sorted(edited))
        raise WrongInputError(
            f"plugins have changed since {directory} was started: {files}. Its trials would mix both versions. Give "
            "another directory with --out, restore the file, or go on with --accept-changes."
        )
    return [f"{plugins[name].path} has changed since the study was started; going on with it." for name in edited]


def overriding(
    *, trials: int | None = None, workers: int | None = None, seed: int | None = None, ray: str | None = None
) -> list[str]:
    """The overrides ``KEY=VALUE`` that options of the command line stand for; those that are not given are left out."""
    keys = {"trials": trials, "execution.workers": workers, "seed": seed, "execution.ray": ray}
    return [f"{key}={json.dumps(value)}" for key, value in keys.items() if value is not None]


def _earlier(directory: Path) -> tuple[Table, Facts | None]:
    """The resolved settings and the facts of the study that a directory holds; nothing if it holds none.

    Raises:
        WrongInputError: if it holds something else.
    """
    logs = [name for name in (TRIALS, EVENTS) if (directory / name).exists()]
    if (directory / STUDY).exists():
        before = read_resolved(directory)
        if not logs:
            raise WrongInputError(
                f"{directory} holds {STUDY} but no log ({TRIALS}, {EVENTS}). Restore it from a copy, or remove {STUDY} "
                "to start anew."
            )
        check_whole(directory)
        folders(directory)
        return before
    if logs and any((directory / name).stat().st_size for name in logs):
        raise WrongInputError(f"{directory} holds {logs[0]} but no {STUDY}. Restore it from a copy.")
    if directory.exists() and (not directory.is_dir() or any(map(_is_foreign, directory.iterdir()))):
        raise WrongInputError(f"{directory} exists and is no study directory. Give another directory with --out.")
    return {}, None


def _is_foreign(file: Path) -> bool:
    """Whether a file is not of a study that was stopped before it was begun, by a kill or a full disk."""
    return file.name not in (LOCK, TRIALS, EVENTS, FOLDER, EARLIER) and not file.name.startswith(f".{STUDY}.")

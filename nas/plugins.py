"""Users' own operators, spaces, objectives, data sets, trainers: Python files that register them when they are run.

A study names its files (``plugins = ["my_mixers.py"]``); installed packages offer modules under the entry-point group
``mixing_nas.plugins``. Running a file can do anything, so one runs only if the user named it for this very command, or
has trusted it before: its SHA-256 stands in the user's own record (`record_path`). Files that came with a directory are
asked for once. What runs are the bytes that were checked, compiled here: a compiled file beside it is never looked at.
"""

import contextlib
import hashlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType

import click

from nas.errors import WrongInputError, regular, user_input

GROUP = "mixing_nas.plugins"
PREFIX = "nas_plugin_"
FOLDER = "plugins"
"""Folder of a study directory or an export that holds copies of its plugins."""


class UntrustedError(WrongInputError):
    """Code that came with somebody's files would have to run, and the user has not said that it may.

    Args:
        plugins: the files.
    """

    def __init__(self, message: str, plugins: "Sequence[Plugin]") -> None:
        super().__init__(message)
        self.plugins = plugins


@dataclass(frozen=True)
class Plugin:
    """A plugin file as it was read.

    Args:
        path: where it was.
        source: its content.
    """

    path: str
    source: bytes

    @classmethod
    def read(cls, path: str | Path) -> "Plugin":
        """The plugin in a file.

        Raises:
            WrongInputError: if there is none.
        """
        try:
            found = Path(path).resolve()
            return cls(str(found), regular(found).read_bytes())
        except FileNotFoundError:
            raise WrongInputError(f"plugins: {path} does not exist. Paths are relative to the study file.") from None
        except (OSError, ValueError) as error:
            raise WrongInputError(f"plugins: {path} cannot be read: {error}.") from None

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.path).name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, by which it is recognised."""
        return hashlib.sha256(self.source).hexdigest()

    @property
    def module(self) -> str:
        """Name of the module that it becomes."""
        return f"{PREFIX}{Path(self.path).stem}_{self.digest[:16]}"

    def run(self) -> None:
        """Registers what it defines, once in a process.

        Raises:
            WrongInputError: if it cannot be run, or registers a name that is taken.
        """
        _BY_PATH[self.path] = self
        if self.digest in _RUN:
            return
        module = ModuleType(self.module)
        module.__file__ = self.path
        sys.modules[module.__name__] = module
        with user_input(f"plugins: {self.path}"):
            try:
                exec(compile(self.source, self.path, "exec", dont_inherit=True), module.__dict__)
            except (SyntaxError, ImportError, AttributeError, NameError, TypeError) as error:
                raise ValueError(f"cannot be loaded: {type(error).__name__}: {error}") from error
        _RUN[self.digest] = module


_RUN: dict[str, ModuleType] = {}
"""Digest -> module of the plugins that this process has run."""
_BY_PATH: dict[str, Plugin] = {}
"""Path -> the plugin that was last run from it."""
_TRUSTED: set[str] = set()
"""Digests of the plugins that were trusted in this process."""


def loaded_from(path: str) -> Plugin:
    """The plugin that `load_plugins` has run from a file, as it was then."""
    return _BY_PATH[path] if path in _BY_PATH else Plugin.read(path)


def named(plugins: Iterable[Plugin]) -> dict[str, Plugin]:
    """Plugins by the name that the copy of each has in a `FOLDER`; two of one name get numbers."""
    found: dict[str, Plugin] = {}
    for plugin in plugins:
        name, count = plugin.name, 1
        while name in found:
            count += 1
            name = f"{Path(plugin.name).stem}_{count}.py"
        found[name] = plugin
    return found


def read_copies(directory: Path, digests: Mapping[str, str]) -> list[Plugin]:
    """The copies of plugins that a study directory or an export holds; they are not run.

    Args:
        digests: name -> SHA-256 that was written down with it.

    Raises:
        WrongInputError: if one is missing or is not what was written down.
    """
    plugins = [Plugin.read(directory / FOLDER / Path(name).name) for name in digests]
    for plugin, digest in zip(plugins, digests.values(), strict=True):
        if len(digest) == len(plugin.digest) and plugin.digest != digest:  # exports once had shorter ones
            raise WrongInputError(f"{plugin.path} is not the file that was copied there. Restore it from a copy.")
    return plugins


def load_plugins(paths: Iterable[str | Path]) -> None:
    """Runs plugin files that the user has named, each once in a process, and what installed packages offer.

    Raises:
        WrongInputError: if a file is missing, cannot be run, or registers a name that is taken.
    """
    run_all([Plugin.read(path) for path in paths])


def run_all(plugins: Iterable[Plugin]) -> None:
    """Runs plugins that the user has named or trusted, and what installed packages offer.

    Raises:
        WrongInputError: as `load_plugins`.
    """
    _load_installed()
    for plugin in plugins:
        plugin.run()


def load_trusted(plugins: Iterable[Plugin], owner: Path) -> None:
    """Runs plugins that came with a directory, if the user has trusted each, and what installed packages offer.

    Args:
        owner: the directory, for the message.

    Raises:
        UntrustedError: if one was never trusted; nothing has run then.
        WrongInputError: as `load_plugins`.
    """
    plugins = list(plugins)
    if strange := [plugin for plugin in plugins if not is_trusted(plugin)]:
        names = ", ".join(plugin.path for plugin in strange)
        raise UntrustedError(
            f"{owner} needs code that came with it and was never trusted on this machine: {names}. "
            "Read it; to run it, now and later, add --trust (in Python: trust=True).",
            strange,
        )
    run_all(plugins)


def is_trusted(plugin: Plugin) -> bool:
    """Whether the user has run this very content in this process, or trusted it before."""
    return plugin.digest in _RUN or plugin.digest in _TRUSTED or plugin.digest in _recorded()


def trust(plugins: Iterable[Plugin]) -> None:
    """Lets plugins run from now on, and writes that into the user's record.

    Raises:
        WrongInputError: if the record cannot be written; they may run in this process all the same.
    """
    plugins, path, known = list(plugins), record_path(), _recorded()
    _TRUSTED.update(plugin.digest for plugin in plugins)
    lines = [f"{p.digest}  {time.strftime('%Y-%m-%d')}  {p.path!r}\n" for p in plugins if p.digest not in known]
    if not lines:
        return
    with user_input("record of trusted plugins"):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(path, "a", encoding="utf-8") as file:
            file.write("".join(lines))


def remember(plugins: Iterable[Plugin]) -> None:
    """As `trust`, of plugins that the user runs; where the record cannot be written, the user is asked again later."""
    with contextlib.suppress(WrongInputError):
        trust(plugins)


def record_path() -> Path:
    """The user's own record of trusted plugins: a line each, with digest, day and path. Delete a line to forget it."""
    return Path(click.get_app_dir("mixing-nas")) / "trusted_plugins.txt"


def loaded() -> list[ModuleType]:
    """The plugin files that this process has run, as modules."""
    return list(_RUN.values())


def _recorded() -> set[str]:
    try:
        lines = record_path().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return {line.split()[0] for line in lines if line.strip()}


@cache
def _load_installed() -> None:
    from importlib.metadata import entry_points  # half of the import of this module, which most commands need

    for entry in entry_points(group=GROUP):
        entry.load()

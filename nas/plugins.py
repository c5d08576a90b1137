"""Users' own operators, spaces, objectives, data sets, trainers: Python files that register them when they are loaded.

A study names its files (``plugins = ["my_mixers.py"]``); installed packages offer modules under the entry-point group
``mixing_nas.plugins``. Loading a file runs it: load only what you trust.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from nas.errors import WrongInputError, user_input

GROUP = "mixing_nas.plugins"
PREFIX = "nas_plugin_"


def load_plugins(paths: Iterable[str | Path]) -> None:
    """Loads plugin files, each once in a process, and what installed packages offer.

    Raises:
        WrongInputError: if a file is missing, cannot be run, or registers a name that is taken.
    """
    _load_installed()
    for path in paths:
        _load(Path(path).resolve())


def checksum(path: Path) -> str:
    """Digest of a plugin file, by which it is recognised elsewhere."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def loaded() -> list[ModuleType]:
    """The plugin files loaded in this process, as modules."""
    return [module for name, module in sys.modules.items() if name.startswith(PREFIX)]


@cache
def _load_installed() -> None:
    for entry in entry_points(group=GROUP):
        entry.load()


@cache
def _load(path: Path) -> None:
    if not path.is_file():
        raise WrongInputError(f"plugins: {path} does not exist. Paths are relative to the study file.")
    name = f"{PREFIX}{path.stem}_{checksum(path)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise WrongInputError(f"plugins: {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with user_input(f"plugins: {path}"):
        try:
            spec.loader.exec_module(module)
        except (SyntaxError, ImportError, AttributeError, NameError, TypeError) as error:
            raise ValueError(f"cannot be loaded: {type(error).__name__}: {error}") from error

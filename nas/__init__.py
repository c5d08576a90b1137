"""Neural architecture search for networks made of mixing operators.

`search` runs a study, `open` reads one, `load` returns an exported network. Importing this module imports nothing
heavy: torch, Optuna and Ray are imported when a function needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.results.study import Study
    from searchspaces import Network

__version__ = "0.1.0"
__all__ = ["load", "open", "search"]


def search(
    study: str | Path,
    *,
    trials: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    seed: int | None = None,
    ray: str | None = None,
    set: Sequence[str] = (),
) -> Study:
    """Runs a study file, or continues it, and returns the study; the same as ``nas search``.

    Args:
        study: TOML file.
        trials, workers, seed, ray: override what the file says.
        out: study directory, ``runs/<name>`` unless given.
        set: ``KEY=VALUE`` overrides with dotted keys.

    Raises:
        nas.errors.WrongInputError: if something given cannot be used.
        nas.errors.StoppedError: if the study cannot continue; what is finished is kept.
    """
    from rich.console import Console

    from nas.search.launch import launch
    from nas.show.progress import Progress

    progress = Progress(Console(stderr=True))
    try:
        return launch(
            study, trials=trials, out=out, workers=workers, seed=seed, ray=ray, overrides=set, watcher=progress
        )
    finally:
        progress.close()


def open(directory: str | Path) -> Study:
    """The study that a directory holds.

    Raises:
        nas.errors.WrongInputError: if it holds none.
    """
    from nas.results.study import Study

    return Study(directory)


def load(directory: str | Path, *, plugins: Sequence[str | Path] = ()) -> Network:
    """An exported network with its weights, in eval mode: (B, C, H, W) in [0, 1] -> logits.

    Args:
        plugins: files of the user's own operators; needed only where those of the search are missing.

    Raises:
        nas.errors.WrongInputError: if the directory is no export.
    """
    from nas.export.bundle import load

    return load(directory, plugins=plugins)

"""Neural architecture search for networks made of mixing operators.

`search` runs a study, `open` reads one, `load` returns an exported network. Importing this module imports nothing
heavy: torch, Optuna and Ray are imported when a function needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from torch import nn

    from nas.search.samplers.for_optuna import Scale
    from nas.show.notebook import ShownStudy

__version__ = "0.1.0"
__all__ = ["load", "open", "optuna_sampler", "search"]


def search(
    study: str | Path,
    *,
    trials: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    seed: int | None = None,
    ray: str | None = None,
    set: Sequence[str] = (),
    accept_changes: bool = False,
) -> ShownStudy:
    """Runs a study file, or continues it, and returns the study; the same as ``nas search``.

    Args:
        study: TOML file.
        trials, workers, seed, ray: override what the file says.
        out: study directory, ``runs/<name>`` unless given.
        set: ``KEY=VALUE`` overrides with dotted keys.
        accept_changes: go on with plugins that were edited since the study was started.

    Raises:
        nas.errors.WrongInputError: if something given cannot be used.
        nas.errors.StoppedError: if the study cannot continue; what is finished is kept.
    """
    from nas.search.launch import launch
    from nas.show.console import PlainConsole
    from nas.show.progress import Progress

    progress = Progress(PlainConsole(stderr=True))
    try:
        done = launch(
            study,
            trials=trials,
            out=out,
            workers=workers,
            seed=seed,
            ray=ray,
            overrides=set,
            accept_changes=accept_changes,
            watcher=progress,
        )
    finally:
        progress.close()
    return open(done.directory)


def open(directory: str | Path, *, trust: bool = False) -> ShownStudy:
    """The study that a directory holds; opening it runs none of its code.

    Args:
        trust: let its plugins run, now and later, when something needs them.

    Raises:
        nas.errors.WrongInputError: if it holds none.
    """
    from nas.show.notebook import ShownStudy

    return ShownStudy(directory, trust=trust)


def load(directory: str | Path, *, plugins: Sequence[str | Path] = (), trust: bool = False) -> nn.Module:
    """An exported network with its weights, in eval mode: (B, C, H, W) in [0, 1] -> logits.

    Args:
        plugins: files of the user's own operators, instead of the copies in the directory.
        trust: let those copies run, now and later; needless where the search ran or they were trusted before.

    Raises:
        nas.errors.WrongInputError: if the directory is no export, or its files were changed.
        nas.plugins.UntrustedError: if it needs plugins that were never trusted.
    """
    from nas.export.bundle import load

    return load(directory, plugins=plugins, trust=trust)


def optuna_sampler(
    space: Mapping[str, BaseDistribution],
    *,
    costs: Callable[[dict[str, Any]], Sequence[float | None]] | None = None,
    scales: Sequence[Scale] | None = None,
    seed: int = 0,
) -> BaseSampler:
    """The sampler ``front`` for a study of Optuna's own, with any number of objectives.

    Constraints of trials (`optuna.Trial.set_constraint`; kept at 0 and below) are learned and kept.

    Args:
        space: every parameter that the objective suggests, with its distribution; of a long range 33 values are tried.
        costs: returns for some parameters the values of all objectives that are known before the trial is run, None for
            the others; may be called some hundred times for a trial.
        scales: of each objective: ``fraction`` in [0, 1], ``count`` to be compared by its logarithm, or ``plain``,
            which all are unless given.
        seed: of everything drawn.

    Raises:
        ValueError: if the space is empty or a distribution is of an unknown kind.

    Example: ``optuna.create_study(directions=["maximize", "minimize"], sampler=nas.optuna_sampler({"depth":
    IntDistribution(1, 8)}, costs=lambda params: [None, 9 * params["depth"]], scales=["fraction", "count"]))``.
    """
    from nas.search.samplers.for_optuna import FrontSampler

    return FrontSampler(space, costs, scales, seed)

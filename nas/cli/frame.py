"""What all commands share: the group, how an answer is printed, how a study is opened, when code of others may run."""

from __future__ import annotations

import functools
import gc
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import nas
from nas.plugins import UntrustedError

T = TypeVar("T")

if TYPE_CHECKING:
    from rich.console import Console

    from nas.results.study import Study

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
WORKERS = click.option("--workers", type=int, help="Trials at the same time.")
WHERE = click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help='Only trials that keep it: "macs<=5e6 and (depth==4 or not accuracy<.9)".',
)
RULES = "knee, best:OBJ, one-se:OBJ, weights:OBJ=2,..., nearest:OBJ=0.9,..., trial:NUMBER"
"""The rules that name one trial, as `nas.results.picks` reads them."""
RAY = click.option("--ray", metavar="local|ADDRESS", help="Run trials on a private Ray, or on a cluster.")


@dataclass(frozen=True)
class Answer:
    """What a command prints.

    Args:
        figures: as JSON data.
        draw: prints them for a person.
    """

    figures: Any
    draw: Callable[[Console], None]


def answers(command: Callable[..., Answer]) -> Callable[..., None]:
    """Decorator that adds ``--json`` to a command and prints its answer one way or the other."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def run(*arguments: Any, as_json: bool, **options: Any) -> None:
        from nas.show.console import PlainConsole

        answer = command(*arguments, **options)
        if as_json:
            click.echo(json.dumps(answer.figures, indent=2))
        else:
            answer.draw(PlainConsole())

    return run


def may_run_plugins(command: Callable[..., T]) -> Callable[..., T]:
    """Decorator that adds ``--trust`` to a command that may need code which came with what it reads.

    Without it the user is asked, once, if there is a terminal to ask on; the command then starts again.
    """

    @click.option("--trust", is_flag=True, help="Run the plugins that came with it, now and later.")
    @functools.wraps(command)
    def run(*arguments: Any, trust: bool, **options: Any) -> T:
        while True:
            try:
                return command(*arguments, **options)
            except UntrustedError as error:
                from nas.plugins import trust as remember

                if not trust and not _asked(error):
                    raise
                remember(error.plugins)

    return run


def _asked(error: UntrustedError) -> bool:
    """Whether the user, asked on the terminal, lets the plugins run."""
    from nas.show.console import echo

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    echo("This needs code that came with what it reads, and that was never run on this machine:", err=True)
    for plugin in error.plugins:
        echo(f"  {plugin.path}", err=True)
    return click.confirm("It can do all that you can. Run it, now and later?", default=False, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(nas.__version__, prog_name="nas")
def cli() -> None:
    """Searches networks of mixing operators for accuracy, robustness and cost.

    \b
    Example: nas search studies/quickstart.toml
    """


def opened(directory: Path) -> Study:
    """The study of a command; the garbage collector, which would take as long as reading it, never searches it."""
    from nas.store.history import no_collections

    with no_collections():
        study = nas.open(directory)
        gc.freeze()
    return study

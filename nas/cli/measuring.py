"""Commands that measure exported networks beside each other and part by part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.frame import Answer, answers, cli, may_run_plugins
from nas.errors import WrongInputError, user_input

if TYPE_CHECKING:
    from rich.console import Console

    from objectives.robust_accuracy import RobustAccuracy

ATTACK = click.option(
    "--attack", "attacks", multiple=True, metavar="NAME", help="Also under this attack, as pgd or square."
)
EPSILON = click.option(
    "--epsilon", help="Radius of these attacks in pixels from 0 to 1, as 8/255; unset: what suits the data."
)
SPLIT = click.option(
    "--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True, help="Which images."
)


def attacks_named(attacks: tuple[str, ...], epsilon: str | None) -> dict[str, RobustAccuracy]:
    """The attacks of ``--attack`` and ``--epsilon``, by the name of what they leave."""
    from objectives.robust_accuracy import RobustAccuracy

    if epsilon is not None and not attacks:
        raise WrongInputError("--epsilon is the radius of an attack. Name one with --attack, as pgd.")
    with user_input("--attack"):
        further = {f"accuracy under {name}": RobustAccuracy(attack=name, epsilon=epsilon) for name in attacks}
        for attack in further.values():
            if attack.transfers:
                raise ValueError("transfer makes its images on surrogates, which a study names. Measure it in a study.")
    return further


@cli.command()
@click.argument("directory", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--data", help="Data set; that of the study unless given.")
@SPLIT
@ATTACK
@EPSILON
@click.option("--collapse", is_flag=True, help="Also log neural collapse (NC1 to NC3) of the training images.")
@may_run_plugins
@answers
def evaluate(
    directory: Path, data: str | None, split: str, attacks: tuple[str, ...], epsilon: str | None, collapse: bool
) -> Answer:
    """Measures an exported network; use of the test split is written down in OUT.

    \b
    Example: nas evaluate knee --data digits --split test
    """
    from nas.export.bundle import EVALUATIONS
    from nas.export.evaluate import evaluate as measure
    from nas.show.console import echo

    result = measure(directory, data, split, collapse=collapse, attacks=attacks_named(attacks, epsilon))

    def draw(console: Console) -> None:
        for note in result["notes"]:
            echo(note, err=True)
        for name, value in result["measured"].items():
            console.print(f"{name} {value:.4f}")
        for name, value in result.get("neural_collapse", {}).items():
            console.print(f"neural collapse, {name} {value:.4f}")
        what = f"{result['samples']} {split} {result['things']} of {result['data']}"
        console.print(f"on {what}; noted in {directory / EVALUATIONS}", soft_wrap=True)

    return Answer(result, draw)


@cli.command()
@click.argument("exports", metavar="OUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", help="Data set; that of the study unless given.")
@SPLIT
@ATTACK
@EPSILON
@click.option("--batch", type=click.IntRange(2, 10**5), help="Also time batches of so many images.")
@may_run_plugins
@answers
def compare(
    exports: tuple[Path, ...],
    data: str | None,
    split: str,
    attacks: tuple[str, ...],
    epsilon: str | None,
    batch: int | None,
) -> Answer:
    """Exported networks side by side in one run, every form that lies in their folders: worth, robustness, latency.

    \b
    Example: nas compare knee best --attack square --batch 64
    """
    from nas.results.exports import compare_exports
    from nas.show.console import echo
    from nas.show.exports import print_compared

    batches = (1,) if batch is None else (1, batch)
    figures = compare_exports(exports, data, split, attacks=attacks_named(attacks, epsilon), batches=batches)

    def draw(console: Console) -> None:
        for note in figures["notes"]:
            echo(note, err=True)
        print_compared(figures, console)

    return Answer(figures, draw)


@cli.command()
@click.argument("reference", metavar="OUT")
@click.option("--batch", type=click.IntRange(1, 10**5), default=1, show_default=True, help="Images in a pass.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Also draw it, as .png, .svg or .pdf.")
@click.option("--plugin", "plugins", multiple=True, help="Python file with operators of your own.")
@may_run_plugins
@answers
def profile(reference: str, batch: int, picture: Path | None, plugins: tuple[str, ...]) -> Answer:
    """Latency and memory part by part: an export, or untrained a file, known:NAME, DIR#TRIAL or DIR#RULE.

    \b
    Example: nas profile knee --batch 64 --plot parts.pdf
    """
    from nas.export.profile import profile as measured
    from nas.plugins import load_plugins
    from nas.results.references import find_network
    from nas.show.console import echo
    from nas.show.profile import print_profile

    load_plugins(plugins)
    architecture, network, trained = find_network(reference)
    figures = measured(architecture, network, batch=batch) | {"trained": trained}
    if picture:
        from nas.show.bars import plot_profile

        plot_profile(reference, figures, picture)
        echo(f"drawn: {picture}", err=True)
    return Answer(figures, lambda console: print_profile(reference, figures, console, trained=trained))

"""Commands that compare: an ablation, and the claims of the papers as ablations; and studies to start from."""

from __future__ import annotations

from pathlib import Path

import click

from nas.cli.frame import RAY, WORKERS, Answer, answers, cli

SET = click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the file.")
PLOT = click.option("--plot", "picture", type=click.Path(path_type=Path), help="Also draw it, as .png, .svg or .pdf.")


@cli.command()
@click.argument("study", metavar="STUDY.toml", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Its directory; runs/<name> unless given.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Of every arm; more than before to extend it.")
@WORKERS
@RAY
@SET
@PLOT
@answers
def ablate(
    study: Path,
    out: Path | None,
    seeds: int | None,
    workers: int | None,
    ray: str | None,
    overrides: tuple[str, ...],
    picture: Path | None,
) -> Answer:
    """Trains the arms of an ablation with paired seeds and says what differs, and whether it is as expected.

    \b
    Example: nas ablate studies/claims/chans_d9.toml --seeds 5 --plot chans.png
    """
    from nas.search.ablate import ablate as run
    from nas.show.ablation import plot_ablation, print_ablation
    from nas.show.console import echo

    if seeds is not None:
        overrides += (f"seeds={seeds}",)
    found = run(study, out, overrides=overrides, workers=workers, ray=ray, say=lambda message: echo(message, err=True))
    if picture:
        plot_ablation(found, picture)
        echo(f"drawn: {picture}", err=True)
    return Answer(found.figures(), lambda console: print_ablation(found, console))

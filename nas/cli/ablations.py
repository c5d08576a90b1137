"""Commands that compare: an ablation, and the claims of the papers as ablations; and studies to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.frame import RAY, WORKERS, Answer, answers, cli
from nas.errors import WrongInputError

if TYPE_CHECKING:
    from rich.console import Console

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


@cli.command()
@click.argument("what", metavar="[PAPER|CLAIM]", required=False)
@click.option("--quick", is_flag=True, help="One claim of each paper, in minutes.")
@click.option("--list", "listed", is_flag=True, help="List the claims; run nothing.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/claims"), show_default=True, help="Where.")
@click.option("--save", type=click.Path(path_type=Path), help="Also write what came out, NAME.json, into this folder.")
@click.option("--table", type=click.Path(path_type=Path), help="Print what --save wrote as Markdown; run nothing.")
@WORKERS
@RAY
@SET
@answers
def reproduce(
    what: str | None,
    quick: bool,
    listed: bool,
    out: Path,
    save: Path | None,
    table: Path | None,
    workers: int | None,
    ray: str | None,
    overrides: tuple[str, ...],
) -> Answer:
    """Puts the claims of the four papers to the test on small data, and prints a verdict on each; continues if stopped.

    \b
    Example: nas reproduce --quick
    """
    from nas.search.reproduce import chosen, keep, kept
    from nas.search.reproduce import reproduce as run
    from nas.show.claims import claim_rows, markdown, print_claims, print_verdicts
    from nas.show.console import echo

    claims = chosen(what, quick=quick)
    if table is not None:
        known = {name: of for name, of in kept(table).items() if name in claims}
        rows = claim_rows(claims, known)
        return Answer(rows, lambda console: console.print(markdown(claims, known), soft_wrap=True, end=""))
    if listed:
        return Answer(
            {name: vars(claim) for name, claim in claims.items()}, lambda console: print_claims(claims, console)
        )
    found = run(
        list(claims), out, overrides=overrides, workers=workers, ray=ray, say=lambda message: echo(message, err=True)
    )
    if not found:
        raise WrongInputError("no claim could be run: their data are not on this machine. Try nas data.")
    if save is not None:
        keep(found, save)

    def draw(console: Console) -> None:
        for one in found:
            print_verdicts(one, console)

    return Answer({one.name: one.figures() for one in found}, draw)


@cli.command()
@click.argument("preset", required=False)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="File to write; study.toml unless given.")
@click.option("--force", is_flag=True, help="Replace the file.")
@answers
def new(preset: str | None, out: Path | None, force: bool) -> Answer:
    """Writes a study to start from, with a comment on each line; without PRESET it lists what there is.

    \b
    Example: nas new quickstart -o study.toml
    """
    from nas.presets import PRESETS, summary
    from nas.show.rows import Rows
    from nas.store.files import write_atomically
    from searchspaces.registry import unknown

    if preset is None and out is None:
        about = {name: summary(path) for name, path in PRESETS.items()}
        return Answer(about, Rows(["preset", "what it is"], frozenset(), [[*row] for row in about.items()]).print)
    name, target = preset or "quickstart", out or Path("study.toml")
    if name not in PRESETS:
        raise WrongInputError(unknown("preset", name, PRESETS))
    if target.exists() and not force:
        raise WrongInputError(f"{target} exists. Give another file with -o, or --force to replace it.")
    write_atomically(target, PRESETS[name].read_bytes())
    return Answer({"preset": name, "file": str(target)}, lambda c: c.print(f"{target}\n\nNext:\n  nas search {target}"))

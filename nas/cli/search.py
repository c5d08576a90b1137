"""Commands that train: a search, the confirmation of its front, one more objective."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.exports import export_one
from nas.cli.frame import DIRECTORY, RAY, RULES, WHERE, WORKERS, Answer, answers, cli, may_run_plugins, opened
from nas.errors import StoppedError
from nas.store.records import OVER_BOUND

if TYPE_CHECKING:
    from nas.results.study import Study
    from nas.store.confirmations import Split


@cli.command()
@click.argument("study", metavar="STUDY.toml", type=click.Path(path_type=Path))
@click.option("--trials", type=int, help="Trials to run; more than before to extend a study.")
@click.option("--out", type=click.Path(path_type=Path), help="Study directory; runs/<name> unless given.")
@WORKERS
@click.option("--seed", type=int, help="Seed of everything random.")
@RAY
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the study file.")
@click.option(
    "--from", "earlier", metavar="DIR", multiple=True, help="Study whose trials the sampler is to know; repeatable."
)
@click.option(
    "--first", metavar="NETWORK", multiple=True, help="Train it first: DIR#TRIAL, known:NAME or a file; repeatable."
)
@click.option("--accept-changes", is_flag=True, help="Go on with plugins that were edited since the study was started.")
@click.option("--dry-run", is_flag=True, help="Check the study: feasible share, costs, time; train nothing.")
def search(
    study: Path,
    trials: int | None,
    out: Path | None,
    workers: int | None,
    seed: int | None,
    ray: str | None,
    overrides: tuple[str, ...],
    earlier: tuple[str, ...],
    first: tuple[str, ...],
    accept_changes: bool,
    dry_run: bool,
) -> None:
    """Runs a study, or continues it where its directory already holds it.

    \b
    Example: nas search studies/quickstart.toml --set data.name=fashion_mnist --set data.limit=2000 --out runs/fashion
    """

    from nas.export.forms import Forms
    from nas.search.launch import launch, overriding
    from nas.settings import read_settings
    from nas.show.console import PlainConsole, echo
    from nas.show.front import print_front
    from nas.show.progress import Progress

    for key, values in (("search.earlier", earlier), ("search.first", first)):
        overrides += (f"{key}={json.dumps(values)}",) if values else ()
    console = PlainConsole()
    if dry_run:
        from nas.search.rehearsal import rehearse
        from nas.show.rehearsal import print_rehearsal

        shortcuts = overriding(trials=trials, workers=workers, seed=seed, ray=ray)
        settings = read_settings(study, [*overrides, *shortcuts])
        print_rehearsal(rehearse(settings), console)
        return
    progress = Progress(console)
    try:
        found = launch(
            study,
            trials=trials,
            out=out,
            workers=workers,
            seed=seed,
            ray=ray,
            overrides=overrides,
            accept_changes=accept_changes,
            watcher=progress,
        )
    finally:
        progress.close()
    if not found.complete:
        raise StoppedError(_nothing_complete(found))
    print_front(found, found.front, console)
    console.print(f"hypervolume {found.hypervolume:.4f}")
    directory, rule = found.directory, found.settings.export.pick
    if rule:
        forms = Forms.of(found.settings.export.formats)
        export_one(found, found.pick(rule), directory / "export", forms=forms, force=True)
    quoted = shlex.quote(str(directory))
    echo(
        "\nNext:\n"
        f"  nas pareto {quoted} --plot front.png\n"
        f"  nas show {quoted} {found.pick('knee').number}\n"
        f"  nas export {quoted} --pick best:{found.settings.objectives[0]} -o best"
    )


def _nothing_complete(study: Study) -> str:
    """The message for a search without a result: how its trials ended, and why the last one did."""
    counts = study.status()["trials"]
    ended = ", ".join(f"{count} {name}" for name, count in counts.items()) or "none has ended"
    failed = [record for record in study.records if record.failure]
    reason = f" The last failure was {failed[-1].failure}: {failed[-1].reason}." if failed else ""
    advice = "Mend that, and run the same command again."
    if failed and failed[-1].failure == OVER_BOUND:
        advice = "Try more --trials, or raise the bound in a new study, with another --out."
    found = f"no trial of {study.directory} is complete ({ended}), so there is no front."
    return f"{found}{reason.replace('..', '.')} {advice}"


@cli.command()
@DIRECTORY
@click.option(
    "--budget", metavar="TRIALS", type=click.IntRange(1), help="Trainings in all; three a member of the front."
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=2,
    show_default=True,
    help="Of every member of the front, at least.",
)
@click.option(
    "--epochs", type=click.IntRange(1), help="Passes over the training images; as in the search unless given."
)
@click.option("--attack", help="Attack in place of that of every robust accuracy.")
@click.option(
    "--pick", default="front", show_default=True, help=f"front, with near misses unless --where is given; {RULES}."
)
@WHERE
@click.option(
    "--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True, help="Which images."
)
@WORKERS
@RAY
@may_run_plugins
@answers
def confirm(
    directory: Path,
    budget: int | None,
    seeds: int,
    epochs: int | None,
    attack: str | None,
    pick: str,
    where: tuple[str, ...],
    split: Split,
    workers: int | None,
    ray: str | None,
) -> Answer:
    """Trains members of the front again with other seeds, where it is least certain who is on it; continues if stopped.

    \b
    Example: nas confirm runs/quickstart --budget 6
    """
    from nas.search.confirm import Wish, confirm_study
    from nas.show.console import echo
    from nas.show.front import print_front
    from nas.show.trials import trial_figures

    wish = Wish(budget, seeds, epochs, attack, pick, split, where)
    study = confirm_study(directory, wish, workers=workers, ray=ray, say=lambda message: echo(message, err=True))
    return Answer(trial_figures(study, study.front), lambda console: print_front(study, study.front, console))


@cli.command()
@DIRECTORY
@click.option("--objective", "text", required=True, metavar="NAME[,SETTING=VALUE...]", help="What to measure.")
@click.option("--pick", default="front", show_default=True, help=f"front, all, {RULES}.")
@WHERE
@click.option("--data", help="The study's data set, NAME:LOCATION, where it lies elsewhere now.")
@may_run_plugins
@answers
def measure(directory: Path, text: str, pick: str, where: tuple[str, ...], data: str | None) -> Answer:
    """Measures one more objective on the weights that trials have left; nas pareto --objective shows it as an axis.

    \b
    Example: nas measure runs/quickstart --objective robust_accuracy,attack=fgsm
    """
    from nas.results.measure import measure_study
    from nas.show.console import echo
    from nas.show.front import print_front

    found = opened(directory)
    study = measure_study(found, text, pick=pick, where=where, data=data, say=lambda message: echo(message, err=True))
    rows = [one.to_json() for one in study.measurements if one.name == text]
    shown = study.with_objectives([text])
    return Answer(rows, lambda console: print_front(shown, shown.complete, console))

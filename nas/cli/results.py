"""Commands that look at a study: how far it is, its front, its trials, what sets two of them apart."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.frame import DIRECTORY, RULES, WHERE, Answer, answers, cli, may_run_plugins, opened
from nas.errors import WrongInputError

if TYPE_CHECKING:
    from rich.console import Console


@cli.command()
@DIRECTORY
@answers
def status(directory: Path) -> Answer:
    """Counts by state, best values so far, pace and time left.

    \b
    Example: nas status runs/quickstart
    """
    from nas.results.status import quick_figures
    from nas.show.status import status_table

    figures = quick_figures(directory) or opened(directory).status()
    return Answer(figures, lambda console: console.print(status_table(figures)))


@cli.command()
@DIRECTORY
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--all", "everything", is_flag=True, help="All trials, not only the front.")
@click.option("--wide", is_flag=True, help="A column for every choice that the study leaves open.")
@WHERE
@click.option("--objectives", "only", metavar="OBJ,...", help="The front of these objectives alone.")
@click.option(
    "--objective", "more", multiple=True, metavar="NAME", help="One more axis, as nas measure has measured it."
)
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path),
    help="Also draw all pairs of objectives: FILE.png, .svg or .pdf.",
)
@answers
def pareto(
    directory: Path,
    as_csv: bool,
    everything: bool,
    wide: bool,
    where: tuple[str, ...],
    only: str | None,
    more: tuple[str, ...],
    picture: Path | None,
) -> Answer:
    """The Pareto front (or all trials) a line each, as data, as a picture.

    \b
    Example: nas pareto runs/quickstart --where "macs<=1e5 and not accuracy<.9" --plot front.pdf
    """
    from nas.show.console import echo
    from nas.show.front import print_front
    from nas.show.trials import print_trials, trial_figures, write_csv

    study = opened(directory)
    if more:
        study = study.with_objectives(more)
    if only is not None:
        study = study.with_only([name.strip() for name in only.split(",")])
    records = study.where(study.records if everything else study.front, where)
    if picture:
        from nas.show.plot import plot

        plot(study, picture, everything=everything)
        echo(f"drawn: {picture}", err=True)

    def draw(console: Console) -> None:
        if as_csv:
            write_csv(study, records, sys.stdout)
        elif wide:
            print_trials(study, records, console)
        else:
            print_front(study, records, console)

    return Answer(trial_figures(study, records), draw)


@cli.command(epilog=f"RULE is one of {RULES}.")
@DIRECTORY
@click.argument("rule")
@WHERE
@click.option("--objective", "more", multiple=True, metavar="NAME", help="One more axis, as nas measure measured it.")
@may_run_plugins
@answers
def pick(directory: Path, rule: str, where: tuple[str, ...], more: tuple[str, ...]) -> Answer:
    """Which member of the front to take by a RULE, why, and what its neighbours would give instead.

    \b
    Example: nas pick runs/quickstart one-se:accuracy --where "macs<=1e5 or robust_accuracy>=0.9"
    """
    from nas.show.picks import picked_figures, print_picked

    study = opened(directory)
    if more:
        study = study.with_objectives(more)
    figures = picked_figures(study, rule, where)
    return Answer(figures, lambda console: print_picked(study, figures, console))


@cli.command()
@DIRECTORY
@click.argument("trial", type=int)
@click.option("--against", metavar="TRIAL", type=int, help="Also compare it with another trial, image by image.")
@click.option("--svg", "picture", type=click.Path(path_type=Path), help="Also draw the network into this SVG file.")
@may_run_plugins
@answers
def show(directory: Path, trial: int, against: int | None, picture: Path | None) -> Answer:
    """One architecture, stage by stage, with the spectra and singular values of its trained mixing layers.

    \b
    Example: nas show runs/quickstart 12 --svg network.svg
    """
    from nas.show.console import echo
    from nas.show.network import draw_network, print_network

    study = opened(directory)
    record = study.trial(trial)
    compared = None if against is None else study.compare(trial, study.trial(against).number)
    if picture:
        draw_network(study, record, picture)
        echo(f"drawn: {picture}", err=True)

    def draw(console: Console) -> None:
        print_network(study, record, console)
        if compared is not None:
            console.print(
                f"of {compared.images:,} images only trial {trial} classifies {compared.first} correctly, only trial "
                f"{against} {compared.second}: p = {compared.p:.2g} (McNemar's exact test)",
                soft_wrap=True,
            )

    return Answer(record.architecture, draw)


@cli.command()
@DIRECTORY
@click.argument("trials", metavar="[TRIAL TRIAL]", nargs=-1)
@click.option("--front", "along", is_flag=True, help="Along the front, from the cheapest member: what each step buys.")
@click.option("--cka", is_flag=True, help="Also compare what their layers compute, by linear CKA.")
@click.option("--data", help="The study's data set, NAME:LOCATION, where it lies elsewhere now.")
@may_run_plugins
@answers
def diff(directory: Path, trials: tuple[str, ...], along: bool, cka: bool, data: str | None) -> Answer:
    """What two trials do not have in common, or the members along the front: picks, values, what one more MAC buys.

    The second may be of another study, as OTHER_DIR#TRIAL.

    \b
    Example: nas diff runs/quickstart 3 5 --cka
    """
    from nas.results.differences import chain, differences, similarity
    from nas.results.references import find_trial
    from nas.show.differences import difference_table, mcnemar_line, print_chain, similarity_table
    from nas.show.trials import print_flags

    if data is not None and not cka:
        raise WrongInputError("--data belongs to --cka, which alone needs the images. Leave it out, or add --cka.")
    if len(trials) != (0 if along else 2) or (along and cka):
        raise WrongInputError("nas diff needs two trials, or --front alone.")
    study = opened(directory)
    if along:
        steps = chain(study)

        def along_front(console: Console) -> None:
            print_chain(steps, study.objectives, console)
            print_flags(study.members().records, console, study.confirmation)

        return Answer(steps, along_front)
    (_, one), (home, other) = (find_trial(study, text) for text in trials)
    figures = differences(study, one, other, home)
    if cka:
        if home is not study:
            raise WrongInputError("--cka compares trials of one study. Leave it out.")
        found = similarity(study, one, other, data)
        figures["cka"] = {
            "rows": list(found.rows),
            "columns": list(found.columns),
            "values": found.cka.tolist(),
            "diagonal": found.diagonal,
        }

    def draw(console: Console) -> None:
        console.print(difference_table(figures, study.objectives))
        for where, records in ((study, [one, other]),) if home is study else ((study, [one]), (home, [other])):
            print_flags(records, console, where.confirmation)
        if line := mcnemar_line(figures):
            console.print(line, soft_wrap=True)
        if cka:
            console.print(similarity_table(figures))

    return Answer(figures, draw)


@cli.command()
@DIRECTORY
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="SQLite file to write.")
def optuna(directory: Path, out: Path) -> None:
    """All trials as an Optuna storage, for optuna-dashboard and optuna.visualization; written anew each time.

    \b
    Example: nas optuna runs/quickstart -o study.db
    """
    from nas.results.optuna_copy import write_storage
    from nas.show.console import echo

    count = write_storage(opened(directory), out)
    look = f"optuna-dashboard {shlex.quote(f'sqlite:///{out}')}"
    echo(f"written: {count} trials to {out}; look at them with {look} (pip install optuna-dashboard)")


@cli.command()
@DIRECTORY
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of a database and artifacts.")
def mlflow(directory: Path, out: Path) -> None:
    """All trials as runs of MLflow in a local folder; called again, it adds what is new and rewrites what has changed.

    \b
    Example: nas mlflow runs/quickstart -o tracking
    """
    from nas.results.mlflow_copy import DATABASE, write_runs
    from nas.show.console import echo

    written, before = write_runs(opened(directory), out)
    look = f"mlflow ui --backend-store-uri {shlex.quote(f'sqlite:///{out / DATABASE}')}"
    echo(f"written: {written} runs to {out}, {before} stood there; look at them with {look} (pip install mlflow)")


@cli.command()
@DIRECTORY
@may_run_plugins
@answers
def explain(directory: Path) -> Answer:
    """Which choices decide each objective, and what their options do at equal cost.

    \b
    Example: nas explain runs/quickstart
    """
    from nas.results.explain import explain as explained
    from nas.show.explain import print_explained

    study = opened(directory)
    figures = explained(study)
    return Answer(figures, lambda console: print_explained(figures, study.objectives, console))


@cli.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="HTML file to write; that of the directory's name.")
@may_run_plugins
def report(directories: tuple[Path, ...], out: Path | None) -> None:
    """A page to look at a study, or at several beside the first: one file that needs neither a server nor a network.

    \b
    Example: nas report runs/quickstart -o quickstart.html
    """
    from nas.show.console import echo
    from nas.show.report.data import report_data
    from nas.show.report.page import write_report

    study, *others = (opened(directory) for directory in directories)
    study.load_plugins()
    place = out or Path(f"{study.directory.resolve().name}.html")
    size = write_report(place, report_data(study, others))
    echo(f"written: {place}, {size / 1e6:.1f} MB; open it in a browser")


@cli.command()
@DIRECTORY
@click.option("-o", "--out", type=click.Path(path_type=Path), help="HTML file to write; that of the directory's name.")
@click.option(
    "--every", type=click.IntRange(5, 86_400), default=60, show_default=True, help="Seconds between two looks."
)
@may_run_plugins
def watch(directory: Path, out: Path | None, every: int) -> None:
    """The report of a study that runs, written anew as trials end; the open page follows. Ends with the study.

    \b
    Example: nas watch runs/quickstart --every 30
    """
    from nas.show.console import echo
    from nas.show.report.watch import watch as follow

    place = out or Path(f"{directory.resolve().name}.html")
    for told in follow(directory, place, every):
        echo(told)

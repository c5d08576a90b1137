"""The command line. Every command imports what it needs when it runs, so that ``nas --help`` imports nothing heavy.

Exit status: 0 done, 1 the work failed, 2 wrong input, 130 interrupted.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import nas
from nas.errors import StoppedError, WrongInputError, user_input
from nas.plugins import UntrustedError

T = TypeVar("T")

if TYPE_CHECKING:
    from rich.console import Console

    from nas.export.export import Verification
    from nas.export.pair import Chosen
    from nas.results.study import Study
    from nas.store.confirmations import Split
    from nas.store.records import TrialRecord

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
WORKERS = click.option("--workers", type=int, help="Trials at the same time.")
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


def main() -> None:
    """Runs the command line; what a user got wrong is one message, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except (WrongInputError, StoppedError) as error:
        from nas.show.console import echo

        echo(f"Error: {error}", err=True)
        code = 2 if isinstance(error, WrongInputError) else 1
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. What is finished is kept; the same command continues.", err=True)
        code = 130
    except BrokenPipeError:  # the reader of our output went away, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(nas.__version__, prog_name="nas")
def cli() -> None:
    """Searches networks of mixing operators for accuracy, robustness and cost.

    \b
    Example: nas search studies/quickstart.toml
    """


@cli.command()
@click.argument("study", metavar="STUDY.toml", type=click.Path(path_type=Path))
@click.option("--trials", type=int, help="Trials to run; more than before to extend a study.")
@click.option("--out", type=click.Path(path_type=Path), help="Study directory; runs/<name> unless given.")
@WORKERS
@click.option("--seed", type=int, help="Seed of everything random.")
@RAY
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the study file.")
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
    accept_changes: bool,
    dry_run: bool,
) -> None:
    """Runs a study, or continues it where its directory already holds it.

    \b
    Example: nas search studies/quickstart.toml --set data.name=fashion_mnist --set data.limit=2000 --out runs/fashion
    """

    from nas.search.launch import launch, overriding
    from nas.settings import read_settings
    from nas.show.console import PlainConsole, echo
    from nas.show.progress import Progress
    from nas.show.trials import print_trials

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
    print_trials(found, found.front, console)
    console.print(f"hypervolume {found.hypervolume:.4f}")
    directory, rule = found.directory, found.settings.export.pick
    if rule:
        _export_one(found, found.pick(rule), directory / "export", force=True)
    quoted = shlex.quote(str(directory))
    echo(
        "\nNext:\n"
        f"  nas pareto {quoted} --plot front.png\n"
        f"  nas show {quoted} {found.pick('knee').number}\n"
        f"  nas export {quoted} --pick best:{found.settings.objectives[0]} -o best"
    )


def _opened(directory: Path) -> Study:
    """The study of a command; the garbage collector, which would take as long as reading it, never searches it."""
    from nas.store.history import no_collections

    with no_collections():
        study = nas.open(directory)
        gc.freeze()
    return study


def _nothing_complete(study: Study) -> str:
    """The message for a search without a result: how its trials ended, and why the last one did."""
    counts = study.status()["trials"]
    ended = ", ".join(f"{count} {name}" for name, count in counts.items()) or "none has ended"
    failed = [record for record in study.records if record.failure]
    reason = f" The last failure was {failed[-1].failure}: {failed[-1].reason}." if failed else ""
    return (
        f"no trial of {study.directory} is complete ({ended}), so there is no front.{reason.replace('..', '.')} "
        "Mend that, and run the same command again."
    )


@cli.command()
@DIRECTORY
@answers
def status(directory: Path) -> Answer:
    """Counts by state, best values so far, pace and time left.

    \b
    Example: nas status runs/quickstart
    """
    from nas.show.trials import status_table

    study = _opened(directory)
    figures = study.status()
    return Answer(figures, lambda console: console.print(status_table(figures, study.objectives)))


@cli.command()
@DIRECTORY
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--all", "everything", is_flag=True, help="All trials, not only the front.")
@click.option("--where", multiple=True, metavar="CONDITION", help='Only trials that keep it, as in "macs<=5e6".')
@click.option(
    "--objective", "more", multiple=True, metavar="NAME", help="One more axis, as nas measure has measured it."
)
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Also draw the front into this PNG file.")
@answers
def pareto(
    directory: Path,
    as_csv: bool,
    everything: bool,
    where: tuple[str, ...],
    more: tuple[str, ...],
    picture: Path | None,
) -> Answer:
    """The Pareto front (or all trials) as a table, as data, as a picture.

    \b
    Example: nas pareto runs/quickstart --where "macs<=1e5" --plot front.png
    """
    from nas.show.console import echo
    from nas.show.trials import print_trials, trial_figures, write_csv

    study = _opened(directory)
    if more:
        study = study.with_objectives(more)
    records = study.where(study.records if everything else study.front, where)
    if picture:
        from nas.show.plot import plot

        plot(study, picture)
        echo(f"drawn: {picture}", err=True)
    if as_csv:
        return Answer(trial_figures(study, records), lambda console: write_csv(study, records, sys.stdout))
    return Answer(trial_figures(study, records), lambda console: print_trials(study, records, console))


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
    "--pick", default="front", show_default=True, help="front, near misses included, or a rule for one trial."
)
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
    from nas.show.trials import print_trials, trial_figures

    wish = Wish(budget, seeds, epochs, attack, pick, split)
    study = confirm_study(directory, wish, workers=workers, ray=ray, say=lambda message: echo(message, err=True))
    return Answer(trial_figures(study, study.front), lambda console: print_trials(study, study.front, console))


@cli.command()
@DIRECTORY
@click.option("--objective", "text", required=True, metavar="NAME[,SETTING=VALUE...]", help="What to measure.")
@click.option("--pick", default="front", show_default=True, help="front, all, or a rule that names one trial.")
@click.option("--data", help="The study's data set, NAME:LOCATION, where it lies elsewhere now.")
@may_run_plugins
@answers
def measure(directory: Path, text: str, pick: str, data: str | None) -> Answer:
    """Measures one more objective on the weights that trials have left; nas pareto --objective shows it as an axis.

    \b
    Example: nas measure runs/quickstart --objective robust_accuracy,attack=fgsm
    """
    from nas.results.measure import measure_study
    from nas.show.console import echo
    from nas.show.trials import print_trials

    study = measure_study(_opened(directory), text, pick=pick, data=data, say=lambda message: echo(message, err=True))
    rows = [one.to_json() for one in study.measurements if one.name == text]
    shown = study.with_objectives([text])
    return Answer(rows, lambda console: print_trials(shown, shown.complete, console))


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

    count = write_storage(_opened(directory), out)
    look = f"optuna-dashboard {shlex.quote(f'sqlite:///{out}')}"
    echo(f"written: {count} trials to {out}; look at them with {look} (pip install optuna-dashboard)")


@cli.command()
@DIRECTORY
@click.argument("trial", type=int)
@click.option("--against", metavar="TRIAL", type=int, help="Also compare it with another trial, image by image.")
@may_run_plugins
@answers
def show(directory: Path, trial: int, against: int | None) -> Answer:
    """One architecture, stage by stage, with the spectra and singular values of its trained mixing layers.

    \b
    Example: nas show runs/quickstart 12
    """
    from nas.export.bundle import load_weights
    from nas.problem import network_of
    from nas.show.architecture import cost_figures, cost_table, mixing_tables
    from nas.show.trials import in_one_line, print_flags
    from nas.store.artifacts import weights_path

    study = _opened(directory)
    record = study.trial(trial)
    compared = None if against is None else study.compare(trial, study.trial(against).number)

    def draw(console: Console) -> None:
        study.load_plugins()
        architecture = network_of(record)
        console.print(in_one_line(record, study.objectives))
        print_flags([record], console)
        for note in study.confirmation.notes(trial) if study.confirmation else ():
            console.print(note, soft_wrap=True)
        if compared is not None:
            console.print(
                f"of {compared.images:,} images only trial {trial} classifies {compared.first} correctly, only trial "
                f"{against} {compared.second}: p = {compared.p:.2g} (McNemar's exact test)",
                soft_wrap=True,
            )
        console.print(cost_table(f"trial {trial}", cost_figures(architecture)))
        weights = weights_path(directory, trial)
        if weights.exists():
            for table in mixing_tables(load_weights(architecture, weights), architecture.input):
                console.print(table)

    return Answer(record.architecture, draw)


@cli.command()
@DIRECTORY
@click.argument("first", metavar="TRIAL", type=int)
@click.argument("second", metavar="TRIAL", type=int)
@click.option("--cka", is_flag=True, help="Also compare what their layers compute, by linear CKA.")
@click.option("--data", help="The study's data set, NAME:LOCATION, where it lies elsewhere now.")
@may_run_plugins
@answers
def diff(directory: Path, first: int, second: int, cka: bool, data: str | None) -> Answer:
    """What two trials do not have in common: picks, values, and with --cka what their trained layers compute.

    \b
    Example: nas diff runs/quickstart 3 5 --cka
    """
    from nas.results.differences import differences, similarity
    from nas.show.differences import difference_table, similarity_table

    if data is not None and not cka:
        raise WrongInputError("--data belongs to --cka, which alone needs the images. Leave it out, or add --cka.")
    study = _opened(directory)
    one, other = study.trial(first), study.trial(second)
    figures = differences(study, one, other)
    if cka:
        found = similarity(study, one, other, data)
        figures["cka"] = {
            "rows": list(found.rows),
            "columns": list(found.columns),
            "values": found.cka.tolist(),
            "diagonal": found.diagonal,
        }

    def draw(console: Console) -> None:
        console.print(difference_table(figures, study.objectives))
        if cka:
            console.print(similarity_table(figures))

    return Answer(figures, draw)


@cli.command()
@DIRECTORY
@click.option("--pick", required=True, help="knee, best:OBJECTIVE, trial:NUMBER, or front for every member.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Where to write.")
@click.option("--data", help="The study's data set, NAME:LOCATION, where it lies elsewhere now.")
@click.option("--no-verify", is_flag=True, help="Do not measure the written files again.")
@click.option("--retrain", is_flag=True, help="Train again, as they were, those whose weights were deleted.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@may_run_plugins
def export(
    directory: Path, pick: str, out: Path, data: str | None, no_verify: bool, retrain: bool, force: bool
) -> None:
    """Takes architectures away, with their weights, and measures again what was written.

    \b
    Example: nas export runs/quickstart --pick knee -o knee
    """
    from nas.export.bundle import ARCHITECTURE
    from nas.export.export import Verification, check_place
    from nas.export.weights import check_weights, train_again
    from nas.show.console import echo

    study = _opened(directory)
    study.load_plugins()
    verify = Verification(not no_verify, data)
    if pick == "front" and (out / ARCHITECTURE).exists():
        raise WrongInputError(f"{out} holds an export. Give another folder with -o for those of the front.")
    places = {r.number: out / str(r.number) for r in study.front} if pick == "front" else {study.pick(pick).number: out}
    for place in places.values():
        check_place(place, force=force)
    if not retrain:
        check_weights(directory, map(study.trial, places))
    for number, place in places.items():
        record = study.trial(number)
        if retrain:
            train_again(directory, study.settings, record, data=data, say=lambda message: echo(message, err=True))
        _export_one(study, record, place, verify=verify, force=force)


def _export_one(
    study: Study, record: TrialRecord, out: Path, *, verify: Verification | None = None, force: bool
) -> None:
    from nas.export.export import Verification
    from nas.show.console import echo

    verify = verify or Verification()
    done = study.write_export(record, out, verify=verify, force=force)
    checked = ", ".join(f"{name} {value:.4f}" for name, value in done.measured.items())
    verdict = f"OK, read back and measured again: {checked}" if verify.wanted else "not measured again"
    verdict += "; its logits are those of the trial, bit for bit" if done.identical else ""
    echo(f"exported trial {record.number} to {out}: {verdict}")


@cli.command()
@click.argument("arch", metavar="ARCH")
@click.option("--data", required=True, help="Data set, NAME or NAME:LOCATION (see nas data).")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for what is trained.")
@click.option("--preset", help="Published recipe to start from, for example convmixer.")
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--seed", type=int, default=0, show_default=True, help="First seed.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Trainings, each with its seed."
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: GPU if any.",
)
@click.option("--test", is_flag=True, help="Measure on the test images at the end; that is written down in OUT.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="As in a study: training.mixup=0.2.")
@click.option("--plugin", "plugins", multiple=True, help="Python file with operators of your own.")
@may_run_plugins
@answers
def train(
    arch: str,
    data: str,
    out: Path,
    preset: str | None,
    epochs: int | None,
    seed: int,
    seeds: int,
    device: str,
    test: bool,
    overrides: tuple[str, ...],
    plugins: tuple[str, ...],
) -> Answer:
    """Trains ARCH (a file, known:NAME or DIR#TRIAL) from scratch; the same command continues where it was stopped.

    \b
    Example: nas train known:convmixer_256_8 --data cifar10 --preset convmixer -o convmixer --test
    """
    from nas.export.train import train as train_all
    from nas.plugins import load_plugins
    from nas.problem import find_dataset
    from nas.results.references import find_architecture
    from nas.settings import settings_of
    from nas.show.console import PlainConsole
    from nas.show.progress import Trainings
    from nas.trial import check_device, fastest_device

    if device == "auto":
        device = fastest_device()
    with user_input("--device"):
        check_device(device)
    load_plugins(plugins)
    training = {"preset": preset, "epochs": epochs}
    table = {
        "name": out.name,
        "objectives": ["accuracy"],
        "seed": seed,
        "data": {"name": data},
        "training": {key: value for key, value in training.items() if value is not None},
        "execution": {"device": device},
        "plugins": list(plugins),
    }
    architecture, dataset = find_architecture(arch), find_dataset(settings_of(table, overrides).data)
    settings = settings_of({**table, "objectives": list(dataset.poses().objectives)}, overrides)
    with Trainings(PlainConsole(stderr=True)) as shown:
        done = train_all(
            architecture, settings, out, seeds=range(seed, seed + seeds), test=test, say=shown.say, watch=shown.watch
        )
    rows = [{"seed": trained.seed, "out": str(trained.directory), **trained.measured} for trained in done]
    return Answer(rows, lambda console: shown.summary(done))


@cli.command()
@click.argument("directory", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--data", help="Data set; that of the study unless given.")
@click.option(
    "--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True, help="Which images."
)
@click.option("--collapse", is_flag=True, help="Also log neural collapse (NC1 to NC3) of the training images.")
@may_run_plugins
@answers
def evaluate(directory: Path, data: str | None, split: str, collapse: bool) -> Answer:
    """Measures an exported network; use of the test split is written down in OUT.

    \b
    Example: nas evaluate knee --data digits --split test
    """
    from nas.export.bundle import EVALUATIONS
    from nas.export.evaluate import evaluate as measure
    from nas.show.console import echo

    result = measure(directory, data, split, collapse=collapse)

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
@DIRECTORY
@click.argument("members", metavar="MEMBER...", nargs=-1, required=True)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Where to write.")
@click.option(
    "--probe", is_flag=True, help="Read the features of all members by one linear layer instead of mixing two."
)
@click.option("--alpha", type=float, help="Weight of the second member; unset: the best on the validation images.")
@click.option("--temperatures", metavar="S,R", help="Factors of the logits of both; unset: the best.")
@click.option("--data", help="The study's data set, NAME:LOCATION, where it lies elsewhere now.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@may_run_plugins
@answers
def pair(
    directory: Path,
    members: tuple[str, ...],
    out: Path,
    probe: bool,
    alpha: float | None,
    temperatures: str | None,
    data: str | None,
    force: bool,
) -> Answer:
    """An accurate and a robust trial as one network, in this order; with --probe any number, or front for all of it.

    \b
    Example: nas pair runs/quickstart best:accuracy best:robust_accuracy -o pair
    """
    from nas.export.pair import pair as put_together
    from nas.results.picks import trial_number
    from nas.show.ensembles import paired_table

    if probe and (alpha is not None or temperatures is not None):
        raise WrongInputError("--alpha and --temperatures belong to a mixture of two. Leave them out with --probe.")
    study = _opened(directory)
    study.load_plugins()
    if members == ("front",):
        records = study.front
    else:
        records = [study.pick(f"trial:{m}" if trial_number(m) is not None else m) for m in members]
    done = put_together(
        directory,
        study.settings,
        records,
        out,
        chosen=None if probe else _fixed(alpha, temperatures),
        plugins=study.plugins,
        data=data,
        force=force,
    )

    def draw(console: Console) -> None:
        console.print(paired_table(done.to_json()))
        console.print(f"written to {out}, read back and compared", soft_wrap=True)

    return Answer(done.to_json(), draw)


def _fixed(alpha: float | None, temperatures: str | None) -> Chosen:
    from nas.export.pair import Chosen

    if temperatures is None:
        return Chosen(alpha)
    try:
        first, second = (float(part) for part in temperatures.split(","))
    except ValueError:
        raise WrongInputError(f"--temperatures needs two numbers S,R, as in 1.5,1, got {temperatures!r}.") from None
    return Chosen(alpha, (first, second))


@cli.command("data")
@click.option("--download", "wanted", metavar="NAME", help="Download this data set into the folder NAS_DATA.")
@answers
def datasets(wanted: str | None) -> Answer:
    """Data sets: which exist, which are on this machine, where the others come from.

    \b
    Example: nas data
    """
    from nas.show.catalogue import data_figures, data_table

    if wanted:
        _download(wanted)
    rows = data_figures()
    return Answer(rows, lambda console: console.print(data_table(rows)))


def _download(name: str) -> None:
    from nas.errors import user_input
    from searchspaces.registry import lookup
    from trainers import DATASETS
    from trainers.downloads import DownloadError, download
    from trainers.formats.reading import data_root

    root = data_root()
    with user_input(f"--download {name}"):
        kind = lookup(DATASETS, "data set", name)
        if root is None:
            raise ValueError("NAS_DATA is not set. Set it to the folder that shall hold the data sets.")
        try:
            download(kind(str(root)), root, click.echo)
        except DownloadError as error:
            raise StoppedError(str(error)) from None


@cli.command()
@click.argument("arch", metavar="ARCH")
@click.option("--input", "shape", metavar="C,H,W", help="Shape of one image, if not that of the architecture.")
@click.option("--batch", type=click.IntRange(1, 10**6), default=1, show_default=True, help="Images in a training step.")
@click.option("--plugin", "plugins", multiple=True, help="Python file with operators of your own.")
@may_run_plugins
@answers
def cost(arch: str, shape: str | None, batch: int, plugins: tuple[str, ...]) -> Answer:
    """Parameters, MACs, FLOPs and memory of ARCH, part by part: a file, known:NAME or DIR#TRIAL.

    \b
    Example: nas cost known:convmixer_256_8 --input 3,32,32
    """
    from nas.plugins import load_plugins
    from nas.results.references import find_architecture
    from nas.show.architecture import cost_figures, cost_table

    load_plugins(plugins)
    figures = cost_figures(find_architecture(arch), shape, batch)
    return Answer(figures, lambda console: console.print(cost_table(arch, figures)))


@cli.command()
@click.argument("name", required=False)
@click.option("--input", "shape", metavar="C,H,W", default="3,32,32", show_default=True, help="Shape of one image.")
@click.option("--classes", type=click.IntRange(1), default=10, show_default=True, help="Number of classes.")
@click.option("--plugin", "plugins", multiple=True, help="Python file with spaces of your own.")
@click.option("--all", "every", is_flag=True, help="List the choices too that are searched only if a study names them.")
@answers
def spaces(name: str | None, shape: str, classes: int, plugins: tuple[str, ...], every: bool) -> Answer:
    """Search spaces, or one of them with its choices, their options, its size and an example.

    \b
    Example: nas spaces convmixer --input 1,8,8
    """
    from nas.plugins import load_plugins
    from nas.show.catalogue import space_figures, space_table, spaces_table

    load_plugins(plugins)
    found = space_figures(name, shape, classes, every=every)
    return Answer(found, lambda console: console.print(space_table(name, found[name]) if name else spaces_table(found)))


@cli.command()
@answers
def known() -> Answer:
    """Published networks that can be named as known:NAME.

    \b
    Example: nas known
    """
    from nas.show.catalogue import known_figures, known_table

    found = known_figures()
    return Answer(found, lambda console: console.print(known_table(found)))

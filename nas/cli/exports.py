"""Commands about single networks: taking them out of a study, training them at length, using and joining them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.frame import DIRECTORY, RULES, WHERE, Answer, answers, cli, may_run_plugins, opened
from nas.errors import WrongInputError, user_input

if TYPE_CHECKING:
    from rich.console import Console

    from nas.export.export import Verification
    from nas.export.forms import Forms
    from nas.export.pair import Chosen
    from nas.export.weights import FullTraining
    from nas.results.study import Study
    from nas.store.records import TrialRecord


INDEX = "index.json"
"""Beside the exports of a front: what each of them holds."""


@cli.command()
@DIRECTORY
@click.option("--pick", required=True, help=f"{RULES}, or front for every member.")
@WHERE
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Where to write.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORM",
    help="python, pt2, onnx, executorch, int8 (rounded, with what it loses) or none; the first three unless given.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=1, help="Images at a time for which graphs are folded (1)."
)
@click.option("--no-fold", is_flag=True, help="Write graphs as the network is defined.")
@click.option(
    "--fft",
    type=click.Choice(["dft", "matmul"]),
    default="dft",
    help="How graphs compute Fourier transforms: matmul for runtimes that have no DFT.",
)
@click.option("--data", help="The study's data set, NAME:LOCATION, where it lies elsewhere now.")
@click.option("--no-verify", is_flag=True, help="Do not measure the written files again.")
@click.option(
    "--retrain",
    is_flag=True,
    help="Train again, as they were, those whose weights were deleted; with --epochs, --preset or --seeds: in full.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="With --retrain: passes over the training images.")
@click.option("--preset", help="With --retrain: published recipe in place of the study's, for example convmixer.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, help="With --retrain: trainings, each with its seed (1)."
)
@click.option("--materialise", is_flag=True, help="Write frozen tensors out, of which the weights else hold seeds.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@may_run_plugins
def export(
    directory: Path,
    pick: str,
    where: tuple[str, ...],
    out: Path,
    formats: tuple[str, ...],
    batch: int,
    no_fold: bool,
    fft: str,
    data: str | None,
    no_verify: bool,
    retrain: bool,
    epochs: int | None,
    preset: str | None,
    seeds: int,
    materialise: bool,
    force: bool,
) -> None:
    """Takes architectures away, with their weights, in forms that run without this framework, and proves each.

    \b
    Example: nas export runs/quickstart --pick knee -o knee
    """
    from nas.export.bundle import architecture_path
    from nas.export.export import Verification, check_place
    from nas.export.forms import Forms
    from nas.export.weights import FullTraining, check_weights, train_again
    from nas.show.console import echo
    from nas.store.files import write_atomically

    study = opened(directory)
    study.load_plugins()
    verify = Verification(not no_verify, data)
    with user_input("--format"):
        names = None if not formats else [] if formats == ("none",) else formats
        forms = Forms.of(names, None if no_fold else batch, materialise=materialise, products=fft == "matmul")
    recipe = FullTraining(epochs, preset, seeds)
    if recipe and not retrain:
        raise WrongInputError(
            "--epochs, --preset and --seeds say how --retrain trains. Give it too, or leave them out."
        )
    if pick == "front" and architecture_path(out).exists():
        raise WrongInputError(f"{out} holds an export. Give another folder with -o for those of the front.")
    places = {r.number: out / str(r.number) if pick == "front" else out for r in study.select(pick, where)}
    if recipe:
        for number, place in places.items():
            trained_anew(study, study.trial(number), place, recipe, data=data, forms=forms)
        return
    for place in places.values():
        check_place(place, force=force)
    if not retrain:
        check_weights(directory, map(study.trial, places))
    for number, place in places.items():
        record = study.trial(number)
        if retrain:
            train_again(directory, study.settings, record, data=data, say=lambda message: echo(message, err=True))
        export_one(study, record, place, verify=verify, forms=forms, force=force)
    if pick == "front":
        rows = [{"trial": n, "folder": place.name, "measured": study.trial(n).measured} for n, place in places.items()]
        write_atomically(out / INDEX, (json.dumps(rows, indent=2) + "\n").encode())
        echo(f"what each holds: {out / INDEX}")


def trained_anew(
    study: Study, record: TrialRecord, out: Path, recipe: FullTraining, *, data: str | None, forms: Forms
) -> None:
    """Trains the network of a trial in full and exports what that leaves; a training that was stopped continues."""
    from nas.export.train import train as train_all
    from nas.problem import network_of
    from nas.show.console import PlainConsole, echo
    from nas.show.progress import Trainings

    settings = recipe.settings(study.settings, study.plugins, data)
    with Trainings(PlainConsole(stderr=True)) as shown:
        done = train_all(
            network_of(record),
            settings,
            out,
            seeds=range(recipe.seeds),
            test=False,
            say=shown.say,
            watch=shown.watch,
            forms=forms,
            of=record,
        )
    for trained in done:
        values = ", ".join(
            f"{name} {value:.4f} ({record.measured.get(name, float('nan')):.4f} in the search)"
            for measured in trained.measured.values()
            for name, value in measured.items()
        )
        echo(
            f"trained trial {record.number} in full with seed {trained.seed}, exported to {trained.directory}: {values}"
        )


def export_one(
    study: Study,
    record: TrialRecord,
    out: Path,
    *,
    verify: Verification | None = None,
    forms: Forms,
    force: bool,
) -> None:
    from nas.export.export import Verification
    from nas.show.console import echo

    verify = verify or Verification()
    done = study.write_export(record, out, verify=verify, forms=forms, force=force)
    checked = ", ".join(f"{name} {value:.4f}" for name, value in done.measured.items())
    verdict = f"OK, read back and measured again: {checked}" if verify.wanted else "not measured again"
    returned = "outputs" if "outputs" in done.record.architecture else "logits"
    verdict += f"; its {returned} are those of the trial, bit for bit" if done.identical else ""
    echo(f"exported trial {record.number} to {out}: {verdict}")
    if done.proofs:
        files = ", ".join(f"{proof.format} (within {proof.largest_difference:.0e})" for proof in done.proofs)
        what = f"on {done.proofs[0].images} {'measured' if verify.wanted else 'random'} inputs"
        echo(f"proven without this framework, {what}, outputs as a share of the largest: {files}")
    if counted := [f"{proof.format} {proof.cost}" for proof in done.proofs if proof.cost]:
        echo(f"counted from their graphs: {'; '.join(counted)}")
    for proof in done.proofs:
        if proof.folding:
            echo(f"folded in {proof.format}: {proof.folding}")
    for lost in done.losses:
        echo("\n  ".join([f"written as {lost.format} too, which rounds:", *lost.said]))
    for name, why in done.left_out.items():
        echo(f"not written as {name}: {why}", err=True)


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
@WHERE
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
    where: tuple[str, ...],
) -> Answer:
    """Trains ARCH (a file, known:NAME, DIR#TRIAL or DIR#RULE) from scratch; the same command continues it.

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
    architecture, dataset = find_architecture(arch, where), find_dataset(settings_of(table, overrides).data)
    settings = settings_of({**table, "objectives": list(dataset.poses().objectives)}, overrides)
    with Trainings(PlainConsole(stderr=True)) as shown:
        done = train_all(
            architecture, settings, out, seeds=range(seed, seed + seeds), test=test, say=shown.say, watch=shown.watch
        )
    rows = [{"seed": trained.seed, "out": str(trained.directory), **trained.measured} for trained in done]
    return Answer(rows, lambda console: shown.summary(done))


@cli.command()
@click.argument("directory", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@may_run_plugins
@answers
def predict(directory: Path, files: tuple[Path, ...]) -> Answer:
    """Classes of pictures, sounds or arrays (.npy), or what follows the series in CSV files, by an exported network.

    \b
    Example: nas predict knee picture.png
             nas predict knee power.csv > forecast.csv
    """
    from nas.export.predict import Continued
    from nas.export.predict import predict as predicted

    found = predicted(directory, files)
    rows = [vars(one) if isinstance(one, Continued) else {"file": one.file, "classes": one.chances} for one in found]

    def draw(console: Console) -> None:
        for one in found:
            if isinstance(one, Continued):
                console.print(one.csv, soft_wrap=True, end="", markup=False, highlight=False)
                continue
            best = ", ".join(f"{name} {chance:.3f}" for name, chance in list(one.chances.items())[:3])
            console.print(f"{one.file}: {best}", soft_wrap=True)

    return Answer(rows, draw)


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
@WHERE
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
    where: tuple[str, ...],
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
    study = opened(directory)
    study.load_plugins()
    if members == ("front",):
        records = study.select("front", where)
    else:
        records = [study.pick(f"trial:{m}" if trial_number(m) is not None else m, where) for m in members]
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

"""`nas show`: one trial in full, on a terminal or as a picture."""

from pathlib import Path

from rich.console import Console

from nas.drawing import Drawn, drawn, svg, text
from nas.errors import printable
from nas.export.bundle import load_weights
from nas.pricing import price
from nas.problem import network_of
from nas.results.study import Study
from nas.show.architecture import cost_figures, cost_summary, mixing_tables
from nas.show.console import WIDE
from nas.show.trials import in_one_line, print_flags
from nas.store.artifacts import weights_path
from nas.store.files import write_atomically
from nas.store.records import TrialRecord
from searchspaces import Architecture, Network


def print_network(study: Study, record: TrialRecord, console: Console) -> None:
    """Prints what is known of a trial: values, facts, what replicates say, its parts, figures of its mixing layers."""
    study.load_plugins()
    architecture = network_of(record)
    console.print(in_one_line(record, study.objectives), soft_wrap=True)
    if record.facts:
        facts = ", ".join(f"{printable(name)} {printable(str(value))}" for name, value in record.facts.items())
        console.print(f"facts: {facts}", soft_wrap=True)
    others = {name: bound for name, bound in study.settings.bounds.items() if name not in study.objectives}
    if bounded := [f"{n} {record.measured[n]:.4g} of {others[n]:g}" for n in others if n in record.measured]:
        console.print(f"bounded: {printable(', '.join(bounded))}", soft_wrap=True)
    if record.inherited:
        share, trial = record.inherited["share"], record.inherited["trial"]
        console.print(f"began with the weights of trial {trial}, {share:.0%} of its parameters", soft_wrap=True)
    if record.graphs not in (None, "captured"):
        console.print(f"its steps were not captured as CUDA graphs: {printable(str(record.graphs))}", soft_wrap=True)
    print_flags([record], console)
    for note in study.confirmation.notes(record.number) if study.confirmation else ():
        console.print(note, soft_wrap=True)
    console.print(f"\nnetwork {architecture.key}", soft_wrap=True)
    console.print(text(drawn(architecture), console.width if console.is_terminal else WIDE), soft_wrap=True)
    console.print(cost_summary(cost_figures(architecture)), soft_wrap=True)
    if network := trained_network(study, record, architecture):
        for table in mixing_tables(network, architecture.input):
            console.print(table)


def draw_network(study: Study, record: TrialRecord, path: Path) -> None:
    """Writes the drawing of a trial's network as SVG, with its frozen filters where its weights were kept.

    Raises:
        WrongInputError: if no network can be made of the record.
        UntrustedError: if it takes a plugin that was never trusted.
        StoppedError: if the file cannot be written.
    """
    study.load_plugins()
    parts = drawn_trial(study, record)
    write_atomically(path, svg(parts, f"{study.settings.name}, trial {record.number}").encode())


def drawn_trial(study: Study, record: TrialRecord) -> list[Drawn]:
    """The parts of a trial's network; with its frozen filters, where it has some and its weights were kept.

    Raises:
        WrongInputError: if no network can be made of the record, or its weights are damaged.
    """
    architecture = network_of(record)
    total = price(architecture).total
    some = total.trainable_parameters < total.parameters  # else its weights, which take a while, show nothing
    return drawn(architecture, trained_network(study, record, architecture) if some else None)


def trained_network(study: Study, record: TrialRecord, architecture: Architecture) -> Network | None:
    """The network with the weights that the trial has left; None if it has left none."""
    weights = weights_path(study.directory, record.number)
    return load_weights(architecture, weights) if weights.exists() else None

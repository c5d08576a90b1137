"""Taking architectures away: written, read back and proven to be what was measured before they count."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from nas.errors import StoppedError, WrongInputError, regular, user_input
from nas.export.bundle import (
    ARCHITECTURE,
    EVALUATIONS,
    MODEL,
    ORIGIN,
    SUMS,
    load_network,
    one_thread,
    read_seeds,
    weights_digest,
    write_bundle,
    write_sums,
)
from nas.export.card import CARD, DRAWING, MEASURED, OF_SEARCH, Sheet, WeightsOf, write_card
from nas.export.config import CONFIG
from nas.export.ensemble import ENSEMBLE, MEMBERS, PROBE
from nas.export.evaluate import candidate_of, measure, same_data
from nas.export.formats import FORMATS, Taken, front_end_of
from nas.export.formats.format import Scale
from nas.export.forms import OURS_ALONE, Forms, check_forms, write_forms
from nas.export.losses import Losses, calibration
from nas.export.proof import BATCHES, Proof
from nas.export.surrogates import gathered, keep
from nas.export.weights import check_weights
from nas.plugins import FOLDER, Plugin
from nas.problem import find_objectives, network_of
from nas.settings import Settings
from nas.store.artifacts import PREDICTIONS, WEIGHTS, weights_path
from nas.store.files import check_replaceable, new_folder, write_atomically
from nas.store.history import read_trials
from nas.store.records import TrialRecord
from nas.store.surrogates import FOLDER as SURROGATES
from nas.store.surrogates import Surrogate
from nas.store.traces import Predictions
from objectives import Candidate
from objectives.accuracy import logits
from objectives.objective import Images
from searchspaces import Network
from searchspaces.layers.draws import GENERATOR
from trainers import DATASETS, Dataset, TrainingData

EXAMPLE = "example.safetensors"
"""One input, ``images``, and what the network returns of it, ``outputs``."""
PRODUCTS = "graphs hold Fourier transforms, if there are any, as matrix products"
TYPICAL = 10
"""Images of which a mean says nothing about one of them."""
TIE = 1e-4
"""Share of the largest output by which the best two classes may differ where another processor decides otherwise."""

OURS = {CONFIG, MODEL, CARD, DRAWING, MEASURED, ORIGIN, EVALUATIONS, SUMS, FOLDER, SURROGATES, ENSEMBLE, MEMBERS, PROBE}
OURS |= {EXAMPLE, ARCHITECTURE, WEIGHTS, "__pycache__"} | {file for form in FORMATS.values() for file in form.files}
"""What an export consists of, those of earlier versions too; a folder that holds anything else is never replaced."""


@dataclass(frozen=True)
class Exported:
    """An export and the values that measuring it again returned.

    Args:
        measured: values of the files read back, by objective; empty if they were not measured.
        identical: whether the logits of the files are those of the trial, bit for bit; False if not, as another
            processor rounds differently, or if that is not known.
        proofs: of the forms that run without this framework.
        losses: of those that round.
        left_out: form -> why it was not written.
    """

    directory: Path
    record: TrialRecord
    measured: dict[str, float]
    identical: bool = False
    proofs: tuple[Proof, ...] = ()
    losses: tuple[Losses, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """Whether and on what an export is measured again.

    Args:
        data: the study's data set as ``name`` or ``name:location``, where it lies elsewhere on this machine.
    """

    wanted: bool = True
    data: str | None = None


def export(
    directory: Path,
    settings: Settings,
    record: TrialRecord,
    out: Path,
    *,
    plugins: Sequence[Plugin] = (),
    verify: Verification = Verification(),
    forms: Forms = OURS_ALONE,
    force: bool = False,
    notes: Sequence[str] = (),
    name: str | None = None,
) -> Exported:
    """Writes a trial's architecture, weights, origin and a README into ``out``, as a whole or not at all.

    The files are loaded and run on the study's validation images before they are put there: they must predict the class
    that the trial predicted of every image. Where their logits are those of the trial, bit for bit, all values must be
    the same; where another processor rounds differently, two images or a thousandth may lie between them.

    Args:
        directory: of the study that the trial belongs to.
        settings: of that study, resolved.
        plugins: of that study.
        forms: in which it is written besides; each is proven (`nas.export.proof`).
        force: replace an earlier export.
        notes: what else its README says of the trial, a line each.
        name: by which its README calls the folder, if not by its own.

    Raises:
        WrongInputError: if the trial has no weights, ``out`` holds something, or the data are not on this machine.
        StoppedError: if the written files are not what was measured, or cannot be written.
    """
    check_weights(directory, [record])
    check_place(out, force=force)
    path = weights_path(directory, record.number)
    with user_input(""):
        weights = regular(path).read_bytes()
    traced = path.with_name(PREDICTIONS)
    return write_export(
        record,
        settings,
        weights,
        out,
        plugins=plugins,
        surrogates=list(gathered(find_objectives(settings), directory).values()),
        verify=verify,
        forms=forms,
        wanted=Predictions.read(traced) if traced.exists() else None,
        notes=notes,
        name=name,
        relatives=ancestors(directory, record),
    )


def ancestors(directory: Path, record: TrialRecord) -> list[TrialRecord]:
    """The trials of a study whose weights a trial began with, one after the other."""
    found: list[TrialRecord] = []
    records = {one.number: one for one in read_trials(directory)} if record.inherited else {}
    while record.inherited and (number := record.inherited["trial"]) in records and records[number] not in found:
        record = records[number]
        found.append(record)
    return found


def check_place(out: Path, *, force: bool) -> None:
    """Checks that an export may be written to ``out``.

    Raises:
        WrongInputError: if something is there that must not be replaced.
    """
    check_replaceable(out)
    try:
        held = {file.name for file in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise WrongInputError(f"{out} is no folder ({error.strerror}). Give another place with -o.") from None
    if held and not held & {CONFIG, ARCHITECTURE, ENSEMBLE}:
        raise WrongInputError(f"{out} exists and is no earlier export. Give another place with -o, or remove it.")
    if foreign := sorted(held - OURS):
        raise WrongInputError(
            f"{out} holds an export, and besides it {', '.join(map(repr, foreign))}. Move that away, or give another "
            "place with -o."
        )
    if held and not force:
        raise WrongInputError(f"{out} holds an earlier export. Give another place with -o, or --force to replace it.")


def write_export(
    record: TrialRecord,
    settings: Settings,
    weights: bytes,
    out: Path,
    *,
    plugins: Sequence[Plugin] = (),
    surrogates: Sequence[Surrogate] = (),
    verify: Verification = Verification(),
    forms: Forms = OURS_ALONE,
    kept: Sequence[str] = (),
    wanted: Predictions | None = None,
    notes: Sequence[str] = (),
    name: str | None = None,
    relatives: Sequence[TrialRecord] = (),
    weights_of: WeightsOf = OF_SEARCH,
) -> Exported:
    """Writes the files of a trained network, proves them and puts them in place of ``out``; see `export`.

    Args:
        surrogates: of the study's objectives.
        kept: files of ``out`` that stay.
        wanted: what the trial predicted, where that is known.
        relatives: trials whose weights it began with, whose seeds its frozen tensors may have.
        weights_of: which training they are of.
    """
    check_forms(forms, network_of(record).outputs, measured=verify.wanted)
    with new_folder(out) as folder, one_thread():
        drawn_of = () if forms.materialise else (record, *relatives)
        write_bundle(record, settings, plugins, weights, folder, drawn_of=drawn_of)
        for surrogate in surrogates:
            keep(surrogate, folder)
        network = load_network(folder)
        shape = network_of(record).input
        again, candidate, calibrating = None, None, None
        images: Images = torch.rand(max(BATCHES), *shape, generator=torch.Generator().manual_seed(0))
        if verify.wanted:
            found = _same_data(settings, verify.data)
            candidate = candidate_of(network, found.validation, settings, task=found.task)
            if forms.rounded:
                calibrating = calibration(found.train, settings.data.part_seed)
            images = candidate.inputs()
            again = _measure_again(candidate, record, settings, folder, wanted)
        example = typical(images, candidate.labels if candidate else None)
        with torch.no_grad():
            shown = {"images": example, "outputs": network(example)}
        write_atomically(folder / EXAMPLE, safetensors.torch.save(shown))
        taken = replace(
            _taken(network, record, settings), calibration=calibrating, batch=forms.batch, products=forms.products
        )
        written = write_forms(taken, folder, forms, images, candidate, settings)
        sheet = Sheet(
            record,
            settings,
            name or out.name,
            again=again.measured if again else {},
            identical=again is not None and again.identical,
            proofs=written.proofs,
            losses=written.losses,
            left_out=written.left_out,
            notes=[*notes, *_seeds(folder), *([PRODUCTS] if forms.products else [])],
            weights_of=weights_of,
        )
        write_card(folder, sheet, network)
        for file in kept:
            shutil.copy2(out / file, folder / file)
        write_sums(folder)
        if (out / EVALUATIONS).is_file() and weights_digest(out) == weights_digest(folder):
            shutil.copyfile(out / EVALUATIONS, folder / EVALUATIONS)  # that its test images were used stays known
    forms_of_it = tuple(written.proofs), tuple(written.losses), written.left_out
    return Exported(out, record, dict(sheet.again), sheet.identical, *forms_of_it)


def _seeds(folder: Path) -> list[str]:
    """What is to be said of tensors that an export stores as seeds; nothing without any."""
    seeds = read_seeds(folder / CONFIG)
    if not seeds:
        return []
    numbers = sum(seed.numbers for seed in seeds.values())
    return [f"{numbers:,} numbers in {len(seeds)} frozen tensors are stored as their seeds ({GENERATOR})"]


def typical(images: Images, labels: Tensor | None) -> Tensor:
    """(1, C, H, W) nobody's picture, in 256 steps: the mean of the first class, or of all if that is small."""
    chosen = list(range(len(images)))
    if labels is not None and len(labels):
        first = (labels == labels.min()).nonzero()[:, 0].tolist()
        chosen = first if len(first) >= TYPICAL else chosen
    total = torch.zeros(1, *images[:1].shape[1:], dtype=torch.float64)
    for i in chosen:  # one at a time: they may be more than the memory holds
        total += images[i : i + 1].double()
    return ((255 * total / len(chosen)).round() / 255).float()


def _taken(network: Network, record: TrialRecord, settings: Settings) -> Taken:
    """The network with what those need to know who write its forms."""
    architecture = network_of(record)
    things, front_end = DATASETS.get(settings.data.name, Dataset).things, front_end_of(settings.data)
    scale = Scale.of(settings.data)
    return Taken(network, architecture.input, architecture.outputs, things, front_end, scale, architecture)


@dataclass(frozen=True)
class _Again:
    """What the written files measure, and whether their logits are those of the trial, bit for bit."""

    measured: dict[str, float]
    identical: bool


def _same_data(settings: Settings, data: str | None) -> TrainingData:
    """The images of a study.

    Raises:
        WrongInputError: if these are not on this machine.
    """
    try:
        return same_data(settings, data)
    except WrongInputError as error:
        raise WrongInputError(
            f"nothing was exported, because it cannot be checked: {error} Where the data lie elsewhere: "
            "--data NAME:LOCATION; to export without measuring again: --no-verify."
        ) from None


def _measure_again(
    candidate: Candidate, record: TrialRecord, settings: Settings, folder: Path, wanted: Predictions | None
) -> _Again:
    """What the files measure, once it is certain that they are the trial's network.

    Raises:
        StoppedError: if they are another one.
    """
    outputs = logits(candidate.model, candidate.inputs()).cpu().numpy()
    identical = wanted is not None and Predictions.of(outputs, np.empty(0)).digest == wanted.digest
    if wanted is not None and len(wanted.predicted) and not identical:
        _check_predictions(record, wanted.predicted, outputs)
    measured = measure(candidate, settings, folder)
    for name, value in measured.items():
        how, recorded = record.settings.get(name, {}), record.measured[name]
        one_sample = how.get("one_sample", 1 / how.get("samples", len(outputs)))
        allowed = 1e-5 if identical else max(0.001, 2 * one_sample)
        if not abs(value - recorded) <= allowed * max(1, abs(recorded)):
            raise StoppedError(
                f"nothing was exported: the files measure {name} = {value:.4f}, but trial {record.number} recorded "
                f"{recorded:.4f}. Check that the data are those of the study."
            )
    return _Again(measured, identical)


def _check_predictions(record: TrialRecord, wanted: np.ndarray, outputs: np.ndarray) -> None:
    """Makes sure that (N, K) outputs predict what a trial predicted, but for ties that rounding decides.

    Raises:
        StoppedError: if they do not.
    """
    if len(wanted) != len(outputs):
        raise StoppedError(
            f"nothing was exported: trial {record.number} was measured on {len(wanted)} images, and there are "
            f"{len(outputs)}. Check that the data are those of the study."
        )
    images = np.arange(len(outputs))
    apart = outputs.max(1) - outputs[images, np.minimum(wanted, outputs.shape[1] - 1)]
    if wrong := int((apart > TIE * np.abs(outputs).max()).sum()):
        raise StoppedError(
            f"nothing was exported: the files predict another class than trial {record.number} for {wrong} of "
            f"{len(outputs)} images. Check that the data and the weights are those of the study."
        )

"""Taking architectures away: written, read back and measured again before they count."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nas.errors import StoppedError, WrongInputError, regular, user_input
from nas.export.bundle import (
    ARCHITECTURE,
    CARD,
    EVALUATIONS,
    ORIGIN,
    SUMS,
    load,
    read_sums,
    write_bundle,
    write_card,
    write_sums,
)
from nas.export.ensemble import ENSEMBLE, MEMBERS, PROBE
from nas.export.evaluate import candidate_of, measure, same_data
from nas.export.surrogates import gathered, keep
from nas.export.weights import check_weights
from nas.plugins import FOLDER, Plugin
from nas.problem import find_objectives
from nas.settings import Settings
from nas.store.artifacts import PREDICTIONS, WEIGHTS, weights_path
from nas.store.files import check_replaceable, new_folder
from nas.store.records import TrialRecord
from nas.store.surrogates import FOLDER as SURROGATES
from nas.store.surrogates import Surrogate
from nas.store.traces import Predictions
from nas.trial import predicted

OURS = {ARCHITECTURE, CARD, ORIGIN, EVALUATIONS, SUMS, FOLDER, WEIGHTS, SURROGATES, ENSEMBLE, MEMBERS, PROBE}
"""What an export consists of; a folder that holds anything else is never replaced."""


@dataclass(frozen=True)
class Exported:
    """An export and the values that measuring it again returned.

    Args:
        measured: values of the files read back, by objective; empty if they were not measured.
        identical: whether the logits of the files are those of the trial, bit for bit; False if not, as another
            processor rounds differently, or if that is not known.
    """

    directory: Path
    record: TrialRecord
    measured: dict[str, float]
    identical: bool = False


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
    force: bool = False,
    notes: Sequence[str] = (),
    place: Path | None = None,
) -> Exported:
    """Writes a trial's architecture, weights, origin and a README into ``out``, as a whole or not at all.

    The files are loaded and measured again on the study's validation images before they are put there; a fraction may
    differ from the record by one image or 0.005, whichever is more (another processor rounds differently).

    Args:
        directory: of the study that the trial belongs to.
        settings: of that study, resolved.
        plugins: of that study.
        force: replace an earlier export.
        notes: what else its README says of the trial, a line each.
        place: where a reader will find it, if not at ``out``.

    Raises:
        WrongInputError: if the trial has no weights, ``out`` holds something, or the data are not on this machine.
        StoppedError: if the written files do not measure what the record says, or cannot be written.
    """
    check_weights(directory, [record])
    check_place(out, force=force)
    path = weights_path(directory, record.number)
    with user_input(""):
        weights = regular(path).read_bytes()
    traced = path.with_name(PREDICTIONS)
    digest = Predictions.read(traced).digest if traced.exists() else None
    return write_export(
        record,
        settings,
        weights,
        out,
        plugins=plugins,
        surrogates=list(gathered(find_objectives(settings), directory).values()),
        verify=verify,
        digest=digest,
        notes=notes,
        place=place,
    )


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
    if held and not held & {ARCHITECTURE, ENSEMBLE}:
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
    kept: Sequence[str] = (),
    digest: str | None = None,
    notes: Sequence[str] = (),
    place: Path | None = None,
) -> Exported:
    """Writes the files of a trained network, measures them again and puts them in place of ``out``; see `export`.

    Args:
        surrogates: of the study's objectives.
        kept: files of ``out`` that stay.
        digest: of the logits of the trial, as in its predictions.
        notes: what else its README says, a line each.
        place: where a reader will find it, if not at ``out``.
    """
    with new_folder(out) as folder:
        write_bundle(record, settings, plugins, weights, folder)
        for surrogate in surrogates:
            keep(surrogate, folder)
        again = _measure_again(folder, record, settings, verify.data) if verify.wanted else None
        measured = again.measured if again else {}
        write_card(folder, record, settings, measured, place=place or out, notes=notes)
        for name in kept:
            shutil.copy2(out / name, folder / name)
        write_sums(folder)
        if (out / EVALUATIONS).is_file() and read_sums(out).get(WEIGHTS) == read_sums(folder)[WEIGHTS]:
            shutil.copyfile(out / EVALUATIONS, folder / EVALUATIONS)  # that its test images were used stays known
    return Exported(out, record, measured, identical=again is not None and again.digest == digest)


@dataclass(frozen=True)
class _Again:
    """What the written files measure, and the digest of their logits."""

    measured: dict[str, float]
    digest: str


def _measure_again(folder: Path, record: TrialRecord, settings: Settings, data: str | None) -> _Again:
    network = load(folder)
    try:
        found = same_data(settings, data)
    except WrongInputError as error:
        raise WrongInputError(
            f"nothing was exported, because it cannot be checked: {error} Where the data lie elsewhere: "
            "--data NAME:LOCATION; to export without measuring again: --no-verify."
        ) from None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    candidate = candidate_of(network, found.validation, settings, task=found.task)
    measured = measure(candidate, settings, folder)
    digest = predicted(candidate).digest
    torch.set_num_threads(threads)
    for name, value in measured.items():
        how = record.settings[name]
        allowed = max(0.005, how.get("one_sample", 1 / how.get("samples", len(found.validation))))
        if abs(value - record.measured[name]) > allowed + 1e-9:
            raise StoppedError(
                f"nothing was exported: the files measure {name} = {value:.4f}, but trial {record.number} recorded "
                f"{record.measured[name]:.4f}. Check that the data are those of the study."
            )
    return _Again(measured, digest)

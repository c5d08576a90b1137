"""Taking architectures away: written, read back and measured again before they count."""

from dataclasses import dataclass
from pathlib import Path

import torch

from nas.errors import StoppedError, WrongInputError
from nas.export.bundle import ARCHITECTURE, load, write_bundle, write_card
from nas.export.evaluate import measure
from nas.problem import load_data
from nas.settings import Settings
from nas.store.artifacts import weights_path
from nas.store.records import TrialRecord
from searchspaces import Architecture


@dataclass(frozen=True)
class Exported:
    """An export and the values that measuring it again returned.

    Args:
        measured: values of the files read back, by objective; empty if they were not measured.
    """

    directory: Path
    record: TrialRecord
    measured: dict[str, float]


def export(directory: Path, settings: Settings, record: TrialRecord, out: Path, *, verify: bool = True) -> Exported:
    """Writes ``architecture.json``, ``weights.safetensors``, ``README.md``, ``origin.json`` of a trial into ``out``.

    The files are then loaded and measured again on the study's validation images; a fraction may differ from the record
    by one image or 0.005, whichever is more (another processor rounds differently).

    Args:
        directory: of the study that the trial belongs to.
        settings: of that study, resolved.

    Raises:
        WrongInputError: if the trial has no weights, ``out`` holds something else, or the data are not on this machine.
        StoppedError: if the written files do not measure what the record says.
    """
    path = weights_path(directory, record.number)
    if record.status != "complete":
        raise _without_weights(record, f"it ended {record.status}")
    try:
        weights = path.read_bytes()
    except OSError:
        trimmed = settings.limits.artifacts_gb is not None
        hint = "; limits.artifacts_gb keeps those of the front" if trimmed else ""
        raise _without_weights(record, f"{path} is missing{hint}") from None
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / ARCHITECTURE).exists())):
        raise WrongInputError(f"{out} exists and is no earlier export. Give another place with -o, or remove it.")
    return write_export(record, settings, weights, out, verify=verify)


def _without_weights(record: TrialRecord, why: str) -> WrongInputError:
    return WrongInputError(f"trial {record.number} has no weights to export: {why}. Pick a complete trial.")


def write_export(record: TrialRecord, settings: Settings, weights: bytes, out: Path, *, verify: bool) -> Exported:
    """Writes the files of a trained network into ``out`` and measures them again; see `export`."""
    write_bundle(record, settings, weights, out)
    measured = _measure_again(out, record, settings) if verify else {}
    write_card(out, record, settings, measured)
    return Exported(out, record, measured)


def _measure_again(out: Path, record: TrialRecord, settings: Settings) -> dict[str, float]:
    try:
        samples = load_data(settings).validation
    except WrongInputError as error:
        raise WrongInputError(
            f"the files are written to {out} but not checked: {error} To export without measuring again: --no-verify."
        ) from None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    measured = measure(load(out), Architecture.from_json(record.architecture), samples, settings)
    torch.set_num_threads(threads)
    for name, value in measured.items():
        how = record.settings[name]
        allowed = max(0.005, how.get("one_sample", 1 / how.get("samples", len(samples))))
        if abs(value - record.measured[name]) > allowed + 1e-9:
            raise StoppedError(
                f"the export in {out} measures {name} = {value:.4f}, but trial {record.number} recorded "
                f"{record.measured[name]:.4f}. Do not use it; check that the data are those of the study."
            )
    return measured

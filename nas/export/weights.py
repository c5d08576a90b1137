"""The weights of a trial: as it left them, or trained again where they were deleted to save space."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from nas.errors import StoppedError, WrongInputError, regular
from nas.export.bundle import check_tensors
from nas.export.evaluate import same_data, there
from nas.export.surrogates import transferring
from nas.plugins import Plugin
from nas.problem import find_dataset, find_objectives, find_trainer, network_of
from nas.settings import Settings
from nas.store.artifacts import PREDICTIONS, weights_path
from nas.store.files import write_atomically
from nas.store.history import read_trials
from nas.store.records import TrialRecord
from nas.store.traces import Predictions
from nas.trial import Relative, TrialOutcome, TrialPlan, run_trial


def check_weights(directory: Path, records: Iterable[TrialRecord]) -> None:
    """Checks that trials of a study have weights.

    Raises:
        WrongInputError: naming the first that has none, and what to do.
    """
    for record in records:
        if record.status != "complete":
            raise WrongInputError(
                f"trial {record.number} has no weights: it ended {record.status}. Pick a complete trial."
            )
        path = weights_path(directory, record.number)
        if not path.exists():
            raise WrongInputError(
                f"trial {record.number} has no weights any more: {path} is missing (limits.artifacts_gb keeps those of "
                "the front). nas export trains it again, as it was, and puts them back: nas export "
                f"{shlex.quote(str(directory))} --pick trial:{record.number} --retrain -o OUT."
            )


def read_kept(directory: Path, record: TrialRecord) -> bytes:
    """The weights of a trial of a study, as the bytes of their file, which was checked.

    Raises:
        WrongInputError: if they are missing or damaged, or those of another network.
    """
    path = weights_path(directory, record.number)
    try:
        content = regular(path).read_bytes()
        check_tensors(network_of(record), safetensors.torch.load(content))
    except FileNotFoundError:
        raise WrongInputError(f"{path} is missing.") from None
    except (SafetensorError, RuntimeError, ValueError, OSError) as error:
        raise WrongInputError(f"{path} is damaged, or of another network: {error}.") from None
    return content


def train_again(
    directory: Path, settings: Settings, record: TrialRecord, *, data: str | None = None, say: Callable[[str], None]
) -> None:
    """Trains a complete trial by its own recipe and seed, and puts its weights back; one that has weights is left.

    Args:
        settings: of the study, resolved.
        data: the study's data set as ``name`` or ``name:location``, where it lies elsewhere on this machine.

    Raises:
        WrongInputError: if the trial did not end complete, the data are not on this machine, or the weights that it
            began with are lost.
        StoppedError: if its logits are not those of the trial, bit for bit, as on another processor or a GPU.
    """
    path = weights_path(directory, record.number)
    if path.exists() or record.status != "complete":
        check_weights(directory, [record])
        return
    found = same_data(settings, data)
    trainer = replace(find_trainer(settings, find_dataset(settings.data)), micro_batches=record.micro_batches)
    loaded = replace(settings, plugins=[])  # of its plugins there are only copies, which have run already
    plan = TrialPlan.of(loaded, network_of(record), trainer=trainer, objectives={}, seed=record.seed)
    relative = _relative(directory, record)
    begun = f", with the weights of trial {record.inherited['trial']}" if record.inherited else ""
    say(f"trial {record.number} is trained again, {trainer.epochs} epochs{begun}.")
    plan = replace(plan, inherited=record.inherited, relative=relative)
    outcome = run_trial(replace(plan, timeout_seconds=None, checkpoint_seconds=0.0), found)
    if outcome.weights is None:
        raise StoppedError(
            f"trial {record.number} could not be trained again ({outcome.record.failure}): {outcome.record.error}"
        )
    if not _is_same(outcome, path.with_name(PREDICTIONS)):
        raise StoppedError(
            f"trial {record.number} was trained again, but to another network than it was: that takes the same kind of "
            "processor, the same versions of mixing-nas and torch, and no GPU. Nothing was written. nas train "
            f"{shlex.quote(f'{directory}#{record.number}')} trains one like it."
        )
    write_atomically(path, outcome.weights)


@dataclass(frozen=True)
class FullTraining:
    """How the network of a trial is trained in full for an export.

    Args:
        epochs: passes over the training images; those of the study or the preset unless given.
        preset: published recipe in place of the study's.
        seeds: trainings, with the seeds 0, 1, ...
    """

    epochs: int | None = None
    preset: str | None = None
    seeds: int = 1

    def __bool__(self) -> bool:
        return self != FullTraining()

    def settings(self, study: Settings, plugins: Sequence[Plugin], data: str | None) -> Settings:
        """Settings of the training; objectives that attack by surrogates of the study are left out.

        Args:
            study: its settings, resolved.
            plugins: the copies that the study has.
            data: its data set as ``name`` or ``name:location``, where it lies elsewhere on this machine.
        """
        training = {**study.training} if self.preset is None else {"preset": self.preset}
        training |= {} if self.epochs is None else {"epochs": self.epochs}
        training |= {"inherit": False} if training.get("inherit") else {}
        surrogates = transferring(find_objectives(study))
        return replace(
            study,
            training=training,
            objectives=[name for name in study.objectives if name not in surrogates],
            objective={name: table for name, table in study.objective.items() if name not in surrogates},
            data=study.data if data is None else there(study, data),
            plugins=[plugin.path for plugin in plugins],
        )


def _relative(directory: Path, record: TrialRecord) -> Relative | None:
    """The network whose weights a trial began with; None of one from scratch.

    Raises:
        WrongInputError: if these are lost, with what puts them back.
    """
    if record.inherited is None:
        return None
    number = record.inherited["trial"]
    relative = next(one for one in read_trials(directory) if one.number == number)
    try:
        return Relative(relative.architecture, read_kept(directory, relative))
    except WrongInputError as error:
        raise WrongInputError(
            f"trial {record.number} began with the weights of trial {number}, without which it cannot be trained "
            f"again: {error} Put them back first, which trains that one as it was: nas export "
            f"{shlex.quote(str(directory))} --pick trial:{number} --retrain -o OUT."
        ) from None


def _is_same(outcome: TrialOutcome, traced: Path) -> bool:
    """Whether the logits of a training are those of the trial, where these are known."""
    if not traced.exists() or PREDICTIONS not in outcome.traces:
        return not traced.exists()
    return Predictions.from_bytes(outcome.traces[PREDICTIONS]).digest == Predictions.read(traced).digest

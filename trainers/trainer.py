"""The trainer contract: how one candidate is trained, in place, from pixels to logits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeVar

from torch import nn

from trainers.checkpoints import Checkpoints
from trainers.dataset import Dataset
from trainers.splits import TrainingData


@dataclass(frozen=True)
class Epoch:
    """Report of one finished epoch: its number from 1, of how many, mean training loss, seconds it took.

    ``learning_rate`` is that of its last step; None of a trainer that has none. ``measured`` holds what is tracked on
    the validation images (`Trainer.track`), by the name of the objective; it is added to the trainer's report.
    ``graphs`` says what became of the steps that were to be replayed as CUDA graphs; None where none were.
    """

    number: int
    total: int
    loss: float
    seconds: float
    learning_rate: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    graphs: str | None = None


class DivergedError(FloatingPointError):
    """The training loss is no longer finite."""


@dataclass(frozen=True)
class Trainer(ABC):
    """A way to train; implementations are frozen dataclasses whose fields are the settings.

    Args:
        epochs: passes over the training set.
        micro_batches: parts into which each batch is divided to save memory, for trainers that can.
        track: measure the accuracy (of another task what stands for it) on the validation images after every epoch, for
            the curve of the trial; nothing depends on it.
        inherit: let a trial of a search begin with the weights of its nearest trained relative; a trainer trains the
            network that it is given, whatever its weights.
    """

    epochs: int = 10
    micro_batches: int = 1
    track: bool = False
    inherit: bool = False

    @abstractmethod
    def train(
        self,
        model: nn.Module,
        data: TrainingData,
        *,
        seed: int,
        report: Callable[[Epoch], None],
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Trains ``model`` in place on its device and leaves it in eval mode; calls ``report`` after every epoch.

        What ``report`` raises ends the training and is passed on. ``checkpoints`` hold what a training that was cut
        off continues from; a trainer that ignores them starts it again.

        Raises:
            DivergedError: if the loss is not finite.
        """

    @property
    def images_at_a_time(self) -> int | None:
        """Images whose activations are in memory at once; None if that is not known."""
        return None

    def suited(self, data: Dataset) -> Self:
        """The trainer with the settings that were left open set to what suits ``data``.

        Raises:
            ValueError: if it cannot train on them.
        """
        return self

    def settings(self) -> dict[str, Any]:
        """All that the same training needs to be repeated, as JSON."""
        return asdict(self)

    def halved(self) -> Self | None:
        """The same training with half as many images at a time, for less memory; None if it cannot."""
        return None


TRAINERS: dict[str, type[Trainer]] = {}
T = TypeVar("T", bound=type[Trainer])


def trainer(name: str) -> Callable[[T], T]:
    """Class decorator that registers a trainer.

    Raises:
        ValueError: if the name is taken, or the class is no frozen dataclass derived from `Trainer`.
    """

    def add(cls: T) -> T:
        if name in TRAINERS:
            raise ValueError(f"trainer {name!r} is already registered by {TRAINERS[name]!r}. Choose another name.")
        if not issubclass(cls, Trainer) or "__dataclass_params__" not in vars(cls):
            raise ValueError(f"trainer {name!r} must be a frozen dataclass derived from Trainer, got {cls!r}.")
        TRAINERS[name] = cls
        return cls

    return add

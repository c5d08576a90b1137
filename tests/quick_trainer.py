"""A trainer of a moment, for tests of what hands trainings out."""

from dataclasses import dataclass
from typing import Any, ClassVar

from trainers import Supervised, TrainingData
from trainers.trainer import Trainer


@dataclass(frozen=True)
class Quick(Trainer):
    """Draws the weights of the classifier; interrupts, or fails, when it is told to.

    ``calls`` are the epochs of each training, ``sizes`` the numbers of images that were measured on.
    """

    calls: ClassVar[list[int]] = []
    sizes: ClassVar[set[int]] = set()
    interrupt_at: ClassVar[int] = -1
    broken: ClassVar[bool] = False

    def train(self, model: Any, data: TrainingData, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        if len(self.calls) == self.interrupt_at:
            type(self).interrupt_at = -1
            raise KeyboardInterrupt
        if self.broken:
            raise ValueError("on purpose")
        self.calls.append(self.epochs)
        self.sizes.add(len(data.validation))
        Supervised(epochs=1, learning_rate=0.02).train(model, data, seed=seed, report=report)

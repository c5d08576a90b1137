"""A plugin for tests: a trainer whose epochs take a given time; every start is noted in a file."""

import os
import time
from dataclasses import dataclass
from typing import Any

from trainers import Epoch, Supervised
from trainers.trainer import trainer


@trainer("slow")
@dataclass(frozen=True)
class Slow(Supervised):
    """Does nothing but wait.

    Args:
        epoch_seconds: length of an epoch.
        notes: file to which the trial's seed is appended at every start.
    """

    epoch_seconds: float = 0.0
    notes: str = os.devnull

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        with open(self.notes, "a") as notes:
            notes.write(f"{seed}\n")
        for number in range(1, self.epochs + 1):
            time.sleep(self.epoch_seconds)
            report(Epoch(number, self.epochs, 1 / number, self.epoch_seconds))

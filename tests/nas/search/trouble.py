"""A plugin for tests: a trainer that meets trouble of each kind, by the trial's seed; with ``kinds = 0`` it is calm."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch

from trainers import Supervised
from trainers.trainer import trainer

KINDS = ["fine", "raise", "exit", "hang", "nan", "disk", "memory", "objects", "tight", "fine", "kill"]
"""What happens, by seed modulo their number (``kill`` only where the search outlives it)."""


def kind_of(seed: int, kinds: int) -> str:
    return KINDS[seed % kinds]


@trainer("troubled")
@dataclass(frozen=True)
class Troubled(Supervised):
    """Trains, unless its seed says trouble.

    Args:
        kinds: how many of `KINDS` occur; 0 for none.
    """

    kinds: int = 0

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        kind = kind_of(seed, self.kinds) if self.kinds else "fine"
        if kind == "raise":
            raise ZeroDivisionError(f"seed {seed}")
        if kind == "exit":
            sys.exit(f"seed {seed}")
        if kind == "hang":
            time.sleep(1000)
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "disk":
            with open("/dev/full", "wb") as full:
                full.write(bytes(100_000))
        if kind == "memory" or (kind == "tight" and self.micro_batches == 1):
            torch.empty(3_000_000_000, dtype=torch.uint8).fill_(1)
        if kind == "objects":
            hoard: list[Any] = [bytes(10_000_000) for _ in range(300)]
            del hoard
        super().train(model, data, seed=seed, report=report, checkpoints=checkpoints)
        if kind == "nan":
            with torch.no_grad():
                next(model.parameters()).fill_(torch.nan)

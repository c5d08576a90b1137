"""Training of a classifier on labelled images: AdamW, one learning-rate schedule, cross-entropy.

Frozen parameters are not handed to the optimiser. Vectors (biases, norms) are not decayed. Network and batches are
channels last, which on a CPU measures 0.68 of the time of the contiguous layout for convolutional networks.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from trainers.augment import random_flip, random_shift
from trainers.data import TrainingData

START, END = 1 / 25, 1e-5
"""Learning rate of the first step of one-cycle and of the last step, as shares of the peak (Smith & Topin 2019)."""


@dataclass(frozen=True)
class Epoch:
    """Report of one finished epoch: its number from 1, of how many, mean training loss, seconds it took."""

    number: int
    total: int
    loss: float
    seconds: float


class DivergedError(FloatingPointError):
    """The training loss is no longer finite."""


class Trainer(Protocol):
    """A way to train; implementations are frozen dataclasses whose fields are the settings."""

    @property
    def epochs(self) -> int:
        """Passes over the training set."""
        ...

    def train(self, model: nn.Module, data: TrainingData, *, seed: int, report: Callable[[Epoch], None]) -> None:
        """Trains ``model`` in place on its device, from pixels in [0, 1] to logits; ``report`` is called every epoch.

        What ``report`` raises ends the training and is passed on.

        Raises:
            DivergedError: if the loss is not finite.
        """
        ...


TRAINERS: dict[str, type[Trainer]] = {}
T = TypeVar("T", bound=type[Trainer])


def trainer(name: str) -> Callable[[T], T]:
    """Class decorator that registers a trainer.

    Raises:
        ValueError: if the name is taken.
    """

    def add(cls: T) -> T:
        if name in TRAINERS:
            raise ValueError(f"trainer {name!r} is already registered by {TRAINERS[name]!r}. Choose another name.")
        TRAINERS[name] = cls
        return cls

    return add


@trainer("supervised")
@dataclass(frozen=True)
class Supervised:
    """Cross-entropy on labels.

    Args:
        epochs: passes over the training set.
        batch_size: images in a step; the batches of an epoch differ by at most one image.
        micro_batches: parts into which each batch is divided to save memory; their gradients are added up, but
            normalisation sees one part at a time.
        learning_rate: its peak.
        weight_decay: decoupled (AdamW), of matrices and filters only.
        schedule: ``one_cycle``: half a cosine up, half a cosine down; ``cosine``: linear up, half a cosine down.
        warmup: share of the steps before the peak.
        label_smoothing: share of the target spread over all classes.
        clip_norm: bound on the L2 norm of the gradient; 0 for none.
        flip: mirror images at random; by default as suits the data.
        shift: move images by up to so many pixels at random; by default as suits the data.
    """

    epochs: int = 10
    batch_size: int = 64
    micro_batches: int = 1
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    schedule: Literal["one_cycle", "cosine"] = "one_cycle"
    warmup: float = 0.2
    label_smoothing: float = 0.0
    clip_norm: float = 1.0
    flip: bool | None = None
    shift: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}.")
        for name in ("weight_decay", "clip_norm", "shift"):
            if not 0 <= (getattr(self, name) or 0) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        for name in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}.")

    def train(self, model: nn.Module, data: TrainingData, *, seed: int, report: Callable[[Epoch], None]) -> None:
        parameters = [p for p in model.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError("there is no parameter to train: all are frozen. Unfreeze some.")
        device = parameters[0].device
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        generator = torch.Generator().manual_seed(seed)
        images = torch.tensor(data.train.images, device=device)
        labels = torch.tensor(data.train.labels, device=device)
        flip = data.flip if self.flip is None else self.flip
        shift = data.shift if self.shift is None else self.shift

        steps = math.ceil(len(labels) / self.batch_size)
        optimizer = self._optimizer(parameters)
        schedule = self._schedule(optimizer, steps * self.epochs)
        for epoch in range(1, self.epochs + 1):
            started, total = time.perf_counter(), torch.zeros((), device=device)
            model.train()
            order = torch.randperm(len(labels), generator=generator).to(device)
            for batch in torch.tensor_split(order, steps):
                x = images[batch]
                if flip:
                    x = random_flip(x, generator)
                if shift:
                    x = random_shift(x, shift, generator)
                x = x.float().div_(data.train.levels).contiguous(memory_format=torch.channels_last)
                optimizer.zero_grad(set_to_none=True)
                parts = min(self.micro_batches, len(batch))
                for images_, labels_ in zip(x.tensor_split(parts), labels[batch].tensor_split(parts), strict=True):
                    loss = F.cross_entropy(model(images_), labels_, label_smoothing=self.label_smoothing)
                    loss = loss * (len(labels_) / len(batch)) if parts > 1 else loss
                    loss.backward()  # type: ignore[no-untyped-call]
                    total += loss.detach() * len(batch)
                if self.clip_norm:
                    nn.utils.clip_grad_norm_(parameters, self.clip_norm)
                optimizer.step()
                schedule.step()
            mean = float(total) / len(labels)
            if not math.isfinite(mean):
                raise DivergedError(f"the training loss was {mean} in epoch {epoch} of {self.epochs}.")
            report(Epoch(epoch, self.epochs, mean, time.perf_counter() - started))
        model.eval()

    def _optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=self.learning_rate)

    def _schedule(self, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        """Rate by step. Ours, because PyTorch's OneCycleLR divides by zero for some lengths, 4 steps among them."""
        warm = round(self.warmup * steps)

        def half_cosine(share: float) -> float:
            return 0.5 * (1 + math.cos(math.pi * share))

        def factor(step: int) -> float:
            if step < warm:
                rising = (step + 1) / (warm + 1)
                return 1 - (1 - START) * half_cosine(rising) if self.schedule == "one_cycle" else rising
            return END + (1 - END) * half_cosine((step - warm) / max(1, steps - warm))

        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

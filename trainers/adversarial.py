"""Training on images that an attack has changed: the network sees the worst of a ball around each image.

Attacks belong to those who measure; whoever makes a trainer hands in the function that makes them (`Attacks`).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self, cast

import torch
from torch import Generator, Tensor, nn

from trainers.augment import Mixed
from trainers.dataset import Dataset, check_idle
from trainers.supervised import Supervised, Training
from trainers.trainer import trainer


class Adversary(Protocol):
    """An attack, as far as a training needs it."""

    @property
    def epsilon(self) -> float:
        """Radius of the ball, in pixel units 0..1."""
        ...

    def check_classes(self, number: int) -> None:
        """Raises ValueError, with what to use instead, if it is not defined for so many classes."""
        ...

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        """(B, C, H, W) images within the ball on which the model errs; ``start``: change from which it starts."""
        ...

    def random_start(self, images: Tensor, generator: Generator) -> Tensor:
        """(B, C, H, W) a random point of the ball for each image."""
        ...

    def climbed(self, change: Tensor, gradient: Tensor, step: float) -> Tensor:
        """``change`` after a step of length ``step`` up the gradient, within the ball."""
        ...

    def redrawn(self, generator: Generator) -> Self:
        """The attack with other random numbers, if it uses any of its own."""
        ...


Attacks = Callable[[str, float | str | None, int | None, Mapping[str, Any]], Adversary]
"""Makes an attack from its name, radius, steps and further settings, or raises ValueError."""


@trainer("adversarial")
@dataclass(frozen=True)
class Adversarial(Supervised):
    """Cross-entropy on images that were attacked first, the network in eval mode.

    Of mixed images the attack takes the class that has the larger share.

    Args:
        attack: name of the attack, as of the objective ``robust_accuracy``.
        epsilon: radius in pixel units 0..1, as a number or a quotient such as ``"8/255"``; unset: what suits the data.
        steps: gradient steps; unset: what the attack takes.
        options: further settings of the attack, by name, such as ``norm`` or ``loss``.
        share: of each batch that is attacked; the rest is trained on as it is.
        random_start: start at a random point of the ball, which also a single step needs to make a network robust.
        free: steps of the optimiser on each batch, from one gradient of weights and images each, in place of an attack;
            0 for none (Shafahi et al. 2019, arXiv:1904.12843; each batch starts anew). An epoch takes that many times
            as long.
        attacks: makes the attack.
    """

    attack: str = "pgd"
    epsilon: float | str | None = None
    steps: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    random_start: bool = True
    free: int = 0
    attacks: Attacks = field(kw_only=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}.")
        if not 0 <= self.free <= 1000:
            raise ValueError(f"free must be from 0 to 1,000 steps on each batch, got {self.free}.")
        check_idle(self, "attack", not self.free, "free = 0")
        check_idle(self, "steps", not self.free, "free = 0")
        if self.free and self.options.keys() - {"norm"}:
            raise ValueError(f"options with free = {self.free} can hold norm only, got {self.options}.")
        _ = self.adversary  # refuses what the attack does not take

    @cached_property
    def adversary(self) -> Adversary:
        """The attack with its settings."""
        return self.attacks(self.attack, self.epsilon, self.steps, self.options)

    def suited(self, data: Dataset) -> Self:
        if not data.poses().labelled:
            raise ValueError(f"kind = 'adversarial' is for classification, got {data.name}. Use kind = 'supervised'.")
        self.adversary.check_classes(len(data.classes()))
        return super().suited(data) if self.epsilon is not None else replace(self, epsilon=data.epsilon)

    def settings(self) -> dict[str, Any]:
        return {name: value for name, value in super().settings().items() if name != "attacks"}

    def learn(self, training: Training, batch: Mixed, targets: Tensor) -> None:
        adversary = self.adversary.redrawn(training.generator)
        images = batch.images[: math.ceil(self.share * len(targets))]
        start = torch.zeros_like(images)
        if self.random_start:
            start = start.copy_(adversary.random_start(images, training.generator))  # in the layout of the images
        if self.free:
            self._replay(training, batch, targets, start)
            return
        worst = torch.where(torch.as_tensor(batch.share >= 0.5, device=targets.device), targets, targets[batch.partner])
        parts = min(self.micro_batches, len(images))
        split = zip(*(x.tensor_split(parts) for x in (images, worst[: len(images)], start)), strict=True)

        def perturb(*part: Tensor) -> Tensor:
            with training.precision():
                return adversary.perturb(cast(nn.Module, training.run), *part)

        graphs = training.graphs if adversary is self.adversary else None  # random numbers of its own stay as captured
        with _as_measured(training.model):
            attacked = [
                graphs.run("attack", perturb, None, *part).clone() if graphs else perturb(*part) for part in split
            ]
        training.update(_with(batch, torch.cat(attacked)), targets)

    def _replay(self, training: Training, batch: Mixed, targets: Tensor, change: Tensor) -> None:
        """Steps of weights and images together; the loss that counts is that of the last one."""
        images, before = batch.images[: len(change)], training.total.clone()
        for _ in range(self.free):
            training.total.copy_(before)
            changed = _with(batch, (images + change).clamp(0, 1))
            changed.images.requires_grad_(True)
            training.update(changed, targets)
            assert changed.images.grad is not None
            change = self.adversary.climbed(change, changed.images.grad[: len(change)], self.adversary.epsilon)


def _with(batch: Mixed, attacked: Tensor) -> Mixed:
    """The batch with its first images replaced by those attacked."""
    images = torch.cat([attacked, batch.images[len(attacked) :]])
    return replace(batch, images=images.contiguous(memory_format=torch.channels_last))


@contextmanager
def _as_measured(model: nn.Module) -> Iterator[None]:
    """The model as attacks expect it, in eval mode and without gradients of its weights; then in training again."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        model.train()

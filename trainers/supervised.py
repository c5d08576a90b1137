"""Training on labelled images, or as the task of the data says: one learning-rate schedule, augmentation in batches.

Frozen parameters are not handed to the optimiser. Vectors (biases, norms) are not decayed. Network and batches are
channels last and AdamW runs fused: on a CPU 0.68 of the time of the contiguous layout for convolutional networks, 0.4
of the time of the default optimiser step. On a GPU nothing waits inside an epoch, and a step is captured once and
replayed. All randomness comes from the seed; a training that was stopped at any step continues from its checkpoint to
the same weights, bit for bit on one thread.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.augment import Augmentation, Mixed, beside
from trainers.checkpoints import Checkpoints
from trainers.dataset import Dataset, check_idle, check_most
from trainers.graphs import Graphs
from trainers.optimization import (
    Lion,
    Schedule,
    average,
    climb,
    decayed,
    descend,
    learning_rate,
    rising,
    unchanged_statistics,
)
from trainers.splits import TrainingData
from trainers.trainer import DivergedError, Epoch, Trainer, trainer

RESIDENT_BYTES = 4_000_000_000
"""Largest training set that is held in the memory of the device; larger ones are fetched batch by batch, ahead."""
OF_PICTURES = ("flip", "shift", "crop", "erase", "operations", "stretch", "level", "mask_mel", "mask_frames", "cutmix")
"""Settings that change pictures, and would make something else of a series."""


@trainer("supervised")
@dataclass(frozen=True)
class Supervised(Augmentation, Trainer):
    """Cross-entropy on labels.

    Args:
        epochs: passes over the training set.
        batch_size: images in a step; the batches of an epoch differ by at most one image.
        micro_batches: parts into which each batch is divided to save memory; their gradients are added up, but
            normalisation sees one part at a time.
        optimizer: ``adamw``, ``sgd`` with Nesterov momentum, or ``lion`` (2302.06675), published with ``beta2`` 0.99, a
            learning rate 3 to 10 times smaller than AdamW's and a decay as many times larger.
        learning_rate: its peak.
        weight_decay: of matrices and filters only; decoupled with AdamW and Lion.
        beta1, beta2: decay of AdamW's and Lion's averages; ``beta1`` is the momentum of SGD.
        stability: AdamW's addend to the denominator.
        schedule: ``one_cycle``: half a cosine up, half a cosine down; ``cosine``: linear up, half a cosine down;
            ``triangle``: linear up, linear down to 5 % and then to 0; ``exponential``: constant during the warm-up,
            then times 0.85 every epoch; ``constant``: linear up.
        warmup: share of the steps before the peak.
        label_smoothing: share of the target spread over all classes.
        clip_norm: bound on the L2 norm of the gradient; 0 for none.
        average: decay of a moving average of the weights, for example 0.999, which the network ends with; 0 for none.
        average_end: decay at the end, to which it rises by half a cosine (0.999999 in 2312.11954); 0: as at the start.
        sharpness: radius of sharpness-aware steps (SAM), twice the time; 0 for none. Frozen parameters have no part in
            it, so it is not comparable between frozen and full networks.
        adaptive_sharpness: measure the radius relative to the weights (ASAM; about ten times the radius).
        bce: mean binary cross-entropy of each class for itself in place of cross-entropy (AST on Speech Commands).
        decoupled: weight of the decoupled term of mixed pairs (arXiv:2203.10761, 0.1 there); 0 for none.
        precision: of the training, never of a measurement; ``auto`` is bf16 on a GPU and fp32 on a CPU.
        compile: compile the network first; it takes minutes and pays in long trainings only.
        graphs: on a GPU, capture a step once and replay it; small networks are bound by the launches of their kernels.
    """

    batch_size: int = 64
    optimizer: Literal["adamw", "sgd", "lion"] = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    stability: float = 1e-8
    schedule: Schedule = "one_cycle"
    warmup: float = 0.2
    label_smoothing: float = 0.0
    clip_norm: float = 1.0
    average: float = 0.0
    average_end: float = 0.0
    sharpness: float = 0.0
    adaptive_sharpness: bool = False
    bce: bool = False
    decoupled: float = 0.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    graphs: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epochs", "batch_size", "micro_batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "stability"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        for name in ("weight_decay", "clip_norm", "sharpness", "decoupled"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        for name in ("warmup", "label_smoothing", "beta1", "beta2", "average", "average_end"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}.")
        if self.decoupled and self.bce:
            raise ValueError("decoupled does not go with bce. Leave one of them out.")
        if self.decoupled and self.label_smoothing:
            raise ValueError("decoupled does not go with label_smoothing. Set one of them to 0.")
        check_most(self, epochs=10**9, batch_size=10**9, micro_batches=10**9)
        check_idle(self, "decoupled", self.mixup or self.cutmix, "mixup or cutmix")
        check_idle(self, "adaptive_sharpness", self.sharpness, "sharpness")
        check_idle(self, "average_end", self.average, "average")
        if 0 < self.average_end < self.average:
            raise ValueError(f"average_end must be at least average = {self.average}, got {self.average_end}.")
        check_idle(self, "beta2", self.optimizer != "sgd", "optimizer = 'adamw' or 'lion'")
        check_idle(self, "stability", self.optimizer == "adamw", "optimizer = 'adamw'")

    @property
    def images_at_a_time(self) -> int:
        return math.ceil(self.batch_size / self.micro_batches)

    def suited(self, data: Dataset) -> Self:
        for name in ("label_smoothing", "decoupled", "bce"):
            check_idle(self, name, data.poses().labelled, "classes to learn")
        check_idle(self, "mix_sounds", data.decibels, "spectrograms of sounds")
        for name in OF_PICTURES:
            check_idle(self, name, data.poses().pictures, "pictures to train on")
        return self

    def halved(self) -> Self:
        return replace(self, micro_batches=2 * self.micro_batches)

    def learn(self, training: "Training", batch: Mixed, targets: Tensor) -> None:
        """What is done with one batch; trainers that change its images, or take several steps, override it."""
        training.update(batch, targets)

    def companion(self, training: "Training") -> nn.Module | None:
        """What learns beside the model and is gone after the training; trainers that have such a thing override it."""
        return None

    def loss(
        self, training: "Training", images: Tensor, first: Tensor, second: Tensor, share: Tensor | None = None
    ) -> Tensor:
        """Mean loss of a part of a batch; trainers whose loss is another one override it.

        Args:
            first, second: labels of the images and of their partners.
            share: of the first labels, () or (B,); None for images that are not mixed.
        """
        task, smoothing = training.data.task, self.label_smoothing
        with training.precision():
            logits = training.run(images)
        logits = logits.float()
        of = binary_loss if self.bce else task.loss
        losses = of(logits, first, smoothing=smoothing)
        if share is not None:
            losses = share * losses + (1 - share) * of(logits, second, smoothing=smoothing)
            if self.decoupled:
                losses = losses + self.decoupled * decoupled_loss(logits, first, second, share)
        return losses.mean()

    def train(
        self,
        model: nn.Module,
        data: TrainingData,
        *,
        seed: int,
        report: Callable[[Epoch], None],
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """See `Trainer.train`; with ``checkpoints`` it continues from the last one, and writes one now and then.

        Raises:
            KeyboardInterrupt: if ``checkpoints.stop`` is set, once the training is saved.
        """
        devices = range(torch.cuda.device_count())
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)  # for what modules draw themselves, such as dropout
            training = Training(self, model, data, seed)
            if checkpoints is not None and (saved := checkpoints.load()) is not None:
                training.restore(saved)
            while training.epoch < self.epochs:
                for _ in training.steps():
                    if checkpoints is not None and checkpoints.is_due():
                        checkpoints.save(training.step, training.state())
                        if checkpoints.stop:
                            raise KeyboardInterrupt
                report(training.end_epoch())
                if checkpoints is not None and training.epoch == checkpoints.until:
                    checkpoints.save(training.step, training.state())
                    break
            training.end()


class Training:
    """The moving parts of one training and its position."""

    def __init__(self, settings: Supervised, model: nn.Module, data: TrainingData, seed: int) -> None:
        self.settings, self.model, self.data = settings, model, data
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError("there is no parameter to train: all are frozen. Unfreeze some.")
        self.device = self.parameters[0].device
        companion = settings.companion(self)
        self.companion = nn.Module() if companion is None else companion.to(self.device)
        """What learns beside the model."""
        self.parameters += self.companion.parameters()
        on_gpu = self.device.type == "cuda"
        self.graphs = Graphs() if on_gpu and settings.graphs else None
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator = torch.Generator().manual_seed(seed)
        self.steps_per_epoch = math.ceil(len(data.train) / settings.batch_size)
        steps = self.steps_per_epoch * settings.epochs
        self.rate = learning_rate(settings.schedule, settings.warmup, steps, self.steps_per_epoch)
        self.rate_now = torch.zeros((), device=self.device) if self.graphs else None
        self.optimizer = self._optimizer()
        decay = rising(settings.average, settings.average_end or settings.average, steps)
        self.averaged = average(model, decay) if settings.average else None
        self.run: Callable[[Tensor], Tensor] = torch.compile(model) if settings.compile else model
        self.augment = settings.augmenter(data, self.device)
        self.epoch = self.step = 0
        self.total = torch.zeros((), device=self.device)
        self.started = time.perf_counter()
        self.epoch_start = self.generator.get_state()
        self.images, self.labels = self._resident(), torch.tensor(data.train.labels, device=self.device)

    def _optimizer(self) -> torch.optim.Optimizer:
        s = self.settings
        groups = decayed(self.parameters, s.weight_decay)
        captured = self.rate_now is not None
        rate = s.learning_rate if self.rate_now is None else self.rate_now
        if s.optimizer == "sgd":
            fused = captured or None
            return torch.optim.SGD(groups, lr=rate, momentum=s.beta1, nesterov=s.beta1 > 0, fused=fused)
        if s.optimizer == "lion":
            return Lion(groups, rate, (s.beta1, s.beta2))
        return torch.optim.AdamW(groups, rate, (s.beta1, s.beta2), s.stability, fused=True, capturable=captured)

    def _resident(self) -> Tensor | None:
        images = self.data.train.images
        if isinstance(images, np.ndarray) and images.nbytes <= RESIDENT_BYTES:
            return torch.tensor(images, device=self.device)
        return None

    def steps(self) -> Iterator[None]:
        """The remaining steps of this epoch; each is made before it is yielded."""
        self.model.train()
        done = self.step - self.epoch * self.steps_per_epoch
        here = self.generator.get_state()
        self.generator.set_state(self.epoch_start)
        order = torch.randperm(len(self.labels), generator=self.generator)
        if done:
            self.generator.set_state(here)
        for x, labels in self._batches(torch.tensor_split(order, self.steps_per_epoch)[done:]):
            mix = self.epoch < self.settings.mix_until * self.settings.epochs
            batch = self.augment(x, self.generator, mix=mix)
            images, targets = self.data.task.examples(batch.images, labels, self.generator)
            batch = replace(batch, images=images) if self.data.task.labelled else Mixed.alone(images)
            self.settings.learn(self, batch, targets)
            self.step += 1
            yield

    def _batches(self, parts: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images as they are stored, and labels; images that are not on the device are fetched one batch ahead."""
        if self.images is not None:
            for part in parts:
                batch = beside(self.labels, part)
                yield self.images[batch], self.labels[batch]
            return

        def fetch(part: Tensor) -> Tensor:
            return beside(self.labels, torch.from_numpy(np.ascontiguousarray(self.data.train.images[part.numpy()])))

        with ThreadPoolExecutor(1) as ahead:
            fetched = ahead.submit(fetch, parts[0]) if parts else None
            for part, following in zip(parts, [*parts[1:], None], strict=True):
                assert fetched is not None
                x = fetched.result()
                fetched = ahead.submit(fetch, following) if following is not None else None
                yield x, self.labels[beside(self.labels, part)]

    def update(self, batch: Mixed, labels: Tensor) -> None:
        """One step of the optimiser; images that require a gradient get theirs."""
        rate = self.settings.learning_rate * self.rate(self.step)
        inputs: tuple[Tensor, ...] = (batch.images, labels)
        if isinstance(batch.share, Tensor):
            inputs += labels[batch.partner], batch.share
        elif batch.share < 1:
            inputs += labels[batch.partner], torch.full((), batch.share, device=self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = rate if self.rate_now is None else self.rate_now
        if self.rate_now is not None:
            self.rate_now.fill_(rate)
        if self.graphs is None or batch.images.requires_grad:  # a captured step takes a copy of the images
            self._without_gradients()
            self._update(*inputs)
        else:
            self.graphs.run("update", self._update, self._without_gradients, *inputs)
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def _without_gradients(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    def _update(self, *inputs: Tensor) -> None:
        """One step from weights without gradients to new weights; see `_backward` for ``inputs``."""
        s = self.settings
        self._backward(*inputs, count=True)
        if s.sharpness:
            steps = climb(self.parameters, s.sharpness, s.adaptive_sharpness)
            self._without_gradients()
            with unchanged_statistics(self.model):
                self._backward(*inputs, count=False)
            descend(steps)
        if s.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, s.clip_norm)
        self.optimizer.step()

    def _backward(
        self, images: Tensor, labels: Tensor, others: Tensor | None = None, share: Tensor | None = None, *, count: bool
    ) -> None:
        """Adds the gradients of the mean loss up, part by part.

        Args:
            others, share: labels of the partners of mixed images, and the share of the images themselves, () or (B,).
            count: towards the loss of the epoch.
        """
        number, parts = len(labels), min(self.settings.micro_batches, len(labels))
        split = [x.tensor_split(parts) for x in (images, labels, labels if others is None else others)]
        each = [share] * parts if share is None or not share.ndim else share.tensor_split(parts)
        for x, first, second, own in zip(*split, each, strict=True):
            loss = self.settings.loss(self, x, first, second, own)
            if count:
                self.total += loss.detach() * len(first)
            (loss * (len(first) / number) if parts > 1 else loss).backward()  # type: ignore[no-untyped-call]

    def precision(self) -> torch.autocast | nullcontext[None]:
        """Context of the forward passes."""
        wanted = self.settings.precision
        if wanted == "bf16" or (wanted == "auto" and self.device.type == "cuda"):
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def end_epoch(self) -> Epoch:
        """The report of the epoch whose last step was made.

        Raises:
            DivergedError: if the loss is not finite.
        """
        mean, seconds = float(self.total) / len(self.labels), time.perf_counter() - self.started
        self.epoch += 1
        if not math.isfinite(mean):
            raise DivergedError(f"the training loss was {mean} in epoch {self.epoch} of {self.settings.epochs}.")
        self.total.zero_()
        self.epoch_start = self.generator.get_state()
        self.started = time.perf_counter()
        rate = self.settings.learning_rate * self.rate(self.step - 1)
        graphs = None if self.graphs is None else self.graphs.fate
        return Epoch(self.epoch, self.settings.epochs, mean, seconds, rate, graphs=graphs)

    def end(self) -> None:
        """Replaces the weights by their average, if there is one, and leaves the model in eval mode."""
        if self.averaged is not None:
            self.model.load_state_dict(self.averaged.module.state_dict())
        self.model.eval()

    def state(self) -> dict[str, Tensor]:
        """All tensors of the training and its position."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"companion.{name}": tensor for name, tensor in self.companion.state_dict().items()}
        if self.averaged is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": t for name, t in slots.items() if isinstance(t, Tensor)}
        tensors |= {"random.training": self.generator.get_state(), "random.epoch": self.epoch_start}
        tensors["random.modules"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.device"] = torch.cuda.get_rng_state(self.device)
        tensors["loss"] = self.total
        tensors["position"] = torch.tensor([self.epoch, self.step])
        return {name: tensor.clone() for name, tensor in tensors.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continues the training where `state` was taken."""

        def under(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}

        self.model.load_state_dict(under("model."))
        self.companion.load_state_dict(under("companion."))
        if self.averaged is not None:
            self.averaged.load_state_dict(under("average."))
        slots: dict[int, dict[str, Tensor]] = {}
        owners = [p for group in self.optimizer.param_groups for p in group["params"]]
        for name, tensor in under("optimizer.").items():
            index, _, slot = name.partition(".")
            owner = owners[int(index)]
            if tensor.shape == owner.shape:  # in the memory layout of its parameter: the fused step does not check it
                tensor = torch.empty_like(owner).copy_(tensor)
            slots.setdefault(int(index), {})[slot] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.generator.set_state(tensors["random.training"])
        self.epoch_start = tensors["random.epoch"]
        torch.set_rng_state(tensors["random.modules"])
        if "random.device" in tensors:
            torch.cuda.set_rng_state(tensors["random.device"], self.device)
        self.total.copy_(tensors["loss"])
        self.epoch, self.step = tensors["position"].tolist()


def binary_loss(logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """(B,) mean binary cross-entropies of each of K classes for itself, from logits (B, K) and labels (B,)."""
    classes = logits.shape[1]
    targets = (1 - smoothing) * F.one_hot(labels, classes).to(logits.dtype) + smoothing / classes
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)


def decoupled_loss(logits: Tensor, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
    """(B,) decoupled term of mixed pairs: each class against all others but its partner.

    Pairs of one class add nothing, nor do images that are not mixed.

    Args:
        logits: (B, K).
        first, second: (B,) classes, of shares ``share`` and 1 - ``share``.

    Source: decoupled mixup, Liu et al. 2022, arXiv:2203.10761, with w(t) = t.
    """
    differ = (first != second) & (share < 1)

    def against(mine: Tensor, partner: Tensor) -> Tensor:
        rest = logits.scatter(1, partner[:, None], -math.inf)
        return torch.logsumexp(rest, 1) - logits.gather(1, mine[:, None])[:, 0]

    term = share * against(first, second) + (1 - share) * against(second, first)
    return torch.where(differ, term, 0.0)

"""How weights move: optimiser, learning rate by step, sharpness-aware steps, a moving average of the weights."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

START, END = 1 / 25, 1e-5
"""Learning rates of one-cycle at the first and of every schedule at the last step, as shares of the peak (Smith & Topin
2019)."""

Schedule = Literal["one_cycle", "cosine", "triangle", "exponential", "constant"]


def decayed(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Groups of parameters: matrices and filters decay, vectors (norms, biases, scales) do not."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class Lion(torch.optim.Optimizer):
    """Steps of one size along the sign of a momentum, with decoupled weight decay (2302.06675).

    ``p <- (1 - lr d) p - lr sign(b1 m + (1 - b1) g)``, then ``m <- b2 m + (1 - b2) g``. Half of Adam's memory. The
    learning rate may be a tensor, so that a captured step reads it anew.
    """

    def __init__(
        self, groups: list[dict[str, object]], lr: float | Tensor, betas: tuple[float, float], weight_decay: float = 0.0
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; parameters without a gradient stay."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            for p in parameters:
                if not self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
            gradients, momenta = [p.grad for p in parameters], [self.state[p]["momentum"] for p in parameters]
            (beta1, beta2), rate = group["betas"], group["lr"]
            moves = torch._foreach_lerp(momenta, gradients, 1 - beta1)
            torch._foreach_sign_(moves)
            torch._foreach_mul_(moves, rate)
            torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
            torch._foreach_sub_(parameters, moves)
            torch._foreach_lerp_(momenta, gradients, 1 - beta2)


def learning_rate(schedule: Schedule, warmup: float, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    """Step -> share of the peak. Ours, because PyTorch's OneCycleLR divides by zero for some lengths, 4 among them."""
    warm = round(warmup * steps)

    def half_cosine(share: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * share))

    def factor(step: int) -> float:
        if step < warm:
            rising = (step + 1) / (warm + 1)
            if schedule == "one_cycle":
                return 1 - (1 - START) * half_cosine(rising)
            return 1.0 if schedule == "exponential" else rising
        done = (step - warm) / max(1, steps - warm)
        if schedule == "constant":
            return 1.0
        if schedule == "exponential":
            return float(0.85 ** ((step - warm) // steps_per_epoch))
        if schedule == "triangle":
            return max(END, 1 - 0.95 * done * 1.5 if done < 2 / 3 else 0.15 * (1 - done))
        return END + (1 - END) * half_cosine(done)

    return factor


def rising(first: float, last: float, steps: int) -> Callable[[int], float]:
    """Step -> a value that rises from ``first`` to ``last`` over ``steps`` by half a cosine."""
    return lambda step: last - (last - first) * 0.5 * (1 + math.cos(math.pi * min(1, step / steps)))


def average(model: nn.Module, decay: Callable[[int], float]) -> AveragedModel:
    """A moving average of the model's weights and buffers; ``update_parameters`` takes one step.

    Early steps weigh more: the decay is at most (1 + t) / (10 + t) at step t.
    """

    def move(mean: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        if not mean.is_floating_point():
            return now
        return torch.lerp(now, mean, min(decay(int(count)), (1 + int(count)) / (10 + int(count))))

    return AveragedModel(model, avg_fn=move, use_buffers=True)


@cache
def warm_up() -> None:
    """Imports what the first step of a training imports late (2 s): interrupted halfway, an import leaves debris.

    Callers that interrupt trainings by a signal call it first.
    """
    import scipy.special  # for mixup and cutmix

    weight = nn.Parameter(torch.ones(1, device="cpu", dtype=torch.float32))
    optimizer = torch.optim.AdamW([weight], fused=True)
    with torch.enable_grad():
        (weight * scipy.special.betaincinv(1.0, 1.0, 0.5)).sum().backward()
    optimizer.step()


@torch.no_grad()
def climb(parameters: list[nn.Parameter], radius: float, adaptive: bool) -> list[tuple[nn.Parameter, Tensor]]:
    """Moves the weights along the gradient to the top of a ball of ``radius``; returns the steps, to be undone.

    Source: SAM, Foret et al. 2021, arXiv:2010.01412; adaptive: Kwon et al. 2021, arXiv:2102.11600.
    """
    scaled = [(p, p.grad * p.abs() if adaptive else p.grad) for p in parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(direction) for _, direction in scaled]))
    steps = []
    for p, direction in scaled:
        step = direction * (radius / (norm + 1e-12)) * (p.abs() if adaptive else 1)
        p.add_(step)
        steps.append((p, step))
    return steps


@torch.no_grad()
def descend(steps: list[tuple[nn.Parameter, Tensor]]) -> None:
    """Undoes the steps of `climb`."""
    for p, step in steps:
        p.sub_(step)


@contextmanager
def unchanged_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norms see a batch, but keep their running statistics: for the second pass of a sharpness-aware step."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

"""Images that fool other networks, made once for all candidates: momentum iterative FGSM (Dong et al. 2018) on a pool.

The candidate is only evaluated on them, one forward pass. Augmented copies of the surrogates, as of ViT-EnsembleAttack
(Wen et al. 2025, arXiv:2508.12384), let a small pool stand for more networks; their strengths are drawn, not tuned.
"""

import copy
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from objectives.attacks.attack import Attack, Norm, attack
from objectives.objective import Surrogate

MOMENTUM = 1.0
DROP, SCALE, MIX = (0.0, 0.5), (0.5, 1.5), (0.0, 0.5)
"""Ranges of the strengths of an augmentation (2508.12384)."""
GROUPS = 8
"""Groups of channels that are dropped together, as the heads of an attention layer are."""
BATCH = 500
"""Images that are changed together."""
KEPT = 8
"""Sets of images that a process keeps."""


@attack("transfer")
@dataclass(frozen=True)
class Transfer(Attack):
    """Steps up the cross-entropy of the surrogates' mean logits along the sum of all gradients, each of mean size 1.

    Args:
        steps: number of gradient steps.
        augmented: copies of every surrogate with token mixers that join the pool, each distorted by strengths of its
            own: groups of channels of what its token mixers return are dropped and the rest scaled, hidden channels
            are mixed.
        seed: of these strengths, and of what is dropped and mixed.
    """

    steps: int = 10
    augmented: int | None = None
    seed: int | None = None

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    uses_gradients: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augmented is not None and not 1 <= self.augmented <= 100:
            raise ValueError(f"augmented must be from 1 to 100 copies, got {self.augmented}. Leave it out for none.")
        if self.seed is not None and self.augmented is None:
            raise ValueError(f"seed = {self.seed} does nothing without augmented. Leave it out.")

    @property
    def step_size(self) -> float:
        """Length of a step in the norm."""
        return 2.5 * self.epsilon / self.steps

    @property
    def strengths(self) -> list["Strength"]:
        """Those of the augmented copies."""
        drawn = torch.rand(self.augmented or 0, 3, generator=Generator().manual_seed(self.seed or 0)).tolist()
        ranges = (DROP, SCALE, MIX)
        return [
            Strength(*(low + u * (high - low) for u, (low, high) in zip(row, ranges, strict=True))) for row in drawn
        ]

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        change = torch.zeros_like(images) if start is None else (images + start).clamp(0, 1) - images
        momentum = torch.zeros_like(images)
        for _ in range(self.steps):
            change.requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.climbs(model(images + change), labels).sum(), change)
            momentum = MOMENTUM * momentum + gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
            change = self.climbed(change.detach(), momentum, self.step_size)
            change = (images + change).clamp(0, 1) - images
        return (images + change).detach()

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {"epsilon": self.epsilon, "norm": self.norm, "steps": self.steps}
        found |= {"step_size": self.step_size, "momentum": MOMENTUM}
        if self.augmented is not None:
            found |= {"augmented": self.augmented, "seed": self.seed or 0, "groups": GROUPS}
            found["strengths"] = [[round(x, 6) for x in (s.drop, s.scale, s.mix)] for s in self.strengths]
        return found

    def pool(self, surrogates: Sequence[Surrogate]) -> "Pool":
        """The surrogates and their augmented copies as one network."""
        members: list[nn.Module] = []
        for number, surrogate in enumerate(surrogates):
            network = surrogate.network().eval()
            members.append(network)
            for place, strength in enumerate(self.strengths):
                augmented = Augmented(network, strength, seed=((self.seed or 0) * 1000 + number) * 100 + place)
                members += [augmented] if augmented.is_changed else []
        return Pool(members)


@dataclass(frozen=True)
class Strength:
    """How much an augmented network differs.

    Args:
        drop: probability with which a group of channels of a token mixer is 0.
        scale: factor of the others.
        mix: share of another channel in every hidden channel of a channel mixer.
    """

    drop: float
    scale: float
    mix: float


class Pool(nn.Module):
    """Mean of the logits of several networks, in eval mode: ``(B, C, H, W)`` in [0, 1] -> ``(B, K)``."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members]).mean(0)

    def restart(self) -> None:
        """Augmented members draw the same numbers again."""
        for member in self.members:
            if isinstance(member, Augmented):
                member.generator.manual_seed(member.seed)


class Augmented(nn.Module):
    """A copy of a network whose token mixers drop channels and whose channel mixers mix hidden ones.

    A token mixer is what a block has as ``token``, a channel mixer what it has as ``channel``; the hidden channels are
    the inputs of the last layer of the latter.
    """

    def __init__(self, network: nn.Module, strength: Strength, *, seed: int) -> None:
        super().__init__()
        self.network, self.strength, self.seed = copy.deepcopy(network), strength, seed
        self.generator = Generator().manual_seed(seed)
        self.is_changed = False
        for token, last in list(_mixers(self.network)):
            token.register_forward_hook(self._drop)
            if last is not None:
                last.register_forward_pre_hook(self._mix)
            self.is_changed = True

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x)
        return y

    def _drop(self, module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """(B, C, H, W) with groups of channels dropped, the same for all images."""
        kept = (torch.rand(GROUPS, generator=self.generator) >= self.strength.drop).to(y)
        group = torch.arange(y.shape[1], device=y.device) * GROUPS // y.shape[1]
        return self.strength.scale * kept[group][:, None, None] * y

    def _mix(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, *rest = inputs
        axis = x.dim() - 1 if isinstance(module, nn.Linear) else 1
        order = torch.randperm(x.shape[axis], generator=self.generator).to(x.device)
        return ((1 - self.strength.mix) * x + self.strength.mix * x.index_select(axis, order), *rest)


def _mixers(network: nn.Module) -> Iterator[tuple[nn.Module, nn.Module | None]]:
    """Token mixer of every block that has one, and the last layer of its channel mixer."""
    for block in network.modules():
        token, channel = getattr(block, "token", None), getattr(block, "channel", None)
        if isinstance(token, nn.Module):
            inner = channel.modules() if isinstance(channel, nn.Module) else ()
            layers = [module for module in inner if isinstance(module, nn.Linear | nn.Conv2d)]
            yield token, layers[-1] if layers else None


_MADE: OrderedDict[bytes, Tensor] = OrderedDict()
"""Digest of all that decides about them -> images; the latest."""


def transferred(
    adversary: Transfer,
    surrogates: Sequence[Surrogate],
    images: Tensor,
    labels: Tensor,
    start: Tensor | None = None,
) -> Tensor:
    """(N, C, H, W) the images on which the surrogates err, made once in a process.

    Args:
        start: as of `Attack.perturb`.
    """
    digest = hashlib.blake2b(json.dumps([adversary.settings(), [s.digest for s in surrogates]]).encode())
    for tensor in (images, labels, *(() if start is None else (start,))):
        digest.update(f"{tensor.device} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    key = digest.digest()
    if key not in _MADE:
        _MADE[key] = _make(adversary, surrogates, images, labels, start)
        while len(_MADE) > KEPT:
            _MADE.popitem(last=False)
    return _MADE[key]


def _make(
    adversary: Transfer, surrogates: Sequence[Surrogate], images: Tensor, labels: Tensor, start: Tensor | None
) -> Tensor:
    pool, made = adversary.pool(surrogates).to(images.device), []
    for first in range(0, len(images), BATCH):
        part = slice(first, first + BATCH)
        pool.restart()
        made.append(adversary.perturb(pool, images[part], labels[part], None if start is None else start[part]))
    return torch.cat(made)

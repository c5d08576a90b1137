"""The attack contract: images in, images out on which a network errs, within a radius in pixel space.

Images stay in [0, 1]; normalisation belongs to the model. The attacks are our own because a library in the inner loop
of a search costs 5 to 80 % more for the same result; a test compares them with foolbox.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar

import torch
from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Attack(ABC):
    """One way to change images; implementations are frozen dataclasses whose fields are the settings.

    Args:
        epsilon: radius in pixel units 0..1.
    """

    epsilon: float

    norm: ClassVar[str] = "linf"
    """Norm of the ball of radius epsilon: ``linf``, the largest change of a pixel."""

    @abstractmethod
    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        """Adversarial images, each within ``epsilon`` of its original and in [0, 1].

        Args:
            model: maps images to logits (B, K), in eval mode, its parameters with ``requires_grad_(False)``.
            images: (B, C, H, W) in [0, 1].
            labels: (B,) true classes.
            start: (B, C, H, W) perturbation to start from, as from `random_start`; zero unless given.
        """

    def random_start(self, images: Tensor, generator: Generator) -> Tensor:
        """(B, C, H, W) a uniformly random point of the ball for each image, for a restart."""
        return (2 * torch.rand(images.shape, generator=generator) - 1).to(images) * self.epsilon

    def settings(self) -> dict[str, Any]:
        """What another person needs to run the same attack, as JSON."""
        return {"norm": self.norm, **dataclasses.asdict(self)}


ATTACKS: dict[str, type[Attack]] = {}
T = TypeVar("T", bound=type[Attack])


def attack(name: str) -> Callable[[T], T]:
    """Class decorator that registers an attack.

    Raises:
        ValueError: if the name is taken, or the class is no frozen dataclass derived from `Attack`.
    """

    def add(cls: T) -> T:
        if name in ATTACKS:
            raise ValueError(f"attack {name!r} is already registered by {ATTACKS[name]!r}. Choose another name.")
        if not issubclass(cls, Attack) or "__dataclass_params__" not in vars(cls):
            raise ValueError(f"attack {name!r} must be a frozen dataclass derived from Attack, got {cls!r}.")
        ATTACKS[name] = cls
        return cls

    return add


def find_attack(name: str) -> type[Attack]:
    """The attack registered under ``name``.

    Raises:
        ValueError: if there is none, with the nearest and all known names.
    """
    if name not in ATTACKS:
        near = "".join(f" Did you mean {other!r}?" for other in get_close_matches(name, ATTACKS, n=1))
        raise ValueError(f"unknown attack {name!r}.{near} Known: {', '.join(sorted(ATTACKS))}.")
    return ATTACKS[name]


def radius(value: float | str) -> float:
    """Radius of an attack in pixel units 0..1, from a number or a quotient: ``radius("8/255")`` is 0.0314.

    Raises:
        ValueError: if it is not a number in [0, 1].
    """
    try:
        above, *below = str(value).split("/")
        number = float(above) / float(*below or ["1"])
    except (ValueError, ZeroDivisionError, TypeError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f'epsilon must be a number in [0, 1] or a quotient such as "8/255", got {value!r}.')
    return number

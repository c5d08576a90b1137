"""The attack contract: images in, images out on which a network errs, within a radius in pixel space.

Images stay in [0, 1]; normalisation belongs to the model. The attacks are our own because a library in the inner loop
of a search costs 5 to 80 % more for the same result; a test compares them with foolbox.
"""

import dataclasses
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

Norm = Literal["linf", "l2"]


@dataclass(frozen=True)
class Attack(ABC):
    """One way to change images; implementations are frozen dataclasses whose fields are the settings.

    Args:
        epsilon: radius in pixel units 0..1 (of a pixel for ``linf``, of the whole image for ``l2``).
        norm: of the ball: ``linf``, the largest change of a pixel, or ``l2``, the Euclidean length of the change.
    """

    epsilon: float
    norm: Norm = "linf"

    norms: ClassVar[tuple[Norm, ...]] = ("linf",)
    """Norms that the attack can take."""
    uses_gradients: ClassVar[bool] = True
    """Whether it asks for gradients of the network that is measured; a black box does not."""

    def __post_init__(self) -> None:
        if self.norm not in self.norms:
            raise ValueError(f"norm must be one of {', '.join(self.norms)}, got {self.norm!r}.")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in ("int", int) and value < 1:
                raise ValueError(f"{field.name} must be at least 1, got {value}.")

    def check_classes(self, number: int) -> None:  # noqa: B027 (any number will do, unless an attack says otherwise)
        """Raises ValueError, with what to use instead, if the attack is not defined for so many classes."""

    @abstractmethod
    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        """Adversarial images, each within ``epsilon`` of its original and in [0, 1].

        Args:
            model: maps images to logits (B, K), in eval mode, its parameters with ``requires_grad_(False)``.
            images: (B, C, H, W) in [0, 1].
            labels: (B,) true classes.
            start: (B, C, H, W) perturbation to start from, as from `random_start`; zero unless given.
        """

    def climbs(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,) the loss whose gradients the attack follows; cross-entropy unless overridden."""
        return F.cross_entropy(logits, labels, reduction="none")

    def random_start(self, images: Tensor, generator: Generator) -> Tensor:
        """(B, C, H, W) a uniformly random point of the ball for each image, for a restart."""
        if self.norm == "linf":
            return (2 * torch.rand(images.shape, generator=generator) - 1).to(images) * self.epsilon
        directions = torch.randn(images.shape, generator=generator)
        lengths = torch.rand(len(images), 1, 1, 1, generator=generator) ** (1 / images[0].numel())
        return (self.epsilon * lengths * directions / length(directions)).to(images)

    def climbed(self, change: Tensor, gradient: Tensor, step: float) -> Tensor:
        """``change`` (B, C, H, W) after a step of length ``step`` up ``gradient``, within the ball."""
        return project(change + step * steepest(gradient, self.norm), self.epsilon, self.norm)

    def redrawn(self, generator: Generator) -> Self:
        """The attack with other random numbers; the same one if it has no ``seed``."""
        if not any(field.name == "seed" for field in dataclasses.fields(self)):
            return self
        drawn: dict[str, Any] = {"seed": int(torch.randint(2**31, (), generator=generator))}
        return dataclasses.replace(self, **drawn)

    def settings(self) -> dict[str, Any]:
        """What another person needs to run the same attack, as JSON."""
        return dataclasses.asdict(self)


def length(change: Tensor) -> Tensor:
    """(B, 1, 1, 1) Euclidean length of each change, never 0."""
    found: Tensor = torch.linalg.vector_norm(change.flatten(1), dim=1).clamp_min(1e-12)
    return found.view(-1, 1, 1, 1)


def project(change: Tensor, epsilon: float, norm: Norm) -> Tensor:
    """Each change, if it is outside the ball of radius ``epsilon``, moved to the nearest point of it."""
    if norm == "linf":
        return change.clamp(-epsilon, epsilon)
    return change * (epsilon / length(change)).clamp_max(1)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The step of length 1 in ``norm`` that climbs most: the sign of the gradient, or the gradient over its length."""
    return gradient.sign() if norm == "linf" else gradient / length(gradient)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) by how much the likeliest wrong class exceeds the true one; above 0 the network errs."""
    true = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], -torch.inf).amax(1) - true


def own_numbers(images: Tensor, count: int, seed: int) -> Tensor:
    """(B, count) uniform random numbers for each image that depend on it and ``seed`` alone, not on the batch."""
    rows = []
    for image in images.detach().cpu().contiguous():
        digest = hashlib.blake2b(image.numpy().tobytes() + seed.to_bytes(8, "big"), digest_size=7).digest()
        rows.append(torch.rand(count, generator=Generator().manual_seed(int.from_bytes(digest))))
    return torch.stack(rows).to(images.device)


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


EPSILON = "4/255"
"""Radius where neither the user nor the data state one."""


def make_attack(name: str, epsilon: float | str | None, steps: int | None, options: Mapping[str, Any]) -> Attack:
    """The attack ``name`` with the settings that it takes.

    Args:
        epsilon: radius in pixel units 0..1, as a number or a quotient such as ``"8/255"``.
        steps: None for what the attack takes.
        options: further settings, by name.

    Raises:
        ValueError: if there is no such attack, it does not take a setting, or a value is impossible.
    """
    kind = find_attack(name)
    given = dict(options) if steps is None else {"steps": steps, **options}
    hints = get_type_hints(kind)
    takes = {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.name != "epsilon"}
    for key, value in given.items():
        if key not in takes:
            raise ValueError(f"attack {name!r} takes no {key}. It takes: {', '.join(takes)}.")
        allowed = get_args(takes[key]) if get_origin(takes[key]) is Literal else ()
        if value not in allowed if allowed else type(value) is not int:
            rule = f"one of {', '.join(allowed)}" if allowed else "a whole number"
            raise ValueError(f"{key} of attack {name!r} must be {rule}, got {value!r}.")
    return kind(radius(EPSILON if epsilon is None else epsilon), **given)

"""Several networks as one: how ``ensemble.json`` says that they are put together, and the module that it makes.

``smoothing`` mixes the probabilities of an accurate and a robust network (2301.12554), ``probe`` reads the features of
all members side by side by one linear layer (2212.07346). Each member lies in a folder of its own, as an export.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import WrongInputError
from nas.store.files import read_text
from searchspaces import Network

ENSEMBLE, MEMBERS, PROBE = "ensemble.json", "members", "probe.safetensors"
MOST = 64
"""Members of an ensemble."""
LARGEST = 10_000
"""Bytes of an ensemble file."""


@dataclass(frozen=True)
class Smoothing:
    """``log((1 - alpha) softmax(T_s g) + alpha softmax(T_r h))``, g the accurate network, h the robust one.

    Args:
        alpha: weight of the robust one, between 0 and 1.
        temperatures: T_s and T_r, which multiply the logits.
    """

    alpha: float
    temperatures: tuple[float, float]

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, got {self.alpha}")
        if len(self.temperatures) != 2 or not all(0 < t < math.inf for t in self.temperatures):
            raise ValueError(f"temperatures must be two numbers above 0, got {self.temperatures}")

    def __call__(self, accurate: Tensor, robust: Tensor) -> Tensor:
        """(B, K) logarithms of the mixed probabilities, from the logits (B, K) of both."""
        first, second = self.temperatures
        return torch.logaddexp(
            F.log_softmax(first * accurate, 1) + math.log1p(-self.alpha),
            F.log_softmax(second * robust, 1) + math.log(self.alpha),
        )


class Ensemble(nn.Module):
    """Networks as one: pixels ``(B, C, H, W)`` in [0, 1] -> logits ``(B, classes)``."""

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.eval()


class SmoothedPair(Ensemble):
    """An accurate and a robust network, mixed."""

    def __init__(self, members: Sequence[Network], smoothing: Smoothing) -> None:
        super().__init__(members)
        self.smoothing = smoothing

    def forward(self, x: Tensor) -> Tensor:
        accurate, robust = self.members
        return self.smoothing(accurate(x), robust(x))


class Probed(Ensemble):
    """Networks whose features are read side by side by one linear layer."""

    def __init__(self, members: Sequence[Network], weight: Tensor, bias: Tensor) -> None:
        super().__init__(members)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.cat([member.features(x) for member in self.members], 1)  # type: ignore[operator]
        return F.linear(features, self.weight, self.bias)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Recipe:
    """How networks are put together.

    Args:
        smoothing: of two members; None for a linear probe, whose weights lie in `PROBE`.
        members: their number.
    """

    smoothing: Smoothing | None
    members: int

    def __post_init__(self) -> None:
        if not 2 <= self.members <= (MOST if self.smoothing is None else 2):
            raise ValueError(f"it must have {'2' if self.smoothing else f'2 to {MOST}'} members, got {self.members}")

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        if self.smoothing is None:
            return {"kind": "probe", "members": self.members}
        return {"kind": "smoothing", "members": self.members, **asdict(self.smoothing)}

    @classmethod
    def from_json(cls, data: Any) -> "Recipe":
        """The recipe that `to_json` wrote.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(data, dict) or data.get("kind") not in ("smoothing", "probe"):
            raise ValueError('it must be a JSON object of kind "smoothing" or "probe"')
        if type(data.get("members")) is not int:
            raise ValueError("members must be a whole number")
        if data["kind"] == "probe":
            return cls(None, data["members"])
        numbers = [data.get("alpha"), *(data["temperatures"] if isinstance(data.get("temperatures"), list) else [])]
        if len(numbers) != 3 or not all(type(number) in (int, float) for number in numbers):
            raise ValueError("alpha must be a number and temperatures two of them")
        alpha, first, second = map(float, numbers)
        return cls(Smoothing(alpha, (first, second)), data["members"])


def read_recipe(directory: Path) -> Recipe | None:
    """How the members of an export are put together; None for an export of one network.

    Raises:
        WrongInputError: if the file that says so is damaged.
    """
    path = directory / ENSEMBLE
    try:
        return Recipe.from_json(json.loads(read_text(path, LARGEST)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise WrongInputError(f"{path} is damaged ({error}). Restore it from a copy, or pair again.") from None


def member_folders(directory: Path) -> list[Path]:
    """The folders of the networks of an export: its own, or those of its members."""
    recipe = read_recipe(directory)
    return [directory] if recipe is None else [directory / MEMBERS / str(i) for i in range(recipe.members)]

"""Frozen tensors of an export as seeds, in ``config.json``: what a network was drawn with is drawn again when it loads.

How a tensor is drawn follows from the architecture and from `searchspaces.layers.draws.GENERATOR`; the file adds seed,
shape, type and a digest, so that other bits are never taken for those that were measured. A tensor becomes a seed only
if what the seed makes is that tensor, bit for bit: trained ones, and those of plugins and earlier versions, are stored.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from torch import Tensor, nn

from searchspaces.layers.draws import GENERATOR, LARGEST_SEED, Draw, drawn
from searchspaces.registry import brief

FROZEN = "frozen"
"""The part of ``config.json``."""
MOST = 2**26
"""Numbers that the seeds of one export make at most: a small file must not fill the memory. The rest is stored."""


@dataclass(frozen=True)
class Seed:
    """A tensor that is drawn again.

    Args:
        sha256: of its bytes, little-endian, row by row.
    """

    seed: int
    shape: tuple[int, ...]
    dtype: str
    sha256: str

    @classmethod
    def of(cls, draw: Draw, tensor: Tensor) -> Self:
        """That of a tensor which was drawn."""
        return cls(draw.seed, draw.shape, _dtype(tensor), digest(tensor))

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The seed of a JSON object.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(data, dict) or data.keys() != {"seed", "shape", "dtype", "sha256"}:
            raise ValueError("it must have a seed, shape, dtype and sha256")
        seed, shape = data["seed"], data["shape"]
        if type(seed) is not int or not 0 <= seed < LARGEST_SEED:
            raise ValueError(f"a seed must be a whole number below {LARGEST_SEED}, got {brief(seed)}")
        if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"a shape must be a list of whole numbers, got {brief(shape)}")
        return cls(seed, tuple(shape), str(data["dtype"]), str(data["sha256"]))

    @property
    def numbers(self) -> int:
        """In the tensor."""
        return math.prod(self.shape)


def digest(tensor: Tensor) -> str:
    """SHA-256 of the bytes of a tensor on the CPU."""
    return hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()


def seeds_of(network: nn.Module, tensors: Mapping[str, Tensor], known: Iterable[Draw]) -> dict[str, Seed]:
    """The tensors of a network that need not be stored, by name.

    Args:
        network: says which of its tensors are drawn; it may be on ``meta``.
        tensors: its state.
        known: draws with the seeds that these may have: its own, and of networks whose weights it began with.
    """
    places, makers = drawn(network), {digest(draw.tensor()): draw for draw in known}
    found, numbers = dict[str, Seed](), 0
    for name, place in places.items():
        draw = makers.get(held := digest(tensors[name]))
        if draw is None or digest(place.seeded(draw.seed).tensor()) != held:
            continue
        numbers += tensors[name].numel()
        if numbers > MOST:
            break
        found[name] = Seed.of(place.seeded(draw.seed), tensors[name])
    return found


def to_json(seeds: Mapping[str, Seed]) -> dict[str, Any]:
    """The part of ``config.json``; empty without any."""
    return {FROZEN: {"generator": GENERATOR, "tensors": {n: asdict(s) for n, s in seeds.items()}}} if seeds else {}


def from_json(config: Any) -> dict[str, Seed]:
    """The seeds in the content of ``config.json``.

    Raises:
        ValueError: if they are damaged, of another generator, or make too much.
    """
    if not isinstance(config, dict) or FROZEN not in config:
        return {}
    part = config[FROZEN]
    if not isinstance(part, dict) or not isinstance(part.get("tensors"), dict):
        raise ValueError(f"{FROZEN} must be an object with a generator and tensors")
    if part.get("generator") != GENERATOR:
        raise ValueError(
            f"its frozen tensors are drawn by {brief(part.get('generator'))}, and this version draws by {GENERATOR}. "
            "Load it with the version of mixing-nas that wrote it, or export again with --materialise"
        )
    seeds = {name: Seed.from_json(seed) for name, seed in part["tensors"].items()}
    if (numbers := sum(seed.numbers for seed in seeds.values())) > MOST:
        raise ValueError(f"its seeds make {numbers:,} numbers, at most {MOST:,} are allowed")
    return seeds


def rebuilt(network: nn.Module, seeds: Mapping[str, Seed]) -> dict[str, Tensor]:
    """The tensors of some seeds, by name.

    Args:
        network: that they are of, on ``meta`` or not.

    Raises:
        ValueError: if the network draws none of that name and shape, or what is drawn has another digest.
    """
    places, found = drawn(network), dict[str, Tensor]()
    for name, seed in seeds.items():
        if name not in places or places[name].shape != seed.shape:
            raise ValueError(f"the network draws no {brief(name)} of shape {seed.shape}, of which a seed is stored")
        tensor = places[name].seeded(seed.seed).tensor()
        if _dtype(tensor) != seed.dtype or digest(tensor) != seed.sha256:
            raise ValueError(
                f"the seed of {name} does not make the tensor that was exported: the file was changed, or this machine "
                "computes otherwise. Export again with --materialise where the study is"
            )
        found[name] = tensor
    return found


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

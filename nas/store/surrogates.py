"""Networks on which transfer attacks make their images, as they are stored below a study directory or an export."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import safetensors.torch

from searchspaces import Architecture, Network, build

FOLDER = "surrogates"


@dataclass(frozen=True)
class Surrogate:
    """A trained network as its files hold it; it travels to workers so.

    Args:
        architecture: as JSON.
        weights: bytes of a safetensors file.
        trained: name, seed and how it was trained, of one that the study has trained.
    """

    architecture: dict[str, Any]
    weights: bytes
    trained: dict[str, Any] | None = None

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits of the SHA-256 of both."""
        text = json.dumps(self.architecture, sort_keys=True).encode()
        return hashlib.sha256(text + b"\0" + self.weights).hexdigest()[:16]

    @property
    def name(self) -> str:
        """By which a resolved study knows it."""
        return f"{FOLDER}/{self.digest}" if self.trained is None else str(self.trained["name"])

    def network(self) -> Network:
        """The network in eval mode."""
        network = build(Architecture.from_json(self.architecture))
        network.load_state_dict(safetensors.torch.load(self.weights))
        return network.eval()

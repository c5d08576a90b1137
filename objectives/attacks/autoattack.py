"""AutoAttack, standard version, by ``pyautoattack``: the attack of published figures, for finalists.

Croce & Hein 2020, arXiv:2003.01690: Auto-PGD on the cross-entropy, targeted Auto-PGD, targeted FAB and Square, each on
the images that survived the last. It takes about 2,000 steps and 5,000 queries for each image that survives, so that a
robust network is the dearest.
"""

import logging
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from objectives.attacks.attack import Attack, Norm, attack

NORMS = {"linf": "Linf", "l2": "L2"}
TARGETS = 9
"""Wrong classes that the targeted attacks aim at, or all if there are fewer."""


@attack("autoattack")
@dataclass(frozen=True)
class AutoAttack(Attack):
    """The standard version; images that it fails on are returned as they are.

    Args:
        seed: of its random starts and squares.
    """

    seed: int | None = None

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    def __post_init__(self) -> None:
        super().__post_init__()
        if find_spec("pyautoattack") is None:
            raise ValueError('the attack autoattack needs pyautoattack: pip install "mixing-nas[attacks]".')

    def check_classes(self, number: int) -> None:
        if number < 4:
            raise ValueError(
                f"autoattack needs at least 4 classes for its targeted loss, got {number}. Use the attacks apgd, "
                "margin and square."
            )

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            classes = model(images[:1]).shape[1]
        self.check_classes(classes)
        if self.epsilon == 0:
            return images.clone()
        logging.getLogger("auto-attack").setLevel(logging.ERROR)
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            theirs = import_module("pyautoattack").AutoAttack(
                model, norm=NORMS[self.norm], eps=self.epsilon, seed=self.seed or 0, device=images.device
            )
            theirs.apgd_targeted.n_target_classes = theirs.fab.n_target_classes = min(TARGETS, classes - 1)
            attacked: Tensor = theirs.run_standard_evaluation(images, labels, batch_size=len(images))[0]
        return attacked.detach()

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "version": "standard", "pyautoattack": metadata.version("pyautoattack")}

"""Signs that an attack failed where the network is not robust: cheap checks, on a few of the images.

Source: Carlini et al. 2019, "On evaluating adversarial robustness", section 3; Athalye, Carlini & Wagner 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from objectives.accuracy import correct
from objectives.attacks.attack import Attack, margin, steepest
from objectives.attacks.fgsm import Fgsm
from objectives.attacks.noise import Noise
from objectives.attacks.pgd import Pgd
from objectives.attacks.square import Square
from objectives.attacks.transfer import Transfer, transferred
from objectives.objective import Surrogate
from objectives.part import stratified

IMAGES = 50
"""Images that are checked, every class in its share."""
TRIES, QUERIES, STEPS = 2, 20, 5
"""Of noise, of the black box, of gradient attacks: with `IMAGES` a sixth of the arithmetic of PGD-10 on 400 images."""
MARGIN, LEAST = 0.1, 4
"""Share and number of the images that one attack must fool where a stronger one failed before that says something."""
DEAD = 0.1
"""Share of the checked images that the network classifies correctly whose gradient may be 0."""
SHORT, HONEST = 0.1, 1 / 3
"""A step as a share of the radius, and the share of the change which its gradient predicts that must happen."""


@dataclass(frozen=True)
class Checks:
    """Checks of one attack on a few images.

    Args:
        adversary: the attack; its own parameters decide which checks make sense.
        model: maps images to logits, in eval mode, its parameters with ``requires_grad_(False)``.
        images: (n, C, H, W).
        labels: (n,).
        survived: (n,) booleans: which images the attack did not change into errors.
        surrogates: networks on which a transfer attack makes its images, where there are any.
    """

    adversary: Attack
    model: nn.Module
    images: Tensor
    labels: Tensor
    survived: Tensor
    surrogates: tuple[Surrogate, ...] = ()

    def flags(self) -> list[str]:
        """The words for what is wrong; none for an attack of radius 0, and none of gradients for one without them.

        ``zero_gradients``: the loss does not depend on the pixels. ``misleading_gradients``: a small step along them
        changes the margin by much less than they say. ``weaker_than_noise``, ``weaker_than_square`` (no
        gradients), ``weaker_than_transfer`` (made on other networks), ``weaker_than_fgsm``: one of the same radius that
        should be weaker fools images that survived; ``stronger_than_pgd``: images that a single step fooled survive
        several. ``not_falling``: at the largest radius, which makes any image grey, more than half of what survived
        survives.
        """
        attack = self.adversary
        epsilon, norm = attack.epsilon, attack.norm
        if not attack.epsilon or isinstance(attack, Noise):
            return []
        found = {"weaker_than_noise": self._is_beaten_by(Noise(epsilon, norm, tries=TRIES))}
        if attack.uses_gradients:
            found["zero_gradients"] = self._has_dead_gradients()
            found["misleading_gradients"] = self._misleads()
            found["not_falling"] = self._stays()
            if attack.norm in Square.norms:
                found["weaker_than_square"] = self._is_beaten_by(Square(epsilon, norm, queries=QUERIES))
            if self.surrogates and attack.norm in Transfer.norms:
                made = transferred(Transfer(epsilon, norm), self.surrogates, self.images, self.labels)
                fooled = self.survived & ~correct(self.model, made, self.labels)
                found["weaker_than_transfer"] = _many(int(fooled.sum()), int(self.survived.sum()))
            if attack.norm in Fgsm.norms:
                if isinstance(attack, Fgsm) or getattr(attack, "steps", 2) == 1:
                    found["stronger_than_pgd"] = self._beats(Pgd(epsilon, norm, steps=STEPS))
                else:
                    found["weaker_than_fgsm"] = self._is_beaten_by(Fgsm(epsilon, norm))
        return [word for word, wrong in found.items() if wrong]

    def _is_beaten_by(self, weaker: Attack) -> bool:
        """Whether ``weaker`` changes too many of the images into errors that the attack did not."""
        return _fools(weaker, self.model, self.images[self.survived], self.labels[self.survived])

    def _beats(self, stronger: Attack) -> bool:
        """Whether too many of the images that the attack changes into errors survive ``stronger``."""
        fooled = correct(self.model, self.images, self.labels) & ~self.survived
        images, labels = self.images[fooled], self.labels[fooled]
        return len(labels) > 0 and _many(int(_right(stronger, self.model, images, labels).sum()), len(labels))

    def _has_dead_gradients(self) -> bool:
        x = self.images.detach().clone().requires_grad_(True)
        logits = self.model(x)
        losses = self.adversary.climbs(logits, self.labels)
        if not losses.requires_grad:  # the network cuts them off
            return True
        gradients = torch.autograd.grad(losses.sum(), x, allow_unused=True)[0]
        if gradients is None:
            return True
        right = logits.argmax(1) == self.labels
        dead = (gradients.flatten(1) == 0).all(1) & right
        return bool(dead.sum() > DEAD * right.sum())

    def _misleads(self) -> bool:
        """Whether gradients do not say how the margin changes at the scale of the radius, as behind waves.

        Of trained networks of all spaces the median of the ratio was .68 to 1.05 (2/255 to 32/255), of one behind small
        waves .29 to .01.
        """
        attack, labels = self.adversary, self.labels
        x = self.images.detach().clone().requires_grad_(True)
        before = margin(self.model(x), labels)
        if not before.requires_grad:
            return False
        gradient = torch.autograd.grad(before.sum(), x, allow_unused=True)[0]
        if gradient is None:
            return False
        moved = (x.detach() + SHORT * attack.epsilon * steepest(gradient, attack.norm)).clamp(0, 1)
        said = (gradient * (moved - x.detach())).flatten(1).sum(1)
        with torch.no_grad():
            happened = margin(self.model(moved), labels) - before.detach()
        held = (before < 0) & (said > 0)
        return int(held.sum()) >= LEAST and bool((happened[held] / said[held]).median() < HONEST)

    def _stays(self) -> bool:
        largest = 0.5 if self.adversary.norm == "linf" else 0.5 * self.images[0].numel() ** 0.5
        if self.adversary.epsilon >= largest:
            return False
        steps = {"steps": min(STEPS, self.adversary.steps)} if hasattr(self.adversary, "steps") else {}
        attack = replace(self.adversary, epsilon=largest, **steps)
        left = int(_right(attack, self.model, self.images, self.labels).sum())
        one_class = int(torch.bincount(self.labels).max())  # right by chance: all images the same, one answer
        return _many(left - max(int(self.survived.sum()) // 2, one_class), len(self.labels))


def _right(attack: Attack, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """(n,) booleans: which images survive an attack."""
    return correct(model, attack.perturb(model, images, labels), labels)


def _fools(attack: Attack, model: nn.Module, images: Tensor, labels: Tensor) -> bool:
    return len(labels) > 0 and _many(int((~_right(attack, model, images, labels)).sum()), len(labels))


def _many(number: int, of: int) -> bool:
    return number >= LEAST and number > MARGIN * of


def checked(labels: Tensor, seed: int) -> Tensor:
    """Numbers of the images to check, of those of a part that was chosen by ``seed``."""
    return stratified(labels, IMAGES, seed).to(labels.device)


def settings(attack: Attack, surrogates: Mapping[str, Surrogate]) -> dict[str, Any]:
    """What is checked, as JSON."""
    others = {name: one.digest for name, one in surrogates.items()} if attack.uses_gradients else {}
    known = {"surrogates": others} if others else {}
    return known | {"images": IMAGES, "noise_tries": TRIES, "square_queries": QUERIES, "margin": MARGIN}

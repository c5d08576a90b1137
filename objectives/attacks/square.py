"""Square attack: random squares are kept if they help; no gradients are used (Andriushchenko et al. 2020)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from objectives.attacks.attack import Attack, attack, margin, own_numbers

SHARE = 0.8
"""Share of the pixels in the first squares."""
HALVINGS = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)
"""Queries, of 10,000, after which the share is halved."""


@attack("square")
@dataclass(frozen=True)
class Square(Attack):
    """Starts with vertical stripes of +-epsilon; each query tries a square of +-epsilon in every image.

    Args:
        queries: number of squares that are tried; AutoAttack takes 5,000.
        seed: of the squares; each image has its own, which do not depend on its batch.
    """

    queries: int = 500
    seed: int | None = None

    uses_gradients: ClassVar[bool] = False

    @torch.no_grad()
    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
        batch, channels, height, width = images.shape
        numbers = own_numbers(images, channels * width + self.queries * (2 + channels), self.seed or 0)
        stripes, squares = numbers[:, : channels * width], numbers[:, channels * width :]
        change = self.epsilon * _signs(stripes).view(batch, channels, 1, width)
        x = (images + (change if start is None else start)).clamp(0, 1)
        found = margin(model(x), labels)
        rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
        for query, drawn in enumerate(squares.view(batch, self.queries, 2 + channels).unbind(1)):
            open_ = found <= 0
            if not open_.any():
                break
            side = max(1, min(round((_share(query, self.queries) * height * width) ** 0.5), height - 1, width - 1))
            top = (drawn[open_, 0] * (height - side + 1)).long()[:, None]
            left = (drawn[open_, 1] * (width - side + 1)).long()[:, None]
            inside = ((rows >= top) & (rows < top + side))[:, None, :, None]
            inside = inside & ((columns >= left) & (columns < left + side))[:, None, None, :]
            value = self.epsilon * _signs(drawn[open_, 2:])[:, :, None, None]
            tried = torch.where(inside, (images[open_] + value).clamp(0, 1), x[open_])
            reached = margin(model(tried), labels[open_])
            better = reached > found[open_]
            places = open_.nonzero()[:, 0][better]
            x[places], found[places] = tried[better], reached[better]
        return x


def _signs(uniform: Tensor) -> Tensor:
    return torch.where(uniform < 0.5, -1.0, 1.0)


def _share(query: int, queries: int) -> float:
    """Share of the pixels in a square of this query."""
    place = query / queries * 10_000
    return float(SHARE / 2 ** sum(place > limit for limit in HALVINGS))

"""Layers that several operators, stems and blocks share."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "layer", "group", "none"]
"""``batch``; ``layer`` over the channels at every position; ``group``: one group over channels and positions."""


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of ``(B, C, H, W)`` at every position; free of copies in channels-last memory."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return tokens.permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """Multiplies every channel by a learned factor that starts at ``start``."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class SqueezeExcitation(nn.Module):
    """Channel gate ``x * sigmoid(W2 relu(W1 mean(x)))`` on ``(B, C, H, W)`` (Hu et al. 2018); both maps with bias."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """The norm called ``kind`` for ``(B, channels, H, W)``, eps 1e-6 except batch norm's 1e-5."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "layer":
        return LayerNorm(channels, eps=1e-6)
    return nn.GroupNorm(1, channels, eps=1e-6) if kind == "group" else nn.Identity()


def check_groups(groups: int, channels: int) -> None:
    """Makes sure that the channels can be cut into so many groups.

    Raises:
        ValueError: with the numbers of groups that divide the channels.
    """
    if groups < 1 or channels % groups:
        allowed = [g for g in range(1, channels + 1) if channels % g == 0]
        raise ValueError(
            f"groups must divide the channels, got groups={groups} for {channels} channels. "
            f"Allowed: {', '.join(map(str, allowed))}."
        )

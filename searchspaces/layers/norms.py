"""Norms and factors of residual branches, ``(B, C, H, W) -> (B, C, H, W)``."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "layer", "group", "none"]
"""``batch``; ``layer`` over the channels at every position; ``group``: one group over channels and positions."""


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of ``(B, C, H, W)`` at every position; free of copies in channels-last memory."""

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.permute(0, 2, 3, 1)  # (B, H, W, C), contiguous if x is channels last
        pixels = F.layer_norm(pixels, self.normalized_shape, self.weight, self.bias, self.eps)
        return pixels.permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """Multiplies every channel by a learned factor that starts at ``start``."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """The norm called ``kind`` for ``(B, channels, H, W)``, eps 1e-6 except batch norm's 1e-5."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "layer":
        return LayerNorm(channels, eps=1e-6)
    return nn.GroupNorm(1, channels, eps=1e-6) if kind == "group" else nn.Identity()

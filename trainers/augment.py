"""Augmentations as batched tensor operations on the device of the batch; no Python per image."""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """(B, C, H, W) with each image mirrored left to right with probability 1/2."""
    mirrored = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """(B, C, H, W) with each image moved by up to ``pixels`` in both directions; what comes in is zero."""
    batch, _, height, width = images.shape
    offsets = torch.randint(2 * pixels + 1, (2, batch, 1), generator=generator).to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)
    columns = offsets[1] + torch.arange(width, device=images.device)
    padded = F.pad(images, (pixels,) * 4).permute(0, 2, 3, 1)
    samples = torch.arange(batch, device=images.device)[:, None, None]
    return padded[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

"""Un-shuffling (arXiv 2503.16760, appendix): one permutation of the pixels of all images is to be undone."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor

from trainers.dataset import check_range, dataset
from trainers.derived import Derived
from trainers.task import Draw, ImageRegression


@dataclass(frozen=True)
class Unshuffling(ImageRegression):
    """The image from its pixels in another order, the same for all images and channels.

    Args:
        block: side of the squares within which pixels are moved; 0: the whole image.
        seed: of the order.
    """

    block: int = 0
    seed: int = 0

    def spoilt(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[2:]
        order = _order(height, width, self.block, self.seed, images.device)
        shuffled = images.flatten(2)[:, :, order].view(images.shape)
        return shuffled.contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=16)
def _order(height: int, width: int, block: int, seed: int, device: torch.device) -> Tensor:
    """(H * W,) where each pixel comes from: each block, also a smaller one at an edge, in a random order of its own."""
    side = block or max(height, width)
    rows, columns = torch.arange(height), torch.arange(width)
    blocks = ((rows // side)[:, None] * -(-width // side) + (columns // side)).flatten()  # (H * W,) number of its block
    drawn = torch.randperm(height * width, generator=Generator().manual_seed(seed))
    mixed = drawn[torch.argsort(blocks[drawn], stable=True)]  # block by block, in random order within each
    order = torch.empty_like(drawn)
    order[torch.argsort(blocks, stable=True)] = mixed
    return order.to(device)


@dataset("unshuffle")
@dataclass(frozen=True)
class Unshuffle(Derived):
    """The images of another data set with their pixels in one random order.

    Args:
        block: side in pixels of the squares within which pixels are moved; 0: the whole image.
        seed: of the order.
    """

    block: int = 0
    seed: int = 0

    example = "unshuffle:cifar10,block=8"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("block", self.block, 0, 4096)
        check_range("seed", self.seed, 0, 2**32 - 1)

    def poses(self) -> Unshuffling:
        return Unshuffling(self.block, self.seed)

"""Non-overlapping patches."""

import torch
from torch import nn

from searchspaces.stems.patch import PatchStem


def test_the_patch_stem_gives_the_grid_it_promises() -> None:
    stem = PatchStem(dim=5, patch=4)
    assert stem.output((3, 8, 12)) == (5, 2, 3)
    assert stem.build((3, 8, 12))(torch.rand(2, 3, 8, 12)).shape == (2, 5, 2, 3)


def test_the_patch_stem_reads_every_pixel_once() -> None:
    stem = PatchStem(dim=1, patch=2).build((1, 4, 4))
    assert isinstance(stem[0], nn.Conv2d)
    nn.init.ones_(stem[0].weight)
    nn.init.zeros_(stem[0].bias)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert stem[0](x).flatten().tolist() == [0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]

"""Heads."""

import torch

from searchspaces.heads import AverageHead


def test_the_average_head_gives_the_mean_of_every_channel() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    assert AverageHead().build((3, 2, 2))(x).tolist() == [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]

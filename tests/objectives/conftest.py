"""What the tests of accuracies share: a model whose margins a person can check by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from objectives import Candidate


class Brightness(nn.Module):
    """Class 1 for images that are brighter than 1/2 on the mean."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.flatten(1).mean(1)
        return torch.stack([0.5 - bright, bright - 0.5], dim=1)


@pytest.fixture
def grey() -> Callable[..., Candidate]:
    """Grey images of these levels with these labels, classified by their brightness."""

    def make(*levels: float, labels: list[int]) -> Candidate:
        images = torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
        return Candidate(Brightness(), (1, 2, 2), images, torch.tensor(labels))

    return make

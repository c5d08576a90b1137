"""Share of images classified correctly, every class counting the same."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from objectives.accuracy import OfLogits
from objectives.objective import Candidate, objective


@objective("balanced_accuracy")
@dataclass(frozen=True)
class BalancedAccuracy(OfLogits):
    """Mean over the classes of the share of their images that is classified correctly, a fraction in [0, 1].

    Where a few classes have most of the images, accuracy is high for a network that knows no other. Classes without an
    image do not count.

    Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution".
    """

    def figure(self, outputs: Tensor, labels: Tensor) -> float:
        right = outputs.argmax(1) == labels
        recalls = torch.bincount(labels[right], minlength=int(labels.max()) + 1).double() / _sizes(labels)
        return float(recalls[_sizes(labels) > 0].mean())

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        _, labels = candidate.examples()
        sizes = _sizes(labels)[_sizes(labels) > 0]
        return {
            "samples": len(labels),
            "classes": len(sizes),
            "one_sample": 1 / (len(sizes) * int(sizes.min())),  # by so much one image may change the value
        }


def _sizes(labels: Tensor) -> Tensor:
    """(K,) images of each class."""
    return torch.bincount(labels)

"""What the logits of a classifier say besides how often it is right: losses, rankings and calibration.

Figures of the validation images, by scikit-learn where it has them. A class without an image does not count.
"""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from objectives.accuracy import OfLogits
from objectives.objective import Candidate, Direction, Estimate, Scale, objective

BINS = 15
"""Bins of confidence of the calibration error (Guo et al. 2017)."""


@objective("cross_entropy")
@dataclass(frozen=True)
class CrossEntropy(OfLogits):
    """Mean cross-entropy, compared by its logarithm: the figure in which widths follow power laws."""

    direction: ClassVar[Direction] = "minimize"
    scale: ClassVar[Scale] = "count"
    unit: ClassVar[str] = "nats"

    def worst(self) -> float:
        return 10.0  # that of a guess among 22,000 classes

    def figure(self, outputs: Tensor, labels: Tensor) -> Estimate:
        return Estimate.mean(F.cross_entropy(outputs.double(), labels, reduction="none").clamp_min(1e-12))


@objective("top5_accuracy")
@dataclass(frozen=True)
class Top5Accuracy(OfLogits):
    """Share of images whose class is among the five likeliest; 1 where there are no more than five classes."""

    def figure(self, outputs: Tensor, labels: Tensor) -> Estimate:
        return Estimate.share((outputs.topk(min(5, outputs.shape[1]), dim=1).indices == labels[:, None]).any(1))


@objective("macro_f1")
@dataclass(frozen=True)
class MacroF1(OfLogits):
    """Mean over the classes of the harmonic mean of precision and recall."""

    def figure(self, outputs: Tensor, labels: Tensor) -> float:
        from sklearn.metrics import f1_score

        true, predicted = labels.cpu().numpy(), outputs.argmax(1).cpu().numpy()
        return float(f1_score(true, predicted, labels=sorted(set(true.tolist())), average="macro", zero_division=0.0))


@objective("auc")
@dataclass(frozen=True)
class Auc(OfLogits):
    """Area under the ROC curve of each class against all others, mean over the classes."""

    def figure(self, outputs: Tensor, labels: Tensor) -> float:
        from sklearn.metrics import roc_auc_score

        present = labels.unique(sorted=True)  # type: ignore[no-untyped-call]
        if len(present) < 2:
            raise ValueError("auc needs images of at least two classes, got one.")
        scores = outputs.double().softmax(1).cpu().numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            areas = [roc_auc_score((labels == k).cpu().numpy(), scores[:, k]) for k in present.tolist()]
        return float(sum(areas) / len(areas))


@objective("calibration_error")
@dataclass(frozen=True)
class CalibrationError(OfLogits):
    """Expected calibration error: the distance between confidence and accuracy, over 15 bins of confidence.

    It improves by itself with mixup and label smoothing; read it beside the accuracy.
    """

    direction: ClassVar[Direction] = "minimize"

    def figure(self, outputs: Tensor, labels: Tensor) -> float:
        confidence, predicted = outputs.double().softmax(1).max(1)
        right = (predicted == labels).double()
        bins = (confidence * BINS).ceil().clamp(1, BINS).long() - 1
        gaps = torch.zeros(BINS, dtype=torch.float64, device=labels.device).index_add(0, bins, right - confidence)
        return float(gaps.abs().sum() / len(labels))

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {**super().settings(candidate), "bins": BINS}

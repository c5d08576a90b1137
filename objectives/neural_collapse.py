"""Neural collapse: how far the features of the last layer have come down to one point a class, as a log.

Source: Papyan, Han & Donoho 2020, arXiv:2008.08186; defined on the training images, without mixup.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NeuralCollapse:
    """All figures are 0 for collapsed features.

    Args:
        within: NC1, tr(S_W S_B^+) / K: scatter within the classes against that between their means.
        norms: NC2, standard deviation over mean of the distances of the class means from their centre.
        angles: NC2, mean distance of the cosines between two centred means from -1 / (K - 1).
        duality: NC3, distance of the classifier's weights from the centred means, either of Frobenius norm 1.
    """

    within: float
    norms: float
    angles: float
    duality: float


def neural_collapse(features: Tensor, labels: Tensor, weights: Tensor) -> NeuralCollapse:
    """Figures of features (N, F), their classes (N,) and the weights (K, F) of the classifier that reads them.

    Raises:
        ValueError: if fewer than two classes have features.
    """
    features, weights = features.double(), weights.double()
    present = labels.unique(sorted=True)  # type: ignore[no-untyped-call]
    if len(present) < 2:
        raise ValueError(f"neural collapse needs features of at least two classes, got {len(present)}.")
    means = torch.stack([features[labels == k].mean(0) for k in present])  # (K, F)
    centred = means - means.mean(0)
    rest = features - means[torch.searchsorted(present, labels)]
    within, between = rest.T @ rest / len(rest), centred.T @ centred / len(present)
    lengths = centred.norm(dim=1)
    unit = centred / lengths.clamp_min(1e-12)[:, None]
    cosines = (unit @ unit.T)[~torch.eye(len(present), dtype=torch.bool, device=unit.device)]
    mine = weights[present]
    return NeuralCollapse(
        within=float(torch.trace(within @ torch.linalg.pinv(between, hermitian=True))) / len(present),
        norms=float(lengths.std(correction=0) / lengths.mean()),
        angles=float((cosines + 1 / (len(present) - 1)).abs().mean()),
        duality=float((mine / mine.norm() - centred / centred.norm()).norm()),
    )

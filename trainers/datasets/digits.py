"""Handwritten digits of scikit-learn: 1,797 grey images of 8x8 with 17 levels, 10 classes; part of scikit-learn itself.

A fifth is kept as test split by a fixed seed, the same for everybody.
"""

from dataclasses import dataclass

import numpy as np

from trainers.dataset import Dataset, dataset
from trainers.samples import Samples, Split


@dataset("digits")
@dataclass(frozen=True)
class Digits(Dataset):
    """Alpaydin & Kaynak 1998, UCI "Optical Recognition of Handwritten Digits" (its test part)."""

    epsilon = "8/255"
    origin = "It comes with scikit-learn."

    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    def load(self, split: Split, limit: int | None = None) -> Samples:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        bunch = load_digits()
        images = bunch.images.astype(np.uint8)[:, None]
        labels = bunch.target.astype(np.int64)
        train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
        chosen = np.sort(train if split == "train" else test)
        return Samples(images[chosen], labels[chosen], levels=16)

    def found(self) -> str | None:
        return "embedded"

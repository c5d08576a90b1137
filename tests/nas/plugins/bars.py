"""A data set of one's own: bars that lie or stand."""

from dataclasses import dataclass

import numpy as np

from trainers import Dataset, Samples
from trainers.dataset import dataset
from trainers.samples import Split


@dataset("bars")
@dataclass(frozen=True)
class Bars(Dataset):
    """Noisy bars, 200 images to train and 60 to test.

    Args:
        side: of an image in pixels.
    """

    side: int = 8

    origin = "They are generated."

    def classes(self) -> tuple[str, ...]:
        return ("lying", "standing")

    def found(self) -> str | None:
        return "generated"

    def load(self, split: Split, limit: int | None = None) -> Samples:
        random = np.random.default_rng([1, split == "test"])
        labels = random.permutation(np.arange(200 if split == "train" else 60) % 2)
        stripe = np.where(np.arange(self.side) % 2, 180, 60)
        images = np.where(labels[:, None, None] == 0, stripe[None, :, None], stripe[None, None, :])
        noise = random.integers(-40, 40, (len(labels), self.side, self.side))
        return Samples((images + noise).astype(np.uint8)[:, None], labels.astype(np.int64))

"""Street View House Numbers, cropped digits: 73,257 + 26,032 colour images of 32x32, 10 classes.

``svhn/train_32x32.mat`` and ``svhn/test_32x32.mat``: MATLAB files with ``X`` (32, 32, 3, N) and ``y`` (N, 1), where the
digit 0 is labelled 10.
"""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from trainers.dataset import Dataset, dataset
from trainers.formats.reading import data_root, missing, reading
from trainers.samples import Samples, Split


@dataset("svhn")
@dataclass(frozen=True)
class Svhn(Dataset):
    """Netzer et al. 2011, "Reading Digits in Natural Images with Unsupervised Feature Learning"."""

    shift = 2
    epsilon = "2/255"
    origin = "Get train_32x32.mat and test_32x32.mat from the page of Street View House Numbers and put them there."
    files = MappingProxyType(
        {
            "svhn/train_32x32.mat": (
                "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
                "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
            ),
            "svhn/test_32x32.mat": (
                "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
                "md5:eb5a983be6a315427106f1b164d9cef3",
            ),
        }
    )

    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    def found(self) -> str | None:
        root = Path(self.location) if self.location else data_root()
        folders = (root / "svhn", root / "SVHN", root) if root else ()
        return next((str(folder) for folder in folders if (folder / "train_32x32.mat").is_file()), None)

    def load(self, split: Split, limit: int | None = None) -> Samples:
        from scipy.io import loadmat

        place = self.found()
        if place is None:
            raise missing("svhn", self.location, ["svhn/train_32x32.mat"], self.origin)
        path = Path(place) / f"{split}_32x32.mat"
        with reading(path, "an official SVHN file: X (32, 32, 3, N) uint8 and y (N, 1) from 1 to 10"):
            content = loadmat(path, variable_names=["X", "y"])
            images, labels = content["X"], content["y"].reshape(-1).astype(np.int64)
            if images.shape != (32, 32, 3, len(labels)) or images.dtype != np.uint8:
                raise ValueError(f"it holds {images.dtype} of shape {images.shape} and {len(labels)} labels")
            if not 1 <= labels.min() <= labels.max() <= 10:
                raise ValueError(f"its labels go from {labels.min()} to {labels.max()}")
        return Samples(np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels % 10)

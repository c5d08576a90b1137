"""MNIST: handwritten digits, 60,000 + 10,000 grey images of 28x28; layouts as in `trainers.formats.idx`."""

from dataclasses import dataclass

from trainers.dataset import dataset
from trainers.formats.idx import Idx, idx_files


@dataset("mnist")
@dataclass(frozen=True)
class Mnist(Idx):
    """LeCun, Cortes, Burges 1998, "The MNIST database of handwritten digits"."""

    folders = ("mnist", "MNIST/raw")
    origin = "Get the four .gz files of the MNIST database of handwritten digits and put them there."
    files = idx_files(
        "MNIST/raw",
        "https://ossci-datasets.s3.amazonaws.com/mnist",  # the authors' own page no longer offers the files
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    )

    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

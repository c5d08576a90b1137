"""Fashion-MNIST: clothes, 60,000 + 10,000 grey images of 28x28; layouts as in `trainers.formats.idx`."""

from dataclasses import dataclass

from trainers.dataset import dataset
from trainers.formats.idx import Idx, idx_files


@dataset("fashion_mnist")
@dataclass(frozen=True)
class FashionMnist(Idx):
    """Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747."""

    flip = True
    epsilon = "4/255"
    folders = ("fashion_mnist", "FashionMNIST/raw")
    origin = "Get the four .gz files from the page of Fashion-MNIST (zalandoresearch) and put them there."
    files = idx_files(
        "FashionMNIST/raw",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    )

    def classes(self) -> tuple[str, ...]:
        return ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

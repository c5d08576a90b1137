"""Kuzushiji-MNIST: cursive hiragana, 60,000 + 10,000 grey images of 28x28; layouts as in `trainers.formats.idx`."""

from dataclasses import dataclass

from trainers.dataset import dataset
from trainers.formats.idx import Idx, idx_files


@dataset("kmnist")
@dataclass(frozen=True)
class Kmnist(Idx):
    """Clanuwat et al. 2018, "Deep Learning for Classical Japanese Literature", arXiv:1812.01718."""

    folders = ("kmnist", "KMNIST/raw")
    origin = "Get the four .gz files from the page of Kuzushiji-MNIST (CODH, rois-codh/kmnist) and put them there."
    files = idx_files(
        "KMNIST/raw",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    )

    def classes(self) -> tuple[str, ...]:
        return ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

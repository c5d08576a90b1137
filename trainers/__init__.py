"""How one candidate is trained, and on which data.

Knows nothing of search spaces, of objectives or of the search: it trains any ``nn.Module`` on any data set.
"""

from trainers import datasets
from trainers.adamixup import AdaMixUp
from trainers.adversarial import Adversarial
from trainers.automix import AutoMix
from trainers.dataset import DATASETS, Dataset
from trainers.presets import PRESETS
from trainers.samples import Samples
from trainers.splits import TrainingData, training_data
from trainers.supervised import Supervised
from trainers.trainer import TRAINERS, DivergedError, Epoch, Trainer

__all__ = [
    "DATASETS",
    "PRESETS",
    "TRAINERS",
    "AdaMixUp",
    "Adversarial",
    "AutoMix",
    "Dataset",
    "DivergedError",
    "Epoch",
    "Samples",
    "Supervised",
    "Trainer",
    "TrainingData",
    "datasets",
    "training_data",
]

"""How one candidate is trained, and on which data.

Knows nothing of search spaces, of objectives or of the search: it trains any ``nn.Module`` on any data set.
"""

from trainers import datasets
from trainers.data import DATASETS, Dataset, Samples, TrainingData, training_data
from trainers.presets import PRESETS
from trainers.supervised import TRAINERS, DivergedError, Epoch, Supervised, Trainer

__all__ = [
    "DATASETS",
    "PRESETS",
    "TRAINERS",
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

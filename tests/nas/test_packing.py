"""The share of a GPU that a trial asks for."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from nas.packing import gpu_bytes, gpu_share
from nas.testing.executors import plan
from nas.trial import GPU_CONTEXT
from searchspaces.known.convmixer import convmixer
from trainers import DATASETS, Supervised, Trainer, TrainingData, training_data


@pytest.fixture(scope="module")
def digits() -> TrainingData:
    return training_data(DATASETS["digits"](), limit=100, validation=0.2, seed=0)


@dataclass(frozen=True)
class Silent(Trainer):
    """Does not say how many images it has at a time."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None: ...


def needed(data: TrainingData, batch: int, **settings: Any) -> int:
    found = gpu_bytes(plan(data, 0, Supervised(batch_size=batch, **settings)), data)
    assert found is not None
    return found


def test_a_trial_needs_more_for_larger_batches_and_halved_ones_less(digits: TrainingData) -> None:
    assert GPU_CONTEXT < needed(digits, 1000) < needed(digits, 4000)
    assert needed(digits, 4000, micro_batches=2) == needed(digits, 2000)


def test_a_larger_network_needs_a_larger_share(digits: TrainingData) -> None:
    small = plan(digits, 0)
    large = convmixer(256, 8, kernel=5, patch=2, side=32, classes=10)
    bigger = replace(small, architecture=large.to_json(), key=large.key)
    assert gpu_share(small, digits, 10**11) < gpu_share(bigger, digits, 10**11) < 1
    assert gpu_share(bigger, digits, 10**9) == 1


def test_a_trainer_that_does_not_say_gets_a_whole_gpu(digits: TrainingData) -> None:
    assert gpu_share(plan(digits, 0, Silent()), digits, 10**12) == 1


def test_the_data_on_the_device_count(digits: TrainingData) -> None:
    few = training_data(DATASETS["digits"](), limit=50, validation=0.2, seed=0)
    differ = digits.train.images.nbytes - few.train.images.nbytes  # type: ignore[union-attr]
    assert needed(digits, 64) - needed(few, 64) == pytest.approx(differ + 4 * 10 * 64)

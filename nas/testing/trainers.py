"""The contract of trainers."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from trainers import TRAINERS, DivergedError, Epoch, Samples, Trainer, TrainingData


def numbered(number: int = 64, *, flip: bool = False, shift: int = 0) -> TrainingData:
    """Images of 4x4, dark and bright halves: class 0 is bright on the right; the corner of channel 0 numbers them."""
    generator = np.random.default_rng(0)
    labels = np.arange(number) % 2
    images = generator.integers(0, 60, (number, 2, 4, 4), dtype=np.uint8)
    images[labels == 0, 1, :, 2:] += 150
    images[labels == 1, 1, :, :2] += 150
    images[:, 0] = 0
    images[:, 0, 0, 0] = np.arange(number)
    samples = Samples(images, labels)
    return TrainingData(("right", "left"), samples, samples, (0.0,) * 2, (1.0,) * 2, flip, shift)


def network(seed: int = 0) -> nn.Sequential:
    """Convolution, frozen convolution, norm, classifier."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.GELU(), nn.Flatten(), nn.Linear(128, 2)
    )
    model[1].requires_grad_(False)
    return model


def trained(trainer: Trainer, data: TrainingData | None = None, *, seed: int = 0) -> tuple[nn.Sequential, list[Epoch]]:
    """The network after its training, and the reports."""
    model, epochs = network(), list[Epoch]()
    trainer.train(model, data or numbered(), seed=seed, report=epochs.append)
    return model, epochs


class TrainerContract:
    """What every trainer keeps to; parametrise it with ``trainer``, an instance that suits 64 small images."""

    def test_it_is_registered_and_its_settings_are_json(self, trainer: Trainer) -> None:
        assert type(trainer) in TRAINERS.values()
        assert json.loads(json.dumps(trainer.settings())) == trainer.settings()

    def test_the_loss_falls(self, trainer: Trainer) -> None:
        _, epochs = trained(replace(trainer, epochs=8))
        assert epochs[-1].loss < epochs[0].loss

    def test_the_network_is_left_in_eval_mode_with_other_weights(self, trainer: Trainer) -> None:
        before = copy.deepcopy(network().state_dict())
        model, _ = trained(replace(trainer, epochs=2))
        assert not any(module.training for module in model.modules())
        assert any(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    def test_the_same_seed_gives_the_same_weights_to_the_bit(self, trainer: Trainer) -> None:
        one, same = (trained(replace(trainer, epochs=3), numbered(flip=True, shift=1), seed=1)[0] for _ in range(2))
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, same.state_dict()[name]), name

    def test_training_does_not_depend_on_the_global_random_state(self, trainer: Trainer) -> None:
        weights = []
        for state in (1, 2):
            model = network()
            torch.manual_seed(state)
            replace(trainer, epochs=2).train(model, numbered(flip=True, shift=1), seed=0, report=lambda epoch: None)
            weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        assert torch.equal(*weights)

    def test_every_epoch_is_reported_once_and_in_order(self, trainer: Trainer) -> None:
        _, epochs = trained(replace(trainer, epochs=4))
        assert [(epoch.number, epoch.total) for epoch in epochs] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert all(math.isfinite(epoch.loss) and epoch.loss > 0 for epoch in epochs)
        assert all(0 <= epoch.seconds < 60 for epoch in epochs)

    def test_what_report_raises_ends_the_training_and_passes_through(self, trainer: Trainer) -> None:
        class Enough(Exception):  # noqa: N818 (a reason, not an error)
            pass

        numbers = []

        def report(epoch: Epoch) -> None:
            numbers.append(epoch.number)
            if epoch.number == 2:
                raise Enough("that will do")

        with pytest.raises(Enough, match="that will do"):
            replace(trainer, epochs=5).train(network(), numbered(), seed=0, report=report)
        assert numbers == [1, 2]

    def test_frozen_parameters_keep_their_bits(self, trainer: Trainer) -> None:
        model = network()
        before = copy.deepcopy(model.state_dict())
        replace(trainer, epochs=3).train(model, numbered(), seed=0, report=lambda epoch: None)
        for name in ("1.weight", "1.bias"):
            assert torch.equal(model.state_dict()[name], before[name])
        assert not any(p.requires_grad for p in model[1].parameters())

    def test_the_data_are_left_as_they_were(self, trainer: Trainer) -> None:
        data = numbered(flip=True, shift=1)
        trained(replace(trainer, epochs=2), data)
        assert np.array_equal(data.train.images[:], numbered().train.images[:])
        assert np.array_equal(data.train.labels, numbered().train.labels)

    def test_a_loss_that_is_not_finite_is_an_error(self, trainer: Trainer) -> None:
        model, epochs = network(), list[Epoch]()
        nn.init.constant_(model.get_parameter("5.bias"), math.nan)
        with pytest.raises(DivergedError):
            replace(trainer, epochs=3).train(model, numbered(), seed=0, report=epochs.append)
        assert epochs == []

    def test_half_a_batch_at_a_time_is_the_same_training_or_refused(self, trainer: Trainer) -> None:
        halved = trainer.halved()
        if halved is not None:
            assert halved.micro_batches == 2 * trainer.micro_batches
            assert replace(halved, micro_batches=trainer.micro_batches) == trainer

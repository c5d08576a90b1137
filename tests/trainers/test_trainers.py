"""The contract of trainers, held by every registered one; then what is particular to supervised training."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from nas.testing.trainers import TrainerContract, network, numbered, trained
from objectives.attacks import make_attack
from trainers import TRAINERS, DivergedError, Epoch, Samples, Supervised, Trainer, TrainingData
from trainers.trainer import trainer

SETTINGS: dict[str, dict[str, Any]] = {
    "supervised": {"batch_size": 16},
    "adamixup": {"batch_size": 16},
    "adversarial": {"batch_size": 16, "steps": 2, "attacks": make_attack},
}
"""Settings that suit 64 small images, for trainers whose defaults do not."""


def made(name: str, epochs: int) -> Trainer:
    return TRAINERS[name](epochs=epochs, **SETTINGS.get(name, {}))


def silent(epoch: Epoch) -> None:
    """A report that says nothing."""


class Step:
    """What an optimiser is about to do: its groups and gradients, as they stand."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.groups = [{**group, "params": list(group["params"])} for group in optimizer.param_groups]
        self.learning_rate: float = self.groups[0]["lr"]
        self.parameters: list[nn.Parameter] = [p for group in self.groups for p in group["params"]]
        self.norm = math.sqrt(sum(float(p.grad.square().sum()) for p in self.parameters if p.grad is not None))


@pytest.fixture
def steps() -> Iterator[list[Step]]:
    """Every step that any optimiser takes during the test."""
    taken: list[Step] = []
    handle = register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: taken.append(Step(optimizer)))
    yield taken
    handle.remove()


@pytest.fixture
def seen() -> tuple[nn.Sequential, list[Tensor]]:
    """A network, and the batches that it gets in training."""
    model, batches = network(), []
    model.register_forward_pre_hook(lambda module, args: batches.append(args[0].detach().clone()))
    return model, batches


@pytest.mark.parametrize("trainer", [made(name, 3) for name in TRAINERS], ids=TRAINERS)
class TestTrainers(TrainerContract):
    def test_it_learns_what_can_be_learned(self, trainer: Trainer) -> None:
        data = numbered()
        model, epochs = trained(replace(trainer, epochs=8), data)
        assert epochs[-1].loss < 0.7 * epochs[0].loss
        images, labels = data.validation.tensors()
        assert (model.eval()(images).argmax(1) == labels).all()

    def test_another_seed_gives_other_weights(self, trainer: Trainer) -> None:
        one, other = (trained(trainer, numbered(flip=True, shift=1), seed=seed)[0] for seed in (1, 2))
        assert not torch.equal(one[0].weight, other[0].weight)

    def test_frozen_parameters_never_reach_the_optimiser(self, trainer: Trainer, steps: list[Step]) -> None:
        model = network()
        before = copy.deepcopy(model.state_dict())
        trainer.train(model, numbered(), seed=0, report=silent)
        frozen = {id(p) for p in model[1].parameters()}
        moved = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
        assert moved == {key for key in before if not key.startswith("1.")}
        assert steps
        for step in steps:
            assert {id(p) for p in model.parameters()} - {id(p) for p in step.parameters} == frozen

    def test_a_loss_that_is_not_finite_names_the_epoch(self, trainer: Trainer) -> None:
        model = network()
        nn.init.constant_(model[5].bias, math.nan)
        with pytest.raises(DivergedError, match=r"the training loss was nan in epoch 1 of 3\."):
            trainer.train(model, numbered(), seed=0, report=silent)


def test_a_class_that_does_not_derive_from_trainer_is_refused() -> None:
    with pytest.raises(ValueError, match="trainer 'other' must be a frozen dataclass derived from Trainer"):
        trainer("other")(object)  # type: ignore[type-var]


def test_registering_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"trainer 'supervised' is already registered by .*Supervised"):
        trainer("supervised")(Supervised)
    assert TRAINERS["supervised"] is Supervised


# Supervised


def test_a_network_that_breaks_later_is_told_with_that_epoch() -> None:
    model, epochs = network(), []

    def report(epoch: Epoch) -> None:
        epochs.append(epoch.number)
        if epoch.number == 2:
            nn.init.constant_(model[5].bias, math.inf)

    with pytest.raises(DivergedError, match=r"the training loss was (nan|inf) in epoch 3 of 5\."):
        Supervised(epochs=5, batch_size=16).train(model, numbered(), seed=0, report=report)
    assert epochs == [1, 2]


@pytest.mark.parametrize(
    ("number", "batch_size", "sizes"),
    [(64, 16, {16}), (65, 16, {13}), (50, 16, {12, 13}), (33, 32, {16, 17}), (10, 64, {10}), (60, 7, {6, 7})],
)
def test_batches_of_an_epoch_differ_by_at_most_one_image(
    seen: tuple[nn.Sequential, list[Tensor]], number: int, batch_size: int, sizes: set[int]
) -> None:
    model, batches = seen
    Supervised(epochs=1, batch_size=batch_size, warmup=0.3).train(model, numbered(number), seed=0, report=silent)
    assert {len(batch) for batch in batches} == sizes
    assert len(batches) == math.ceil(number / batch_size)


def test_every_image_is_seen_once_in_an_epoch_in_an_order_of_its_own(
    seen: tuple[nn.Sequential, list[Tensor]],
) -> None:
    model, batches = seen
    Supervised(epochs=2, batch_size=16).train(model, numbered(), seed=0, report=silent)
    order = (torch.cat(batches)[:, 0, 0, 0] * 255).round().int().tolist()
    assert sorted(order[:64]) == sorted(order[64:]) == list(range(64))
    assert order[:64] != order[64:]
    assert order[:64] != list(range(64))


def test_the_network_gets_pixels_from_zero_to_one(seen: tuple[nn.Sequential, list[Tensor]]) -> None:
    model, batches = seen
    data = numbered()
    Supervised(epochs=1, batch_size=64).train(model, data, seed=0, report=silent)
    (batch,) = batches
    assert batch.dtype == torch.float32
    order = (batch[:, 0, 0, 0] * 255).round().long()
    torch.testing.assert_close(batch, torch.tensor(data.train.images)[order] / 255)


def changed(batches: list[Tensor], data: TrainingData) -> float:
    """Share of the images that came in another form than in the data."""
    known = {image.tobytes() for image in data.train.images}
    images = (torch.cat(batches) * 255).round().byte().contiguous().numpy()
    return float(np.mean([image.tobytes() not in known for image in images]))


@pytest.mark.parametrize(
    ("suits", "asked", "low", "high"),
    [
        ({}, {}, 0, 0),
        ({"flip": True}, {}, 0.3, 0.7),
        ({"shift": 1}, {}, 0.8, 1),
        ({"flip": True, "shift": 1}, {"flip": False, "shift": 0}, 0, 0),
        ({}, {"flip": True}, 0.3, 0.7),
        ({}, {"shift": 1}, 0.8, 1),
    ],
    ids=["none", "flip of the data", "shift of the data", "turned off", "flip asked for", "shift asked for"],
)
def test_augmentation_is_what_suits_the_data_unless_set(
    seen: tuple[nn.Sequential, list[Tensor]], suits: dict[str, Any], asked: dict[str, Any], low: float, high: float
) -> None:
    model, batches = seen
    data = numbered(**suits)
    Supervised(epochs=2, batch_size=16, **asked).train(model, data, seed=0, report=silent)
    assert low <= changed(batches, data) <= high


@pytest.mark.parametrize("warmup", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_almost_nothing(
    steps: list[Step], schedule: Any, warmup: float
) -> None:
    trained(Supervised(epochs=10, batch_size=16, schedule=schedule, warmup=warmup, learning_rate=0.01))
    rates = [step.learning_rate for step in steps]
    assert len(rates) == 40
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert abs(peak - 40 * warmup) <= 1.5
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[0] < 0.5 * max(rates)
    assert rates[-1] < 0.02 * max(rates)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_without_warm_up_the_learning_rate_only_falls(steps: list[Step], schedule: Any) -> None:
    trained(Supervised(epochs=10, batch_size=16, schedule=schedule, warmup=0, learning_rate=0.01))
    rates = [step.learning_rate for step in steps]
    assert rates[0] == 0.01
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.02 * 0.01


def test_biases_and_norms_are_not_decayed(steps: list[Step]) -> None:
    model, _ = trained(Supervised(epochs=1, batch_size=16, weight_decay=0.3, warmup=0.5))
    decay = {id(p): group["weight_decay"] for group in steps[0].groups for p in group["params"]}
    by_name = {name: decay[id(p)] for name, p in model.named_parameters() if p.requires_grad}
    assert by_name == {"0.weight": 0.3, "0.bias": 0, "2.weight": 0, "2.bias": 0, "5.weight": 0.3, "5.bias": 0}


def test_the_gradient_is_clipped_to_its_bound(steps: list[Step]) -> None:
    trained(Supervised(epochs=1, batch_size=16, clip_norm=0.01, warmup=0.5))
    clipped = [step.norm for step in steps]
    steps.clear()
    trained(Supervised(epochs=1, batch_size=16, clip_norm=0, warmup=0.5))
    assert clipped == pytest.approx([0.01] * 4, rel=1e-3)
    assert min(step.norm for step in steps) > 0.02


def test_the_reported_loss_is_the_mean_over_all_images() -> None:
    """Logits that are always zero cost log 2, whatever the sizes of the batches."""
    model = network()
    nn.init.zeros_(model[5].weight)
    nn.init.zeros_(model[5].bias)
    model.requires_grad_(False)
    model[0].bias.requires_grad_(True)
    epochs: list[Epoch] = []
    Supervised(epochs=1, batch_size=16, warmup=0.3).train(model, numbered(50), seed=0, report=epochs.append)
    assert epochs[0].loss == pytest.approx(math.log(2))


def test_label_smoothing_keeps_the_loss_off_zero() -> None:
    plain, smooth = (trained(Supervised(epochs=10, batch_size=16, label_smoothing=s))[1][-1].loss for s in (0, 0.2))
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))  # of the smoothed target of two classes
    assert plain < 0.1
    assert smooth >= entropy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"learning_rate": 0.0}, r"learning_rate must be positive, got 0\.0"),
        ({"learning_rate": math.nan}, "learning_rate must be positive, got nan"),
        ({"learning_rate": math.inf}, "learning_rate must be positive, got inf"),
        ({"weight_decay": -0.1}, r"weight_decay must not be negative, got -0\.1"),
        ({"clip_norm": -1.0}, r"clip_norm must not be negative, got -1\.0"),
        ({"shift": -1}, "shift must not be negative, got -1"),
        ({"warmup": 1.0}, r"warmup must be in \[0, 1\), got 1\.0"),
        ({"label_smoothing": -0.1}, r"label_smoothing must be in \[0, 1\), got -0\.1"),
    ],
)
def test_wrong_settings_are_answered_with_what_must_hold(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Supervised(**settings)


def blank(number: int) -> TrainingData:
    samples = Samples(np.zeros((number, 1, 4, 4), np.uint8), np.arange(number) % 2)
    return TrainingData(("a", "b"), samples, samples, (0.0,), (1.0,), False, 0)


@pytest.mark.parametrize("warmup", [0.1, 0.2, 0.25, 0.5])
@pytest.mark.parametrize("number", range(1, 13))
def test_any_number_of_steps_can_be_trained(number: int, warmup: float) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    Supervised(epochs=1, batch_size=1, warmup=warmup).train(model, blank(number), seed=0, report=lambda epoch: None)


def test_a_network_with_nothing_to_train_is_told() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter to train"):
        Supervised(epochs=1).train(model, blank(4), seed=0, report=lambda epoch: None)

"""The contract of trainers, held by every registered one; then what is particular to supervised training."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from trainers import TRAINERS, DivergedError, Epoch, Samples, Supervised, Trainer, TrainingData
from trainers.supervised import trainer

SETTINGS: dict[str, dict[str, Any]] = {"supervised": {"batch_size": 16}}
"""Settings that suit 64 small images, for trainers whose defaults do not."""

every_trainer = pytest.mark.parametrize("name", TRAINERS)


def made(name: str, epochs: int) -> Trainer:
    return TRAINERS[name](epochs=epochs, **SETTINGS.get(name, {}))


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


def silent(epoch: Epoch) -> None:
    """A report that says nothing."""


def trained(trainer: Trainer, data: TrainingData | None = None, *, seed: int = 0) -> tuple[nn.Sequential, list[Epoch]]:
    model, epochs = network(), []
    trainer.train(model, data or numbered(), seed=seed, report=epochs.append)
    return model, epochs


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


# The contract


@every_trainer
def test_it_learns_what_can_be_learned(name: str) -> None:
    data = numbered()
    model, epochs = trained(made(name, 8), data)
    assert epochs[-1].loss < 0.5 * epochs[0].loss
    images, labels = data.validation.tensors()
    assert (model.eval()(images).argmax(1) == labels).all()


@every_trainer
def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_seed_others(name: str) -> None:
    one, same, other = (trained(made(name, 3), numbered(flip=True, shift=1), seed=seed)[0] for seed in (1, 1, 2))
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[key]), key
    assert not torch.equal(one[0].weight, other[0].weight)


@every_trainer
def test_training_does_not_depend_on_the_global_random_state(name: str) -> None:
    data, weights = numbered(flip=True, shift=1), []
    for state in (1, 2):
        model = network()
        torch.manual_seed(state)
        made(name, 2).train(model, data, seed=0, report=silent)
        weights.append(model[0].weight)
    assert torch.equal(*weights)


@every_trainer
def test_every_epoch_is_reported_once_and_in_order(name: str) -> None:
    trainer = made(name, 4)
    _, epochs = trained(trainer)
    assert trainer.epochs == 4
    assert [(epoch.number, epoch.total) for epoch in epochs] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(math.isfinite(epoch.loss) and epoch.loss > 0 for epoch in epochs)
    assert all(0 < epoch.seconds < 60 for epoch in epochs)


@every_trainer
def test_what_report_raises_ends_the_training_and_passes_through(name: str) -> None:
    class Enough(Exception):  # noqa: N818 (a reason, not an error)
        pass

    numbers = []

    def report(epoch: Epoch) -> None:
        numbers.append(epoch.number)
        if epoch.number == 2:
            raise Enough("that will do")

    with pytest.raises(Enough, match="that will do"):
        made(name, 5).train(network(), numbered(), seed=0, report=report)
    assert numbers == [1, 2]


@every_trainer
def test_frozen_parameters_keep_their_bits_and_never_reach_the_optimiser(name: str, steps: list[Step]) -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    made(name, 3).train(model, numbered(), seed=0, report=silent)
    frozen = {id(p) for p in model[1].parameters()}
    moved = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == {key for key in before if not key.startswith("1.")}
    assert steps
    for step in steps:
        assert {id(p) for p in step.parameters} == {id(p) for p in model.parameters()} - frozen
    assert not any(p.requires_grad for p in model[1].parameters())


@every_trainer
def test_the_data_are_left_as_they_were(name: str) -> None:
    data = numbered(flip=True, shift=1)
    trained(made(name, 2), data)
    assert np.array_equal(data.train.images, numbered().train.images)
    assert np.array_equal(data.train.labels, numbered().train.labels)


@every_trainer
def test_a_loss_that_is_not_finite_is_an_error_that_names_the_epoch(name: str) -> None:
    model, epochs = network(), []
    nn.init.constant_(model[5].bias, math.nan)
    with pytest.raises(DivergedError, match=r"the training loss was nan in epoch 1 of 3\."):
        made(name, 3).train(model, numbered(), seed=0, report=epochs.append)
    assert epochs == []


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

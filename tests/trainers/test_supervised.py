"""The training engine: stopped anywhere it goes on to the same weights; every option does what its paper says."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from objectives.attacks import make_attack
from trainers import DATASETS, PRESETS, AdaMixUp, Adversarial, AutoMix, Epoch, Samples, Supervised, TrainingData
from trainers.checkpoints import FolderCheckpoints
from trainers.optimization import Lion, climb, descend, learning_rate, rising
from trainers.supervised import Training, binary_loss, decoupled_loss


def data(number: int = 40, size: int = 8, levels: int = 255) -> TrainingData:
    generator = np.random.default_rng(0)
    labels = np.arange(number) % 4
    images = generator.integers(0, 256, (number, 3, size, size), dtype=np.uint8)
    images[np.arange(number), labels % 3] //= 4
    samples = Samples(images, labels.astype(np.int64), levels)
    return TrainingData(tuple("abcd"), samples, samples, (0.4, 0.4, 0.4), (0.2, 0.2, 0.2), True, 1)


def network(dropout: float = 0.3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(8, 8, 3, groups=2).requires_grad_(False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def silent(epoch: Epoch) -> None:
    pass


class StopError(Exception):
    """Ends a training, as a kill does."""


class StoppingCheckpoints(FolderCheckpoints):
    """Ends the training right after its ``kill``-th checkpoint."""

    kill = 0

    def save(self, step: int, tensors: dict[str, torch.Tensor]) -> None:
        super().save(step, tensors)
        self.kill -= 1
        if self.kill == 0:
            raise StopError


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1},
    "lion": {"optimizer": "lion", "learning_rate": 1e-3, "beta2": 0.99},
    "labels apart": {"mixup": 0.4, "label_lambda": "resampled"},
    "average": {"average": 0.9, "average_end": 0.999},
    "each": {"mixup": 0.4, "cutmix": 1.0, "mix_rate": 0.6, "mix_each": True, "decoupled": 0.1, "micro_batches": 2},
    "sharpness": {"sharpness": 0.05},
    "adaptive": {"sharpness": 0.5, "adaptive_sharpness": True},
    "mixed": {"mixup": 0.4, "cutmix": 1.0, "mix_until": 0.5, "decoupled": 0.1, "erase": 0.4},
    "augmented": {
        "crop": 0.5,
        "level": 0.2,
        "stretch": 0.2,
        "operations": 2,
        "magnitude": 7.0,
        "mask_mel": 3,
        "mask_frames": 3,
    },
    "micro": {"micro_batches": 3, "schedule": "triangle", "warmup": 0.4},
    "bf16": {"precision": "bf16", "schedule": "exponential"},
}
ADVERSARIAL: dict[str, dict[str, Any]] = {
    "each": {"steps": 1, "mixup": 0.4, "mix_each": True},
    "mixed": {"steps": 2, "share": 0.5, "mixup": 0.4, "cutmix": 1.0, "sharpness": 0.05},
    "free": {"free": 2, "micro_batches": 3, "average": 0.99, "options": {"norm": "l2"}, "epsilon": 0.5},
    "random": {"attack": "square", "options": {"queries": 2}, "random_start": False},
}


TRAININGS = {name: Supervised(epochs=3, batch_size=8, **options) for name, options in OPTIONS.items()} | {
    f"adversarial {name}": Adversarial(epochs=3, batch_size=8, attacks=make_attack, **options)
    for name, options in ADVERSARIAL.items()
}
TRAININGS["adamixup"] = AdaMixUp(epochs=3, batch_size=8, micro_batches=2)
TRAININGS["automix"] = AutoMix(epochs=3, batch_size=8, micro_batches=2)


@pytest.mark.parametrize("trainer", TRAININGS.values(), ids=TRAININGS)
def test_a_training_killed_at_any_step_ends_with_the_same_weights(tmp_path: Path, trainer: Supervised) -> None:
    whole = network()
    trainer.train(whole, data(), seed=5, report=silent)
    for kill in (1, 4, 5, 12, 15):  # in the first epoch, at its end, in the middle, at the last step
        folder = tmp_path / str(kill)
        stopping = StoppingCheckpoints(folder, {}, seconds=0)
        stopping.kill = kill
        with pytest.raises(StopError):
            trainer.train(network(), data(), seed=5, report=silent, checkpoints=stopping)
        torch.manual_seed(99)  # another process has another random state
        reports: list[Epoch] = []
        resumed = network(dropout=0.3)
        checkpoints = FolderCheckpoints(folder, {})
        trainer.train(resumed, data(), seed=5, report=reports.append, checkpoints=checkpoints)
        for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
            assert torch.equal(a, b), (kill, name)
        assert [epoch.number for epoch in reports] == list(range((kill - 1) // 5 + 1, 4))


def test_the_caller_s_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    model = network()
    torch.set_rng_state(before)
    Supervised(epochs=1).train(model, data(), seed=0, report=silent)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    checkpoints = FolderCheckpoints(tmp_path, {"epochs": 3})
    for step in (1, 2, 3):
        checkpoints.save(step, {"a": torch.tensor(step)})
    newest, older = checkpoints.files()
    newest.write_bytes(newest.read_bytes()[:-2])
    found = checkpoints.load()
    assert found is not None
    assert found["a"] == 2
    assert str(newest) in checkpoints.notes[0]
    older.write_bytes(b"")
    assert FolderCheckpoints(tmp_path, {"epochs": 3}).load() is None


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    FolderCheckpoints(tmp_path, {"epochs": 3, "seed": 1}).save(1, {"a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"belongs to another training: epochs was 3, now 4\. Use the settings"):
        FolderCheckpoints(tmp_path, {"epochs": 4, "seed": 1}).load()


def test_a_training_set_that_does_not_fit_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, one, other = Supervised(epochs=2, batch_size=8), network(), network()
    trainer.train(one, data(), seed=1, report=silent)
    monkeypatch.setattr("trainers.supervised.RESIDENT_BYTES", 100)
    trainer.train(other, data(), seed=1, report=silent)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("mixing", [{}, {"mixup": 1.0}, {"mixup": 1.0, "mix_each": True, "bce": True}], ids=str)
def test_micro_batches_add_up_to_the_gradient_of_the_batch(mixing: dict[str, Any]) -> None:
    def step(parts: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4)).double()
        settings = Supervised(
            epochs=1, micro_batches=parts, clip_norm=0, flip=False, shift=0, precision="fp32", **mixing
        )
        training, labels = Training(settings, model, data(), 0), torch.tensor(data().train.labels[:10])
        batch = training.augment(torch.tensor(data().train.images[:10]), training.generator, mix=True)
        share = torch.as_tensor(batch.share)
        training._backward(batch.images.double(), labels, labels[batch.partner], share, count=True)
        return [training.total, *(p.grad for p in model.parameters() if p.grad is not None)]

    for whole, parts in zip(step(1), step(3), strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-6, atol=1e-9)


def test_frozen_parameters_have_no_optimiser_state_and_do_not_move() -> None:
    model = network()
    frozen = model[4].weight.clone()  # type: ignore[union-attr,operator]
    training = Training(Supervised(epochs=1), model, data(), 0)
    owned = {id(p) for group in training.optimizer.param_groups for p in group["params"]}
    assert id(model[4].weight) not in owned
    Supervised(epochs=1, weight_decay=0.5).train(model, data(), seed=0, report=silent)
    assert torch.equal(model[4].weight, frozen)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1, dtype=torch.float64)], ids=["number", "tensor"])
def test_lion_steps_along_the_sign_of_its_momentum(rate: float | torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(50, dtype=torch.float64, generator=generator))
    idle = nn.Parameter(torch.ones(3))
    optimizer = Lion([{"params": [weight, idle], "weight_decay": 0.5}], rate, (0.9, 0.99))
    expected, momentum = weight.detach().clone(), torch.zeros(50, dtype=torch.float64)
    for _ in range(4):
        weight.grad = torch.randn(50, dtype=torch.float64, generator=generator)
        optimizer.step()
        direction = (0.9 * momentum + 0.1 * weight.grad).sign()
        expected = expected - 0.1 * (direction + 0.5 * expected)
        momentum = 0.99 * momentum + 0.01 * weight.grad
    torch.testing.assert_close(weight.detach(), expected, atol=1e-12, rtol=1e-12)
    assert idle.tolist() == [1, 1, 1]


def test_binary_cross_entropy_takes_each_class_for_itself() -> None:
    logits, labels = torch.tensor([[0.0, math.log(3), -math.log(3)]]), torch.tensor([1])
    of_each = [math.log(2), math.log(4 / 3), math.log(4 / 3)]  # probabilities 1/2 and 1/4 of being wrong by a class
    torch.testing.assert_close(binary_loss(logits, labels), torch.tensor([sum(of_each) / 3]))
    even = binary_loss(logits, labels, smoothing=1.0)  # a target of 1/3 for every class
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.full((1, 3), 1 / 3))
    torch.testing.assert_close(even, expected[None])


def test_a_network_learns_by_binary_cross_entropy_with_mixed_images() -> None:
    losses: list[float] = []
    settings = Supervised(epochs=8, bce=True, mixup=0.5)
    settings.train(network(0.0), data(), seed=0, report=lambda epoch: losses.append(epoch.loss))
    assert losses[-1] < losses[0]


def test_images_with_weights_of_their_own_are_learnt_by_those_weights() -> None:
    torch.manual_seed(0)
    training = Training(Supervised(mixup=1.0, mix_each=True, label_smoothing=0.1), network(0.0).eval(), data(), 0)
    images, first, second, share = torch.rand(6, 3, 8, 8), torch.arange(6) % 4, torch.arange(6) % 3, torch.rand(6)
    found = training.settings.loss(training, images, first, second, share)
    targets = share[:, None] * F.one_hot(first, 4) + (1 - share)[:, None] * F.one_hot(second, 4)
    torch.testing.assert_close(found, F.cross_entropy(training.model(images), targets, label_smoothing=0.1))


def test_the_decay_of_the_average_rises_by_half_a_cosine() -> None:
    decay = rising(0.999, 0.999999, 100)
    assert [decay(0), decay(50), decay(100), decay(101)] == pytest.approx(
        [0.999, 0.9994995, 0.999999, 0.999999], abs=1e-12
    )
    assert rising(0.9, 0.9, 10)(3) == pytest.approx(0.9)


def test_the_average_ends_nearer_the_start_if_its_decay_rises() -> None:
    models = [network(0.0) for _ in range(2)]
    for model, end in zip(models, (0.0, 0.99), strict=True):
        settings = Supervised(epochs=4, batch_size=4, average=0.1, average_end=end, schedule="constant")
        settings.train(model, data(), seed=0, report=silent)
    start = network(0.0)[7].weight
    constant, risen = (torch.dist(model[7].weight, start) for model in models)  # type: ignore[arg-type]
    assert risen < constant


def test_only_sounds_are_mixed_as_sounds() -> None:
    settings = Supervised(mixup=10.0, mix_sounds=True)
    assert settings.suited(DATASETS["fsdd"]()) == settings
    with pytest.raises(ValueError, match="mix_sounds = True does nothing without spectrograms of sounds"):
        settings.suited(DATASETS["digits"]())


def test_the_average_lags_behind_the_weights() -> None:
    models = [network(0.0) for _ in range(2)]
    for model, decay in zip(models, (0.0, 0.9), strict=True):
        Supervised(epochs=2, average=decay).train(model, data(), seed=0, report=silent)
    plain, averaged = (model[7].weight for model in models)
    start = network(0.0)[7].weight
    assert 0 < torch.dist(averaged, start) < torch.dist(plain, start)  # type: ignore[arg-type]


def test_a_sharpness_aware_climb_has_its_radius_and_is_taken_back() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(5, 3).double()
    layer(torch.randn(4, 5, dtype=torch.float64)).square().sum().backward()
    before = [p.detach().clone() for p in layer.parameters()]
    steps = climb(list(layer.parameters()), 0.05, adaptive=False)
    moved = torch.cat([(p.detach() - b).flatten() for p, b in zip(layer.parameters(), before, strict=True)])
    gradient = torch.cat([p.grad.flatten() for p in layer.parameters() if p.grad is not None])
    torch.testing.assert_close(moved, 0.05 * gradient / gradient.norm())
    descend(steps)
    for p, b in zip(layer.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), b)


def test_decoupled_loss_does_not_depend_on_the_order_of_classes() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = torch.tensor([0, 1, 2, 3, 1, 0]), torch.tensor([1, 0, 3, 3, 2, 2])
    loss = decoupled_loss(logits, first, second, 0.3)
    torch.testing.assert_close(decoupled_loss(logits, second, first, 0.7), loss)
    for order in itertools.permutations(range(4)):
        inverse = torch.tensor(order).argsort()
        torch.testing.assert_close(decoupled_loss(logits[:, list(order)], inverse[first], inverse[second], 0.3), loss)
    by_hand = 0.0
    for z, a, b in zip(logits, first.tolist(), second.tolist(), strict=True):
        if a != b:
            e = z.exp()
            by_hand -= 0.3 * float((e[a] / (e.sum() - e[b])).log()) + 0.7 * float((e[b] / (e.sum() - e[a])).log())
    assert loss.mean().item() == pytest.approx(by_hand / 6)
    assert not decoupled_loss(logits, first, second, torch.ones(6)).any()  # images that are not mixed


def test_schedules_at_their_corners() -> None:
    triangle = learning_rate("triangle", 0.4, 100, 4)
    assert [triangle(39), triangle(40)] == [pytest.approx(40 / 41), 1.0]
    assert triangle(80) == pytest.approx(0.05, abs=1e-9)
    assert triangle(99) < 0.003
    exponential = learning_rate("exponential", 0.2, 40, 4)
    assert [exponential(k) for k in (0, 7, 8, 11, 12, 16)] == pytest.approx([1, 1, 1, 1, 0.85, 0.85**2])
    constant = learning_rate("constant", 0.5, 4, 1)
    assert [constant(k) for k in range(4)] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    for schedule in ("one_cycle", "cosine"):
        rate = learning_rate(schedule, 0.2, 50, 5)  # type: ignore[arg-type]
        assert max(rate(k) for k in range(50)) == 1.0
        assert rate(49) < 0.01


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_training(name: str) -> None:
    Supervised(**{**PRESETS[name], "epochs": 1}).train(network(), data(), seed=0, report=silent)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average": 1.0}, r"average must be in \[0, 1\), got 1.0"),
        ({"average_end": 0.9}, r"average_end = 0\.9 does nothing without average\."),
        ({"average": 0.9, "average_end": 0.8}, r"average_end must be at least average = 0\.9, got 0\.8"),
        ({"mix_until": 1.5}, "mix_until must be from 0 to 1, got 1.5"),
        ({"magnitude": 11.0}, "magnitude must be from 0 to 10, got 11.0"),
        ({"mixup": -1.0}, "mixup must not be negative, got -1.0"),
        ({"shift": 1001}, "shift must be at most 1,000, got 1001"),
        ({"epochs": 10**10}, "epochs must be at most 1,000,000,000, got 10000000000"),
        (
            {"magnitude": 7.0},
            r"magnitude = 7\.0 does nothing without operations\. .* leave magnitude at 5\.0",
        ),
        ({"mix_rate": 0.0, "mixup": 0.2}, "mix_rate must be above 0 and at most 1, got 0.0"),
        ({"mix_rate": 0.5}, "mix_rate = 0.5 does nothing without mixup or cutmix"),
        ({"mix_until": 0.5}, "mix_until = 0.5 does nothing without mixup or cutmix"),
        ({"decoupled": 0.1}, "decoupled = 0.1 does nothing without mixup or cutmix"),
        ({"adaptive_sharpness": True}, "adaptive_sharpness = True does nothing without sharpness"),
        ({"optimizer": "sgd", "beta2": 0.9}, "beta2 = 0.9 does nothing without optimizer = 'adamw' or 'lion'"),
        ({"optimizer": "lion", "stability": 1e-6}, "stability = 1e-06 does nothing without optimizer = 'adamw'"),
        ({"label_lambda": "fixed"}, "label_lambda = fixed does nothing without mixup or cutmix"),
        ({"label_lambda": "free", "mixup": 0.2}, "label_lambda must be one of tied, resampled, fixed, got 'free'"),
        ({"label_share": 0.7, "mixup": 0.2}, "label_share = 0.7 does nothing without label_lambda = 'fixed'"),
        ({"micro_batches": 0}, "micro_batches must be at least 1, got 0"),
        ({"decoupled": 0.1, "label_smoothing": 0.1}, "decoupled does not go with label_smoothing"),
        ({"decoupled": 0.1, "mixup": 0.2, "bce": True}, "decoupled does not go with bce"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Supervised(**settings)

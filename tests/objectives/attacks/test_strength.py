"""Attacks against each other: what is stronger by construction is stronger, and what AutoAttack finds is found."""

import pytest
import torch
from torch import Tensor, nn

from nas.testing.attacks import examples, network
from objectives.attacks import ATTACKS
from objectives.attacks.apgd import Apgd
from objectives.attacks.attack import margin, own_numbers
from objectives.attacks.margin import Margin
from objectives.attacks.noise import Noise
from objectives.attacks.square import Square
from objectives.robust_accuracy import RobustAccuracy

RADII = (4 / 255, 8 / 255, 16 / 255)


def survivors(name: str, epsilon: float, **options: object) -> int:
    """Images of 60 that a network still classifies as before."""
    model = network()
    images, labels = examples(model)
    return int((model(ATTACKS[name](epsilon, **options).perturb(model, images, labels)).argmax(1) == labels).sum())


@pytest.mark.parametrize("epsilon", RADII)
def test_attacks_with_gradients_beat_noise_and_more_work_is_never_weaker(epsilon: float) -> None:
    noise = survivors("noise", epsilon)
    assert survivors("margin", epsilon, targets=4) <= survivors("margin", epsilon) <= noise
    assert survivors("square", epsilon, queries=300) <= survivors("square", epsilon, queries=30)
    assert survivors("apgd", epsilon) <= noise


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd_finds_what_that_of_autoattack_finds(norm: str, loss: str) -> None:
    theirs = pytest.importorskip("pyautoattack.autopgd_base")
    model = network()
    images, labels = examples(model)
    epsilon = 6 / 255 if norm == "linf" else 0.3
    name = {"linf": "Linf", "l2": "L2"}[norm]
    judge = theirs.APGDAttack(model, n_iter=20, norm=name, n_restarts=1, eps=epsilon, seed=0, loss=loss, device="cpu")
    expected = int((model(judge.perturb(images, labels)).argmax(1) == labels).sum())
    ours = survivors("apgd", epsilon, norm=norm, loss={"ce": "cross_entropy", "dlr": "dlr"}[loss])
    assert abs(ours - expected) <= 1
    assert 0 < expected < 60


def test_square_finds_at_least_what_that_of_autoattack_finds() -> None:
    """Theirs never touches the last row and column, which counts in images of eight pixels."""
    theirs = pytest.importorskip("pyautoattack.square")
    model = network()
    images, labels = examples(model)
    judge = theirs.SquareAttack(model, n_queries=300, eps=0.1, norm="Linf", n_restarts=1, seed=0, device="cpu")
    expected = int((model(judge.perturb(images, labels)).argmax(1) == labels).sum())
    assert survivors("square", 0.1, queries=300) <= expected + 1


def test_square_needs_no_gradient() -> None:
    class Opaque(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            bright = x.detach().flatten(1).mean(1)
            return torch.stack([0.5 - bright, bright - 0.5], dim=1)

    images, labels = torch.full((3, 1, 4, 4), 0.4), torch.zeros(3, dtype=torch.int64)
    attacked = Square(0.2, queries=100).perturb(Opaque(), images, labels)
    assert (margin(Opaque()(attacked), labels) > 0).all()


def test_the_worst_of_more_noise_is_never_better_for_the_network() -> None:
    model = network()
    images, labels = examples(model)
    few, many = (Noise(0.1, tries=n).perturb(model, images, labels) for n in (1, 8))
    assert (margin(model(many), labels) >= margin(model(few), labels) - 1e-6).all()
    assert not torch.equal(Noise(0.1, kind="gaussian").perturb(model, images, labels), many)


def test_dlr_with_two_classes_is_refused_with_what_to_use() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).requires_grad_(False)
    with pytest.raises(ValueError, match=r"dlr needs at least 3 classes, got 2\. Use loss = 'cross_entropy'"):
        Apgd(0.1, loss="dlr").perturb(model, torch.rand(2, 1, 2, 2), torch.tensor([0, 1]))


def test_a_margin_attack_aims_at_no_more_classes_than_there_are() -> None:
    model = network()
    images, labels = examples(model)
    few, many = (Margin(0.02, targets=n).perturb(model, images, labels) for n in (4, 99))
    assert torch.equal(few, many)


@pytest.mark.parametrize(("name", "options"), [("square", {"norm": "l2"}), ("pgd", {"norm": "l1"})])
def test_a_norm_that_an_attack_cannot_take_is_refused(name: str, options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="norm must be one of linf"):
        ATTACKS[name](0.1, **options)


def test_own_numbers_depend_on_the_image_and_the_seed_alone() -> None:
    images = torch.rand(5, 1, 3, 3)
    numbers = own_numbers(images, 7, seed=1)
    assert torch.equal(own_numbers(images.flip(0), 7, seed=1).flip(0), numbers)
    assert not torch.equal(own_numbers(images, 7, seed=2), numbers)
    assert len({tuple(row.tolist()) for row in numbers}) == 5


def test_more_targets_than_there_are_wrong_classes_are_refused() -> None:
    objective = RobustAccuracy("margin", 0.1, options={"targets": 9})
    objective.check_classes(10)
    with pytest.raises(ValueError, match=r"targets = 9 needs at least 10 classes, got 3\. Use targets = 2, or leave"):
        objective.check_classes(3)

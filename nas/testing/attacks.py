"""The contract of attacks."""

import json

import pytest
import torch
from torch import Tensor, nn

from objectives.attacks import Attack

RADII = (0.0, 1 / 255, 8 / 255, 0.1, 1.0)


def network() -> nn.Module:
    """A small convolutional network with random weights, as it is while it is attacked."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU(), nn.Flatten()
        )
        model = nn.Sequential(layers, nn.Linear(16 * 9, 5))
    return model.eval().requires_grad_(False)


def examples(model: nn.Module, number: int = 60) -> tuple[Tensor, Tensor]:
    """Random images, black and white pixels among them, and the classes that the model predicts for them."""
    images = 1.4 * torch.rand(number, 3, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.2
    images = images.clamp(0, 1).to(next(model.parameters()).dtype)
    return images, model(images).argmax(1)


def size(change: Tensor, norm: str) -> Tensor:
    """(B,) norms of the changes of a batch of images."""
    order = {"linf": float("inf"), "l2": 2.0, "l1": 1.0}[norm]
    norms: Tensor = torch.linalg.vector_norm(change.flatten(1), ord=order, dim=1)
    return norms


class AttackContract:
    """What every attack keeps to; parametrise it with ``kind``, the class, whose settings but epsilon have defaults."""

    @pytest.mark.parametrize("epsilon", RADII)
    def test_images_stay_in_the_ball_and_in_the_pixel_range(self, kind: type[Attack], epsilon: float) -> None:
        model = network()
        images, labels = examples(model, 12)
        attack = kind(epsilon)
        for start in (None, attack.random_start(images, torch.Generator().manual_seed(2))):
            attacked = attack.perturb(model, images, labels, start)
            assert attacked.shape == images.shape
            assert not attacked.requires_grad
            assert attacked.min() >= 0
            assert attacked.max() <= 1
            assert size(attacked - images, kind.norm).max() <= epsilon + 1e-5

    def test_it_finds_errors_more_often_than_chance(self, kind: type[Attack]) -> None:
        model = network()
        images, labels = examples(model)
        attacked = kind(0.3).perturb(model, images, labels)
        assert (model(attacked).argmax(1) != labels).double().mean() > 0.2

    def test_the_same_attack_twice_gives_the_same_images(self, kind: type[Attack]) -> None:
        model = network()
        images, labels = examples(model, 12)
        assert torch.equal(*(kind(0.1).perturb(model, images, labels) for _ in range(2)))

    def test_images_do_not_depend_on_each_other(self, kind: type[Attack]) -> None:
        model = network().double()  # in 32 bits the sign of a gradient near 0 depends on the size of the batch
        images, labels = examples(model, 12)
        whole = kind(0.05).perturb(model, images, labels)
        parts = [kind(0.05).perturb(model, images[i : i + 5], labels[i : i + 5]) for i in range(0, 12, 5)]
        assert (whole - torch.cat(parts)).abs().max() < 1e-9

    def test_images_and_weights_are_left_alone(self, kind: type[Attack]) -> None:
        model = network().requires_grad_(True)
        images, labels = examples(model)
        before = images.clone()
        kind(0.1).perturb(model, images, labels)
        assert torch.equal(images, before)
        assert all(p.grad is None for p in model.parameters())
        assert not model.training

    def test_a_random_start_lies_in_the_ball_and_differs_by_image(self, kind: type[Attack]) -> None:
        images, _ = examples(network())
        start = kind(0.1).random_start(images, torch.Generator().manual_seed(0))
        assert start.shape == images.shape
        assert size(start, kind.norm).max() <= 0.1 + 1e-5
        assert not torch.equal(start[0], start[1])

    def test_settings_are_plain_json_with_norm_and_radius(self, kind: type[Attack]) -> None:
        settings = kind(0.1).settings()
        assert json.loads(json.dumps(settings, allow_nan=False)) == settings
        assert (settings["norm"], settings["epsilon"]) == (kind.norm, 0.1)

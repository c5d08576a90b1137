"""Adversarial training: what the network sees of an attack, and what it is refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from writers import write_folder

from nas.testing.trainers import network, numbered
from objectives.attacks import make_attack
from trainers import Adversarial, Epoch, Supervised, Trainer
from trainers.datasets.folder import Folder

PLAIN: dict[str, Any] = {"epochs": 1, "batch_size": 16, "flip": False, "shift": 0}
RADIUS = 0.1


def silent(epoch: Epoch) -> None:
    """A report that says nothing."""


def made(**settings: Any) -> Adversarial:
    return Adversarial(**{**PLAIN, "epsilon": RADIUS, "steps": 2, "attacks": make_attack, **settings})


def seen(trainer: Trainer, *, steps: int = 1_000) -> list[Tensor]:
    """The batches, or their parts, on which the network was trained, attacks left out; at most ``steps`` of them."""
    model, batches = network(), list[Tensor]()

    def note(module: torch.nn.Module, args: tuple[Tensor]) -> None:
        if module.training:
            batches.append(args[0].detach().clone())

    model.register_forward_pre_hook(note)
    trainer.train(model, numbered(), seed=0, report=silent)
    return batches[:steps]


def loss(trainer: Trainer) -> float:
    """Mean loss of the only epoch."""
    reports = list[Epoch]()
    trainer.train(network(), numbered(), seed=0, report=reports.append)
    return reports[0].loss


def weights(trainer: Trainer) -> Tensor:
    model = network()
    trainer.train(model, numbered(), seed=0, report=silent)
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("options", [{}, {"norm": "l2"}], ids=["linf", "l2"])
@pytest.mark.parametrize("free", [0, 3])
def test_images_are_changed_within_the_ball_and_stay_images(options: dict[str, Any], free: int) -> None:
    trainer = made(options=options, free=free, **({"steps": None} if free else {}), random_start=False)
    originals, steps = seen(Supervised(**PLAIN)), max(1, free)
    for number, attacked in enumerate(batches := seen(trainer)):
        plain = originals[number // steps]
        assert attacked.shape == plain.shape
        assert 0 <= attacked.min() <= attacked.max() <= 1
        change = (attacked - plain).flatten(1)
        length = change.norm(dim=1) if options else change.abs().amax(1)
        assert (length <= RADIUS + 1e-6).all()
        assert (length > 0).all() or (free and number % free == 0)  # the first free step sees the images themselves
    assert len(batches) == 4 * steps


def test_the_share_of_a_batch_is_attacked_and_the_rest_is_left() -> None:
    plain, attacked = seen(Supervised(**PLAIN), steps=1)[0], seen(made(share=0.25, random_start=False), steps=1)[0]
    changed = (plain != attacked).flatten(1).any(1)
    assert changed.tolist() == [True] * 4 + [False] * 12


def test_at_radius_zero_it_is_the_plain_training_to_the_bit() -> None:
    assert torch.equal(weights(made(epsilon=0, random_start=False)), weights(Supervised(**PLAIN)))


def test_parts_of_a_batch_are_attacked_as_the_whole_is() -> None:
    whole, parts = seen(made(), steps=1)[0], seen(made(micro_batches=2), steps=2)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)


def test_free_steps_climb_from_one_to_the_next() -> None:
    first, second, third = seen(made(free=3, steps=None, random_start=False), steps=3)
    assert (second - first).abs().max() == pytest.approx(RADIUS, abs=1e-6)
    assert not torch.equal(second, third)


def test_of_free_steps_the_loss_of_the_last_one_counts() -> None:
    still = {"learning_rate": 1e-9, "random_start": False}
    plain, free = (loss(made(epsilon=0, steps=None, **still, **more)) for more in ({}, {"free": 4}))
    assert free == pytest.approx(plain, rel=1e-3)


def test_the_network_is_attacked_in_eval_mode_without_gradients_of_its_weights() -> None:
    model, attacked = network(), list[bool]()

    def note(module: torch.nn.Module, args: tuple[Tensor]) -> None:
        if not module.training:
            attacked.append(any(p.requires_grad for p in module.parameters()))

    model.register_forward_pre_hook(note)
    made().train(model, numbered(), seed=0, report=silent)
    assert attacked == [False] * 8  # 4 batches, 2 steps each
    assert [p.requires_grad for p in model[1].parameters()] == [False, False]  # frozen ones stay frozen
    assert all(p.requires_grad for p in model[0].parameters())


def test_of_mixed_images_the_larger_share_is_attacked() -> None:
    class Noted:
        """An attack that changes nothing, and notes the classes it is given."""

        epsilon, labels, drawn = 0.1, list[Tensor](), 0

        def perturb(self, model: Any, images: Tensor, labels: Tensor, start: Tensor | None = None) -> Tensor:
            self.labels.append(labels)
            return images

        def redrawn(self, generator: Any) -> "Noted":
            self.drawn += 1
            return self

    noted = Noted()
    trainer = made(mixup=1.0, random_start=False, attacks=lambda *settings: noted)
    batches = seen(trainer)
    assert noted.drawn == len(batches)  # other random numbers for each batch
    for images, labels in zip(batches, noted.labels, strict=True):
        sides = images[:, 1, :, 2:].mean((1, 2)) - images[:, 1, :, :2].mean((1, 2))
        clear = sides.abs() > 0.05  # halves of both are as bright where two classes are mixed about equally
        assert torch.equal(labels[clear], (sides[clear] < 0).long())


def test_it_travels_and_its_settings_do_not_name_the_function_that_makes_attacks() -> None:
    trainer = made(attack="apgd")
    assert pickle.loads(pickle.dumps(trainer)) == trainer
    assert "attacks" not in trainer.settings()
    assert trainer.settings()["attack"] == "apgd"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attack": "pdg"}, r"unknown attack 'pdg'\. Did you mean 'pgd'\?"),
        ({"attack": "square"}, r"attack 'square' takes no steps\."),
        ({"epsilon": "8/0"}, r"epsilon must be a number in \[0, 1\] or a quotient"),
        ({"share": 0.0}, r"share must be above 0 and at most 1, got 0\.0\."),
        ({"free": -1}, r"free must be from 0 to 1,000 steps on each batch, got -1\."),
        ({"free": 2}, r"steps = 2 does nothing without free = 0\."),
        ({"free": 2, "steps": None, "attack": "fgsm"}, r"attack = fgsm does nothing without free = 0\."),
        ({"free": 2, "steps": None, "options": {"steps": 3}}, r"options with free = 2 can hold norm only"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**settings)


def test_an_attack_that_needs_more_classes_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    data = Folder(str(write_folder(tmp_path)))
    assert len(data.classes()) == 2
    trainer = made(attack="apgd", options={"loss": "dlr"})
    with pytest.raises(ValueError, match="needs at least 3 classes, got 2"):
        trainer.suited(data)
    assert made(epsilon=None).suited(data).epsilon == data.epsilon

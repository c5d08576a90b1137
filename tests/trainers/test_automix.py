"""Adversarial AutoMixup: masks, and the two losses of the generator by their equations."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.testing.trainers import network, numbered
from trainers import DATASETS, AutoMix
from trainers.adamixup import read
from trainers.automix import Masks
from trainers.supervised import Training


def test_masks_start_near_the_weight_and_lie_between_0_and_1() -> None:
    torch.manual_seed(0)
    found = Masks(2)(torch.rand(4, 2, 8, 8), torch.rand(4, 2, 8, 8), torch.tensor(0.3))
    assert found.shape == (4, 1, 8, 8)
    assert ((found > 0) & (found < 1)).all()
    assert found.mean().item() == pytest.approx(0.3, abs=0.1)


def test_the_masks_of_both_images_are_one() -> None:
    torch.manual_seed(0)
    masks, own, (x, others) = Masks(2), torch.tensor(0.3), torch.rand(2, 4, 2, 8, 8)
    torch.testing.assert_close(masks(x, others, own) + masks(others, x, 1 - own), torch.ones(4, 1, 8, 8))


@pytest.mark.parametrize(("cosine", "sign"), [("toward", -1), ("away", 1)])
@pytest.mark.parametrize("turn", [1, -1])
def test_the_generator_takes_turns_and_the_classifier_learns_from_mixtures(cosine: str, sign: int, turn: int) -> None:
    torch.manual_seed(0)
    trainer = AutoMix(beta=0.25, cosine=cosine, margin=0.0)  # type: ignore[arg-type]
    training = Training(trainer, network().eval(), numbered(), 0)
    model, masks = training.model, training.companion
    x, others = torch.rand(6, 2, 4, 4), torch.rand(6, 2, 4, 4)
    first, second, own = torch.arange(6) % 2, torch.arange(6) // 3, torch.tensor(0.3)
    found = trainer.loss(training, torch.cat([x, others], 1), first, second, turn * own)
    mask = masks(x, others, own)
    mixed = mask * x + (1 - mask) * others

    def entropy(logits: Tensor) -> Tensor:
        return own * F.cross_entropy(logits, first) + (1 - own) * F.cross_entropy(logits, second)

    expected = (entropy(model(mixed.detach())) + F.cross_entropy(model(x), first)) / 2
    torch.testing.assert_close(found, expected)
    logits, f_mixed = read(model, mixed)
    near = own * F.cosine_similarity(f_mixed, read(model, x)[1]) + (1 - own) * F.cosine_similarity(
        f_mixed, read(model, others)[1]
    )
    learned = entropy(logits) if turn > 0 else -0.25 * entropy(logits) + sign * 0.75 * near.mean()
    learned = learned + (mask.mean((1, 2, 3)) - own).abs().mean()
    trained = [p for p in model.parameters() if p.requires_grad]
    own_weights = list(masks.parameters())
    for weights, loss in ((own_weights, learned), (trained, expected)):
        gradients = torch.autograd.grad(found, weights, retain_graph=True)
        torch.testing.assert_close(gradients, torch.autograd.grad(loss, weights, retain_graph=True))
        assert any(g.any() for g in gradients)


def test_the_teacher_is_the_average_if_there_is_one() -> None:
    torch.manual_seed(0)
    trainer, found = AutoMix(average=0.9), []
    training = Training(trainer, network().eval(), numbered(), 0)
    assert training.averaged is not None
    inputs = (torch.rand(6, 4, 4, 4), torch.arange(6) % 2, torch.arange(6) // 3, torch.tensor(0.3))
    for _ in range(2):
        loss = trainer.loss(training, *inputs)
        found.append(torch.autograd.grad(loss, list(training.companion.parameters())))
        with torch.no_grad():
            training.averaged.module.get_parameter("5.weight").mul_(2)
    assert not torch.equal(found[0][0], found[1][0])
    assert all(p.grad is None for p in training.averaged.module.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cutmix": 0.2}, r"cutmix does not go with kind = 'automix', which mixes images itself\. Leave it out\."),
        ({"bce": True}, "bce does not go with kind = 'automix', whose loss is cross-entropy"),
        ({"beta": 1.5}, r"beta must be from 0 to 1, got 1\.5\."),
        ({"alpha": 0.0}, r"alpha must be above 0 and at most 1,000, got 0\.0\."),
        ({"cosine": "up"}, "cosine must be toward or away, got 'up'"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AutoMix(**settings)  # type: ignore[arg-type]


def test_it_is_for_classes_and_for_networks_that_end_with_a_linear_layer() -> None:
    with pytest.raises(ValueError, match=r"is for classification, got denoise\. Use kind = 'supervised'\."):
        AutoMix().suited(DATASETS["denoise"]("digits"))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="kind = 'automix' needs a network that ends with a linear layer"):
        Training(AutoMix(), torch.nn.Conv2d(2, 2, 1), numbered(), 0)

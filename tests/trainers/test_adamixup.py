"""AdaMixUp: pairs, weights and loss by their equations, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F

from nas.testing.trainers import network, numbered
from trainers import DATASETS, AdaMixUp
from trainers.adamixup import Companion, partners, read
from trainers.supervised import Training


def test_no_image_is_its_own_partner_and_each_is_one_once() -> None:
    found = partners(9, torch.Generator().manual_seed(0))
    assert sorted(found.tolist()) == list(range(9))
    assert (found != torch.arange(9)).all()
    assert partners(1, torch.Generator()).tolist() == [0]


def test_weights_start_in_the_middle_third_of_the_range_and_lie_within_it() -> None:
    torch.manual_seed(0)
    companion, blends = Companion(2, 5), torch.rand(4, 2, 8, 8)
    low, high = (companion.weights(blends, torch.tensor(u)) for u in (0.0, 1.0))
    assert ((low > 0) & (low < high) & (high < 1)).all()


@pytest.mark.parametrize("intrusion", [0.0, 2.0])
def test_the_loss_is_that_of_pairs_and_images_and_of_telling_them_apart(intrusion: float) -> None:
    torch.manual_seed(0)
    trainer = AdaMixUp(intrusion=intrusion)
    training = Training(trainer, network().eval(), numbered(), 0)
    model, companion = training.model, training.companion
    assert isinstance(companion, Companion)
    x, others, blend = (torch.rand(6, 2, 4, 4) for _ in range(3))
    first, second, u = torch.arange(6) % 2, torch.arange(6) // 3, torch.tensor(0.3)
    found = trainer.loss(training, torch.cat([x, others, blend], 1), first, second, u)
    own = companion.weights(blend, u)
    mixed = own[:, None, None, None] * x + (1 - own[:, None, None, None]) * others
    logits, features = read(model, mixed)
    assert torch.equal(logits, model[-1](features))  # type: ignore[index]
    targets = own[:, None] * F.one_hot(first, 2) + (1 - own[:, None]) * F.one_hot(second, 2)
    expected = (F.cross_entropy(logits, targets) + F.cross_entropy(model(x), first)) / 2
    apart = torch.cat([companion.intrusion(features), -companion.intrusion(read(model, x)[1])])
    expected = expected - intrusion * F.logsigmoid(apart).mean()
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(found, list(companion.policy.parameters()))
    assert all(g.any() for g in gradients)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixup": 0.2}, r"mixup does not go with kind = 'adamixup', which mixes images itself\. Leave it out\."),
        ({"compile": True}, "compile does not go with kind = 'adamixup'"),
        ({"intrusion": -1.0}, r"intrusion must be from 0 to 1,000, got -1\.0\."),
        ({"mix_until": 0.5}, "mix_until = 0.5 does nothing without mixup or cutmix"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaMixUp(**settings)  # type: ignore[arg-type]


def test_it_is_for_classes_and_for_networks_that_end_with_a_linear_layer() -> None:
    with pytest.raises(ValueError, match=r"is for classification, got denoise\. Use kind = 'supervised'\."):
        AdaMixUp().suited(DATASETS["denoise"]("digits"))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="needs a network that ends with a linear layer"):
        Training(AdaMixUp(), torch.nn.Conv2d(2, 2, 1), numbered(), 0)

"""Signs that an attack failed: networks that hide their gradients have them, the same without the mask has none."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from objectives import Candidate, sanity
from objectives.attacks.pgd import Pgd
from objectives.robust_accuracy import RobustAccuracy

Front = Callable[[Tensor], Tensor]


class Masked(nn.Module):
    """A network behind a front that shows an attack another gradient, or none."""

    def __init__(self, plain: nn.Module, front: Front, scale: float) -> None:
        super().__init__()
        self.plain, self.front, self.scale = plain, front, scale

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.plain(self.front(x))
        return self.scale * logits


@pytest.fixture(scope="module")
def plain() -> Candidate:
    """A network with two layers that was trained on digits."""
    pixels, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = (pixels / 16).float().view(-1, 1, 8, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[:1200]), labels[:1200]).backward()
        optimizer.step()
    return Candidate(model.eval(), (1, 8, 8), images[1200:], labels[1200:])


def behind(plain: Candidate, front: Front, scale: float = 1) -> Candidate:
    return Candidate(Masked(plain.model, front, scale).eval(), plain.input, plain.images, plain.labels)


def flags(candidate: Candidate, attack: str = "pgd", epsilon: float | str = "16/255", **settings: object) -> set[str]:
    return set(RobustAccuracy(attack, epsilon, **settings).measure(candidate).flags)  # type: ignore[arg-type]


@pytest.mark.parametrize("epsilon", ["1/255", "16/255", "64/255"])
@pytest.mark.parametrize("attack", ["pgd", "fgsm", "margin", "apgd", "square", "noise"])
def test_a_plain_network_is_not_flagged(plain: Candidate, attack: str, epsilon: str) -> None:
    assert flags(plain, attack, epsilon) == set()
    assert flags(plain, epsilon=0.5, options={"norm": "l2"}) == set()


@pytest.mark.parametrize("attack", ["pgd", "fgsm", "margin", "apgd"])
def test_a_front_that_quantises_is_flagged(plain: Candidate, attack: str) -> None:
    assert flags(behind(plain, lambda x: (16 * x).round() / 16), attack) >= {"zero_gradients", "not_falling"}


def test_a_saturated_front_is_flagged(plain: Candidate) -> None:
    assert "zero_gradients" in flags(behind(plain, lambda x: (1000 * (x - 0.47)).clamp(0, 1)))


def test_saturated_logits_are_flagged_for_the_loss_that_saturates(plain: Candidate) -> None:
    certain = behind(plain, lambda x: x, scale=1e4)
    assert "zero_gradients" in flags(certain, "pgd")
    assert flags(certain, "margin") == set()


@pytest.mark.parametrize("attack", ["pgd", "fgsm", "margin", "apgd"])
def test_a_front_that_shatters_gradients_is_flagged(plain: Candidate, attack: str) -> None:
    """The gradient points everywhere, but a black box sees through it."""
    shattered = behind(plain, lambda x: x + 0.01 * torch.sin(3000 * x))
    assert "weaker_than_square" in flags(shattered, attack, "32/255")


@pytest.mark.parametrize("epsilon", ["4/255", "8/255", "16/255"])
def test_gradients_that_mislead_are_seen_where_a_black_box_is_too_weak_to_show_it(
    plain: Candidate, epsilon: str
) -> None:
    shattered = behind(plain, lambda x: x + 0.01 * torch.sin(3000 * x))
    assert "misleading_gradients" in flags(shattered, epsilon=epsilon)
    assert "misleading_gradients" in flags(shattered, epsilon=0.5, options={"norm": "l2"})


def test_a_wavy_front_is_flagged_because_one_step_gets_further_than_ten(plain: Candidate) -> None:
    wavy = behind(plain, lambda x: x + 0.05 * torch.sin(300 * x))
    assert "weaker_than_fgsm" in flags(wavy, "pgd", "32/255")
    assert "stronger_than_pgd" in flags(wavy, "fgsm", "16/255")


def test_an_attack_that_noise_beats_is_flagged(plain: Candidate) -> None:
    images, labels = plain.examples()
    few = sanity.Checks(Pgd(0.4), plain.model, images[:50], labels[:50], torch.ones(50, dtype=torch.bool))
    assert "weaker_than_noise" in few.flags()


@dataclass
class Stored:
    """A surrogate: the plain network itself."""

    model: nn.Module
    digest: str = "plain"

    def network(self) -> nn.Module:
        return self.model


def test_a_mask_that_images_made_on_another_network_see_through_is_flagged(plain: Candidate) -> None:
    others = {"one": Stored(plain.model)}
    shattered = replace(behind(plain, lambda x: x + 0.01 * torch.sin(3000 * x)), surrogates=others)
    assert "weaker_than_transfer" in flags(shattered, "pgd", "32/255")
    assert RobustAccuracy(epsilon=0.1).settings(shattered)["sanity"]["surrogates"] == {"one": "plain"}
    assert flags(replace(plain, surrogates=others), "pgd", "32/255") == set()
    assert flags(replace(plain, surrogates=others), "transfer", "32/255") == set()


def test_what_is_checked_is_said_and_can_be_left_out(plain: Candidate) -> None:
    quantised = behind(plain, lambda x: (16 * x).round() / 16)
    assert RobustAccuracy(epsilon=0.1).settings(quantised)["sanity"]["images"] == 50
    assert "sanity" not in RobustAccuracy(epsilon=0.1, sanity=False).settings(quantised)
    assert flags(quantised, sanity=False) == flags(quantised, epsilon=0) == set()

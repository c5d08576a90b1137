"""Images made on surrogates: the candidate is only evaluated on them, and they are made once."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from nas.testing.attacks import examples, network
from objectives import Candidate
from objectives.attacks import transfer
from objectives.attacks.transfer import Augmented, Strength, Transfer, transferred
from objectives.robust_accuracy import RobustAccuracy


@dataclass
class Stored:
    """A surrogate that counts how often it is loaded."""

    model: nn.Module
    digest: str = "one"
    loaded: int = 0

    def network(self) -> nn.Module:
        self.loaded += 1
        return self.model


class Mixing(nn.Module):
    """A block with a token mixer and a channel mixer, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.channel = nn.Sequential(nn.Conv2d(3, 12, 1), nn.GELU(), nn.Conv2d(12, 3, 1))
        self.classifier = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token(x)
        y: Tensor = self.classifier((x + self.channel(x)).mean((2, 3)))
        return y


def mixing() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Mixing().eval()


def candidate(model: nn.Module, **surrogates: Stored) -> Candidate:
    images, labels = examples(network())
    return Candidate(model, (3, 8, 8), images, labels, surrogates=surrogates)


def under_transfer(found: Candidate, **settings: object) -> RobustAccuracy:
    return RobustAccuracy("transfer", 0.1, **settings)  # type: ignore[arg-type]


def test_a_network_is_fooled_by_what_fools_its_twin_and_less_by_what_fools_another() -> None:
    model, other = network(), mixing()
    twin, stranger = (candidate(model, one=Stored(held, held.__class__.__name__)) for held in (network(), other))
    assert under_transfer(twin).measure(twin) < under_transfer(stranger).measure(stranger) <= 1


def test_the_images_are_made_once_for_all_candidates_and_again_for_others() -> None:
    transfer._MADE.clear()
    held = Stored(network())
    for model in (network(), mixing()):
        found = candidate(model, one=held)
        under_transfer(found).measure(found)
    assert held.loaded == 1
    images, labels = examples(network())
    transferred(Transfer(0.1), [held], images.flip(0), labels.flip(0))
    transferred(Transfer(0.2), [held], images, labels)
    assert held.loaded == 3


def test_the_candidate_is_never_asked_for_gradients() -> None:
    class Opaque(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            assert not torch.is_grad_enabled()
            y: Tensor = self.inner(x)
            return y

    found = candidate(Opaque(), one=Stored(network()))
    assert under_transfer(found).measure(found) < 1


def test_the_settings_name_the_surrogates_by_digest() -> None:
    found = candidate(network(), one=Stored(network(), "abc"), two=Stored(mixing(), "def"))
    settings = under_transfer(found, surrogates=["two"]).settings(found)
    assert settings["surrogates"] == {"two": "def"}
    assert (settings["steps"], settings["momentum"]) == (10, 1.0)


def test_augmented_copies_join_the_pool_only_where_there_are_token_mixers() -> None:
    attack = Transfer(0.1, augmented=2, seed=1)
    assert len(attack.pool([Stored(network()), Stored(mixing())]).members) == 2 + 2
    assert len(attack.settings()["strengths"]) == 2
    assert all(0 <= s.drop <= 0.5 <= s.scale <= 1.5 and 0 <= s.mix <= 0.5 for s in attack.strengths)
    assert attack.strengths != Transfer(0.1, augmented=2, seed=2).strengths


def test_an_augmentation_without_strength_changes_nothing_and_a_dropped_mixer_adds_nothing() -> None:
    model, (images, _) = mixing(), examples(network(), 4)
    same = Augmented(model, Strength(0.0, 1.0, 0.0), seed=0).eval()
    assert torch.allclose(same(images), model(images), atol=1e-6)
    dropped, without = Augmented(model, Strength(1.0, 1.0, 0.0), seed=0).eval(), mixing()
    nn.init.zeros_(without.token.weight)  # type: ignore[union-attr, arg-type]
    nn.init.zeros_(without.token.bias)  # type: ignore[union-attr, arg-type]
    assert torch.allclose(dropped(images), without(images), atol=1e-6)
    mixed = Augmented(model, Strength(0.0, 1.0, 0.5), seed=0).eval()
    assert not torch.allclose(mixed(images), model(images), atol=1e-4)


def test_an_augmented_pool_draws_the_same_numbers_after_a_restart() -> None:
    images, _ = examples(network(), 12)
    pool, other = (Transfer(0.1, augmented=2).pool([Stored(mixing())]) for _ in range(2))
    first = pool(images)
    assert torch.equal(other(images), first)
    assert not torch.equal(pool(images), first)
    pool.restart()
    assert torch.equal(pool(images), first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attack": "pgd", "surrogates": ["one"]}, "attack 'pgd' takes no surrogates, because it attacks the network"),
        ({"attack": "transfer", "surrogates": []}, "surrogates must be one or more different names"),
        ({"attack": "transfer", "options": {"augmented": 0}}, "augmented must be from 1 to 100 copies, got 0"),
        ({"attack": "transfer", "options": {"seed": 3}}, "seed = 3 does nothing without augmented"),
    ],
)
def test_what_would_do_nothing_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RobustAccuracy(**settings)  # type: ignore[arg-type]


def test_a_transfer_attack_without_its_surrogates_says_so() -> None:
    with pytest.raises(ValueError, match="makes its images on surrogates, but not one came with the candidate"):
        RobustAccuracy("transfer").measure(candidate(network()))
    found = candidate(network(), one=Stored(network()))
    with pytest.raises(ValueError, match="but not 'two' came with the candidate"):
        RobustAccuracy("transfer", surrogates=["two"]).measure(found)

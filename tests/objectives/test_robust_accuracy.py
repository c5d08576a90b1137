"""Robust accuracy by hand, and what any attack makes of it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.testing.objectives import candidate
from objectives import Candidate
from objectives.accuracy import Accuracy
from objectives.robust_accuracy import RobustAccuracy

Grey = Callable[..., Candidate]


@pytest.mark.parametrize(("epsilon", "expected"), [(0, 1.0), (0.05, 1.0), (0.15, 0.5), ("51/255", 0.5), (0.45, 0.0)])
@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_robust_accuracy_by_hand(grey: Grey, attack: Any, epsilon: float | str, expected: float) -> None:
    """The margins are 0.4, 0.1, 0.1 and 0.4: an image survives every smaller radius."""
    one = grey(0.1, 0.4, 0.6, 0.9, labels=[0, 0, 1, 1])
    assert RobustAccuracy(attack, epsilon).measure(one) == expected


def test_an_image_that_is_wrong_already_is_not_robust(grey: Grey) -> None:
    assert RobustAccuracy(epsilon=0.05).measure(grey(0.1, 0.9, labels=[1, 1])) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_robust_accuracy_is_at_most_accuracy_and_falls_with_the_radius(seed: int) -> None:
    one = candidate(Accuracy, seed=seed)
    values = [RobustAccuracy(epsilon=f"{n}/255").measure(one) for n in (0, 1, 4, 16, 64)]
    assert values[0] == Accuracy().measure(one) == 0.9
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9


@pytest.mark.parametrize("seed", range(3))
def test_restarts_only_lower_robust_accuracy(seed: int) -> None:
    one = candidate(Accuracy, seed=seed, number=200)
    values = [RobustAccuracy(epsilon="4/255", steps=2, restarts=n).measure(one) for n in (1, 2, 5)]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


class Valley(nn.Module):
    """Class 1 where the brightness is further than ``width`` from ``bottom``; an attack climbs away from there."""

    def __init__(self, bottom: float, width: float) -> None:
        super().__init__()
        self.bottom, self.width = bottom, width

    def forward(self, x: Tensor) -> Tensor:
        logit = (x.flatten(1).mean(1) - self.bottom) ** 2 - self.width**2
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def in_valley(start: float, bottom: float, width: float) -> Candidate:
    """Twenty images of one pixel ``start``, class 0."""
    images, labels = torch.full((20, 1, 1, 1), start), torch.zeros(20, dtype=torch.int64)
    return Candidate(Valley(bottom, width), (1, 1, 1), images, labels)


def test_restarts_leave_a_start_without_gradient() -> None:
    one = in_valley(0.25, bottom=0.25, width=0.125)
    assert RobustAccuracy(epsilon=0.2).measure(one) == 1.0
    assert RobustAccuracy(epsilon=0.2, restarts=2).measure(one) == 0.0


@pytest.mark.parametrize("restarts", [1, 2, 3])
def test_an_image_must_survive_every_restart(restarts: int) -> None:
    """Upwards from 0.5 the attack ends at 0.7 and succeeds; random starts below 0.45 end at 0.3 and fail."""
    assert RobustAccuracy("fgsm", 0.2, restarts=restarts).measure(in_valley(0.5, bottom=0.45, width=0.2)) == 0.0


def test_robust_accuracy_at_radius_zero_is_the_accuracy_of_its_part() -> None:
    one = candidate(Accuracy, number=200)
    order = one.examples()[1].argsort()
    by_class = Candidate(one.model, one.input, one.examples()[0][order], one.examples()[1][order], seed=7)
    part = by_class.part(80)
    of_part = Accuracy().measure(Candidate(one.model, one.input, part.images, part.labels))
    assert RobustAccuracy(epsilon=0, samples=80).measure(by_class) == of_part
    assert RobustAccuracy(epsilon=0, samples=200).measure(by_class) == Accuracy().measure(by_class) == 0.9


def test_the_record_says_how_many_of_each_class_were_attacked(grey: Grey) -> None:
    one = grey(0.1, 0.9, 0.9, 0.9, labels=[0, 1, 1, 1])
    said = RobustAccuracy(epsilon=0.01, samples=2).settings(one)
    assert (said["samples"], said["per_class"], said["part_seed"]) == (2, 1, 0)
    assert RobustAccuracy(epsilon=0.01, samples=4).settings(one)["per_class"] == [1, 3]


def test_fgsm_is_one_step_of_pgd() -> None:
    one = candidate(Accuracy)
    assert RobustAccuracy("fgsm", "8/255").measure(one) == RobustAccuracy("pgd", "8/255", steps=1).measure(one)
    fgsm = RobustAccuracy("fgsm", "51/255").settings(one)
    assert (fgsm["steps"], fgsm["step_size"], fgsm["epsilon"]) == (1, 0.2, 0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": "8"}, r"epsilon must be a number in \[0, 1\]"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
        ({"samples": -5}, "samples must be at least 1, got -5"),
        ({"seed": 2**32, "restarts": 2}, "seed must be from 0 to 4294967295, got 4294967296"),
        ({"seed": 1}, r"seed = 1 does nothing with restarts = 1\. Leave it out"),
    ],
)
def test_wrong_settings_of_an_attack_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RobustAccuracy(**settings)


def test_the_radius_that_suits_the_data_is_taken_where_none_is_given() -> None:
    class Digits:
        epsilon = "8/255"

    assert RobustAccuracy().suited(Digits()).epsilon == "8/255"
    assert RobustAccuracy(epsilon=0.1).suited(Digits()).epsilon == 0.1


def test_an_unknown_attack_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"unknown attack 'fgms'. Did you mean 'fgsm'\? Known: apgd, autoattack, fgsm, "
    ):
        RobustAccuracy(attack="fgms")


def test_settings_state_random_starts(grey: Grey) -> None:
    settings = RobustAccuracy(restarts=3, seed=7).settings(grey(0.1, labels=[0]))
    assert settings["start"] != "zero"
    assert settings["seed"] == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attack": "fgsm", "steps": 7}, r"attack 'fgsm' takes no steps\. It takes: norm"),
        ({"options": {"quries": 7}}, r"attack 'pgd' takes no quries\. It takes: norm, steps"),
        ({"options": {"norm": "l3"}}, r"norm of attack 'pgd' must be one of linf, l2, got 'l3'"),
        ({"attack": "square", "options": {"queries": 2.5}}, "queries of attack 'square' must be a whole number, got 2"),
        ({"attack": "square", "options": {"queries": 0}}, "queries must be at least 1, got 0"),
    ],
)
def test_settings_that_the_attack_does_not_take_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RobustAccuracy(**settings)


def test_the_record_holds_the_settings_of_the_attack() -> None:
    said = RobustAccuracy("margin", "2/255", options={"targets": 3, "norm": "l2"}).settings(candidate(Accuracy))
    assert {k: said[k] for k in ("attack", "norm", "steps", "targets")} == {
        "attack": "margin",
        "norm": "l2",
        "steps": 10,
        "targets": 3,
    }

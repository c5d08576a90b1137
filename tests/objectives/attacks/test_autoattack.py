"""AutoAttack as an attack of the table: at least as strong as ours, reproducible, and clear about what it lacks."""

import sys

import pytest
import torch
from torch import nn

from nas.testing.attacks import examples, network, size
from objectives.attacks import ATTACKS
from objectives.attacks.apgd import Apgd
from objectives.attacks.autoattack import AutoAttack
from objectives.robust_accuracy import RobustAccuracy

pytest.importorskip("pyautoattack")


def test_it_finds_what_our_strongest_attack_finds_within_the_ball() -> None:
    model = network()
    images, labels = (tensor[:8] for tensor in examples(model))
    attacked = AutoAttack(12 / 255).perturb(model, images, labels)
    ours = Apgd(12 / 255, steps=100, loss="dlr").perturb(model, images, labels)
    survived, expected = (int((model(x).argmax(1) == labels).sum()) for x in (attacked, ours))
    assert survived <= expected
    assert size(attacked - images, "linf").max() <= 12 / 255 + 1e-5
    assert torch.equal(attacked, AutoAttack(12 / 255).perturb(model, images, labels))


def test_at_radius_zero_it_changes_nothing() -> None:
    model = network()
    images, labels = examples(model)
    assert torch.equal(AutoAttack(0.0).perturb(model, images, labels), images)


def test_the_record_names_its_version() -> None:
    assert {"version": "standard", "norm": "l2"}.items() <= ATTACKS["autoattack"](0.1, norm="l2").settings().items()
    assert "pyautoattack" in AutoAttack(0.1).settings()


@pytest.mark.parametrize(
    ("objective", "classes", "message"),
    [
        (
            RobustAccuracy(attack="autoattack"),
            3,
            "autoattack needs at least 4 classes .*, got 3. Use the attacks apgd,",
        ),
        (RobustAccuracy(attack="apgd", options={"loss": "dlr"}), 2, "dlr needs at least 3 classes, got 2. Use loss ="),
    ],
)
def test_too_few_classes_are_refused_before_anything_is_trained(
    objective: RobustAccuracy, classes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        objective.check_classes(classes)
    objective.check_classes(4)


def test_too_few_classes_are_refused_where_it_is_used() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).requires_grad_(False)
    with pytest.raises(ValueError, match="needs at least 4 classes"):
        AutoAttack(0.1).perturb(model, torch.rand(2, 1, 2, 2), torch.tensor([0, 1]))


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(ValueError, match=r'autoattack needs pyautoattack: pip install "mixing-nas\[attacks\]"'):
        RobustAccuracy(attack="autoattack")

"""The contract of objectives, held by every registered one; then what is particular to accuracies."""

import dataclasses
import json
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from objectives import OBJECTIVES, Candidate, Objective, cost
from objectives.accuracy import Accuracy
from objectives.costs import Macs, Parameters, TrainableParameters
from objectives.objective import Direction, Needs, Scale, objective
from objectives.robust_accuracy import RobustAccuracy
from searchspaces import Architecture, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem

every_objective = pytest.mark.parametrize("kind", OBJECTIVES.values(), ids=OBJECTIVES.keys())

ARCHITECTURE = Architecture(
    (1, 8, 8), 4, PatchStem(8, 2), (Stage(ConvMixerBlock(token=Depthwise(3), freeze="chans"), 2),), AverageHead()
)


def candidate(kind: type[Objective] = Accuracy, *, seed: int = 0, number: int = 60) -> Candidate:
    """A network with frozen filters in the state that ``kind`` needs; nine labels of ten are what it says itself."""
    if kind.needs == "shapes":
        with torch.device("meta"):
            return Candidate(build(ARCHITECTURE).eval(), ARCHITECTURE.input)
    model = build(ARCHITECTURE, seed=seed).eval()
    images = torch.rand(number, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model.classifier.bias -= model(images).mean(0)  # else a random network says the same of every image
        labels = model(images).argmax(1)
    labels[::10] = (labels[::10] + 1) % 4
    return Candidate(model, ARCHITECTURE.input, images, labels)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@every_objective
def test_direction_needs_and_scale_are_declared(kind: type[Objective]) -> None:
    assert kind.direction in get_args(Direction)
    assert kind.needs in get_args(Needs)
    assert kind.scale in get_args(Scale)


@every_objective
def test_settings_are_frozen_fields_with_defaults(kind: type[Objective]) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(field.default is not dataclasses.MISSING for field in dataclasses.fields(kind))  # type: ignore[arg-type]


@every_objective
def test_the_value_is_a_finite_float_in_its_range(kind: type[Objective]) -> None:
    value = kind().measure(candidate(kind))
    assert type(value) is float
    assert math.isfinite(value)
    assert 0 <= value <= 1 if kind.scale == "fraction" else value > 0


@every_objective
def test_measuring_twice_gives_the_same(kind: type[Objective]) -> None:
    one = candidate(kind)
    assert kind().measure(one) == kind().measure(one) == kind().measure(candidate(kind))


@every_objective
def test_measuring_leaves_the_model_as_it_was(kind: type[Objective]) -> None:
    one = candidate(kind)
    flags = {name: p.requires_grad for name, p in one.model.named_parameters()}
    before = state(one.model)
    kind().measure(one)
    assert {name: p.requires_grad for name, p in one.model.named_parameters()} == flags
    assert set(flags.values()) == {True, False}
    assert not one.model.training
    assert all(p.grad is None for p in one.model.parameters())
    if kind.needs != "shapes":
        assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())


@every_objective
def test_measuring_leaves_the_images_and_the_random_state_as_they_were(kind: type[Objective]) -> None:
    one, random = candidate(kind), torch.get_rng_state()
    images = None if one.images is None else one.images.clone()
    kind().measure(one)
    assert torch.equal(torch.get_rng_state(), random)
    if images is not None:
        assert one.images is not None
        assert torch.equal(one.images, images)


@every_objective
def test_settings_are_plain_json(kind: type[Objective]) -> None:
    settings = kind().settings(candidate(kind))
    assert settings
    assert json.loads(json.dumps(settings, allow_nan=False)) == settings


@every_objective
def test_a_better_value_costs_less(kind: type[Objective]) -> None:
    values = [0.0, 0.25, 0.5, 1.0] if kind.scale == "fraction" else [1.0, 10.0, 1e6, 1e12]
    costs = [cost(kind, value) for value in values]
    assert costs == sorted(costs, reverse=kind.direction == "maximize")
    assert len(set(costs)) == 4
    assert costs == [cost(kind(), value) for value in values]


@every_objective
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_has_no_cost(kind: type[Objective], value: float) -> None:
    with pytest.raises(ValueError, match=rf"a {kind.scale} must be finite.*: {value}\."):
        cost(kind, value)


@pytest.mark.parametrize("value", [0, -3])
def test_a_count_that_is_not_positive_has_no_cost(value: float) -> None:
    with pytest.raises(ValueError, match=rf"a count must be finite and positive: {value}\."):
        cost(Macs, value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [(Accuracy, 0.875, 0.125), (Accuracy, 1.0, 0.0), (Macs, 1000.0, 3.0), (Macs, 1.0, 0.0)],
)
def test_costs_by_hand(kind: type[Objective], value: float, expected: float) -> None:
    assert cost(kind, value) == pytest.approx(expected, abs=1e-12)


def test_a_fraction_to_minimise_and_a_count_to_maximise_have_costs_too() -> None:
    class Error(Accuracy):
        direction = "minimize"

    class Throughput(Macs):
        direction = "maximize"

    assert cost(Error, 0.25) == 0.25
    assert cost(Throughput, 100.0) == -2


def test_registering_a_name_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"objective 'accuracy' is already registered by .*Accuracy"):
        objective("accuracy")(Accuracy)
    assert OBJECTIVES["accuracy"] is Accuracy


@pytest.mark.parametrize("kind", [k for k in OBJECTIVES.values() if k.needs == "training"])
def test_an_objective_of_images_needs_images(kind: type[Objective]) -> None:
    with pytest.raises(ValueError, match="measures on images, but the candidate carries none"):
        kind().measure(Candidate(nn.Flatten(), (1, 8, 8)))


@pytest.mark.parametrize("kind", [k for k in OBJECTIVES.values() if k.needs == "training"])
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_no_value(kind: type[Objective], poison: float) -> None:
    one = candidate(kind)
    flags = [p.requires_grad for p in one.model.parameters()]
    nn.init.constant_(one.model.classifier.bias, poison)
    with pytest.raises(FloatingPointError, match="logits are not finite"):
        kind().measure(one)
    assert [p.requires_grad for p in one.model.parameters()] == flags


# Accuracies


class Brightness(nn.Module):
    """Class 1 for images that are brighter than 1/2 on the mean."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.flatten(1).mean(1)
        return torch.stack([0.5 - bright, bright - 0.5], dim=1)


def grey(*levels: float, labels: list[int]) -> Candidate:
    images = torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Candidate(Brightness(), (1, 2, 2), images, torch.tensor(labels))


def test_accuracy_by_hand() -> None:
    assert Accuracy().measure(grey(0.1, 0.4, 0.6, 0.9, labels=[0, 1, 1, 1])) == 0.75


def test_accuracy_is_measured_in_eval_mode() -> None:
    one = candidate()
    expected = Accuracy().measure(one)
    one.model.train()
    before = state(one.model)
    assert Accuracy().measure(one) == expected == 0.9
    assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())


def test_accuracy_does_not_depend_on_how_images_are_batched() -> None:
    levels = [i / 1202 for i in range(1203)]  # three batches
    labels = [int(level > 0.5) for level in levels]
    labels[::3] = [1 - label for label in labels[::3]]
    assert Accuracy().measure(grey(*levels, labels=labels)) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("epsilon", "expected"), [(0, 1.0), (0.05, 1.0), (0.15, 0.5), ("51/255", 0.5), (0.45, 0.0)])
@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_robust_accuracy_by_hand(attack: Any, epsilon: float | str, expected: float) -> None:
    """The margins are 0.4, 0.1, 0.1 and 0.4: an image survives every smaller radius."""
    one = grey(0.1, 0.4, 0.6, 0.9, labels=[0, 0, 1, 1])
    assert RobustAccuracy(attack, epsilon).measure(one) == expected


def test_an_image_that_is_wrong_already_is_not_robust() -> None:
    assert RobustAccuracy(epsilon=0.05).measure(grey(0.1, 0.9, labels=[1, 1])) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_robust_accuracy_is_at_most_accuracy_and_falls_with_the_radius(seed: int) -> None:
    one = candidate(seed=seed)
    values = [RobustAccuracy(epsilon=f"{n}/255").measure(one) for n in (0, 1, 4, 16, 64)]
    assert values[0] == Accuracy().measure(one) == 0.9
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9


@pytest.mark.parametrize("seed", range(3))
def test_restarts_only_lower_robust_accuracy(seed: int) -> None:
    one = candidate(seed=seed, number=200)
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


def test_robust_accuracy_attacks_the_first_samples_only() -> None:
    one = grey(0.1, 0.9, 0.9, 0.9, labels=[0, 1, 0, 0])
    assert RobustAccuracy(epsilon=0.01, samples=2).measure(one) == 1.0
    assert RobustAccuracy(epsilon=0.01, samples=4).measure(one) == 0.5
    assert RobustAccuracy(samples=2).settings(one)["samples"] == 2
    assert RobustAccuracy(samples=9).settings(one)["samples"] == 4


def test_fgsm_is_one_step_of_pgd() -> None:
    one = candidate()
    assert RobustAccuracy("fgsm", "8/255", steps=7).measure(one) == RobustAccuracy("pgd", "8/255", steps=1).measure(one)
    fgsm = RobustAccuracy("fgsm", "51/255").settings(one)
    assert (fgsm["steps"], fgsm["step_size"], fgsm["epsilon"]) == (1, 0.2, 0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": "8"}, r"epsilon must be a number in \[0, 1\]"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
        ({"samples": -5}, "samples must be at least 1, got -5"),
    ],
)
def test_wrong_settings_of_an_attack_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RobustAccuracy(**settings)


# Costs


def test_frozen_parameters_count_as_parameters_but_not_as_trained() -> None:
    one = candidate(Parameters)
    depthwise = 2 * (8 * 9 + 8)
    assert Parameters().measure(one) - TrainableParameters().measure(one) == depthwise


def test_a_model_is_counted_once_for_all_objectives() -> None:
    runs: list[int] = []

    class Counted(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            runs.append(len(x))
            return super().forward(x.flatten(1))

    one = Candidate(Counted(4, 2), (1, 2, 2))
    values = {name: kind().measure(one) for name, kind in OBJECTIVES.items() if kind.needs == "shapes"}
    assert values["macs"] == 8
    assert values["parameters"] == 10
    assert runs == [1]


def test_an_operation_that_no_rule_covers_is_named_in_the_settings() -> None:
    class Running(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cumsum(x, 1)

    assert Macs().settings(Candidate(Running(), (1, 2, 2)))["uncounted"] == ["cumsum"]
    assert "uncounted" not in Macs().settings(candidate(Macs))

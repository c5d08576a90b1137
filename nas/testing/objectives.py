"""The contract of objectives."""

import dataclasses
import json
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from objectives import Candidate, Estimate, Objective, Timing, to_minimise
from objectives.objective import Direction, Needs, Scale, tasks_of
from searchspaces import Architecture, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.heads import AverageHead, fitted
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem

ARCHITECTURE = Architecture(
    (1, 8, 8), 4, PatchStem(8, 2), (Stage(ConvMixerBlock(token=Depthwise(3), freeze="chans"), 2),), AverageHead()
)
TIMING = Timing((2.0, 1.0), 2)


def candidate(kind: type[Objective], *, seed: int = 0, number: int = 60) -> Candidate:
    """A network with frozen filters in the state that ``kind`` needs, and for the task that it is for.

    A classifier is right for nine images of ten; values are to be those of the images.
    """
    architecture = fitted(ARCHITECTURE, ARCHITECTURE.input) if "image regression" in tasks_of(kind) else ARCHITECTURE
    if kind.needs == "shapes":
        with torch.device("meta"):
            return Candidate(build(architecture).eval(), architecture.input)
    model = build(architecture, seed=seed).eval()
    images = torch.rand(number, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    if architecture.head.dense:
        return Candidate(model, architecture.input, images, torch.arange(number) % 4, timing=TIMING, targets=images)
    with torch.no_grad():
        bias = model.get_parameter("classifier.bias")
        bias.sub_(model(images).mean(0))  # else a random network predicts one class for every image
        labels = model(images).argmax(1)
    labels[::10] = (labels[::10] + 1) % 4
    return Candidate(model, architecture.input, images, labels, timing=TIMING)


class Watched:
    """Images that note which of them are read."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.read = images, torch.zeros(len(images), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice | Tensor) -> Tensor:
        self.read[part] = True
        return self.images[part]


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class ObjectiveContract:
    """What every objective keeps to; parametrise it with ``kind``, the class, whose settings all have defaults."""

    def make(self, kind: type[Objective]) -> Objective:
        """The objective to be tested; override it where the defaults are dear."""
        return kind()

    def test_direction_needs_and_scale_are_declared(self, kind: type[Objective]) -> None:
        assert kind.direction in get_args(Direction)
        assert kind.needs in get_args(Needs)
        assert kind.scale in get_args(Scale)

    def test_settings_are_frozen_fields_with_defaults(self, kind: type[Objective]) -> None:
        assert vars(kind)["__dataclass_params__"].frozen
        for field in dataclasses.fields(kind):
            assert field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING

    def test_every_class_is_measured_on_images_stored_class_by_class(self, kind: type[Objective]) -> None:
        one = candidate(kind, number=2_000)
        if one.images is None or one.labels is None:
            return
        order = one.labels.argsort()
        images, labels = Watched(one.images[:][order]), one.labels[order]
        self.make(kind).measure(dataclasses.replace(one, images=images, labels=labels))
        assert not images.read.any() or set(labels[images.read].tolist()) == set(labels.tolist())

    def test_the_value_is_a_finite_float_in_its_range(self, kind: type[Objective]) -> None:
        value = self.make(kind).measure(candidate(kind))
        assert type(value) in (float, Estimate)
        assert math.isfinite(value)
        assert 0 <= value <= 1 if kind.scale == "fraction" else value > 0

    def test_what_is_measured_on_all_images_or_a_part_says_how_many_and_how_sure_it_is(
        self, kind: type[Objective]
    ) -> None:
        one = candidate(kind)
        value, settings = self.make(kind).measure(one), self.make(kind).settings(one)
        if isinstance(value, Estimate) and "samples" in settings:
            assert value.n == settings["samples"]
            assert value.standard_error is not None
            assert 0 <= value.standard_error <= 1 or kind.scale == "count"

    def test_measuring_twice_gives_the_same(self, kind: type[Objective]) -> None:
        one = candidate(kind)
        value = self.make(kind).measure(one)
        assert value == self.make(kind).measure(one)
        if not (isinstance(value, Estimate) and value.kind == "runs"):  # of a clock
            assert value == self.make(kind).measure(candidate(kind))

    def test_measuring_leaves_the_model_as_it_was(self, kind: type[Objective]) -> None:
        one = candidate(kind)
        flags = {name: p.requires_grad for name, p in one.model.named_parameters()}
        before = state(one.model)
        self.make(kind).measure(one)
        assert {name: p.requires_grad for name, p in one.model.named_parameters()} == flags
        assert set(flags.values()) == {True, False}
        assert not one.model.training
        assert all(p.grad is None for p in one.model.parameters())
        if kind.needs != "shapes":
            assert all(torch.equal(before[name], tensor) for name, tensor in one.model.state_dict().items())

    def test_measuring_leaves_the_images_and_the_random_state_as_they_were(self, kind: type[Objective]) -> None:
        one, random = candidate(kind), torch.get_rng_state()
        images = one.images.clone() if isinstance(one.images, Tensor) else None
        self.make(kind).measure(one)
        assert torch.equal(torch.get_rng_state(), random)
        if images is not None:
            assert isinstance(one.images, Tensor)
            assert torch.equal(one.images, images)

    def test_settings_are_plain_json(self, kind: type[Objective]) -> None:
        settings = self.make(kind).settings(candidate(kind))
        assert json.loads(json.dumps(settings, allow_nan=False)) == settings

    def test_the_worst_value_is_worse_than_that_of_an_ordinary_network(self, kind: type[Objective]) -> None:
        if (worst := self.make(kind).worst()) is not None:
            value = self.make(kind).measure(candidate(kind))
            assert to_minimise(kind, value) < to_minimise(kind, worst)

    def test_a_better_value_costs_less(self, kind: type[Objective]) -> None:
        values = [0.0, 0.25, 0.5, 1.0] if kind.scale == "fraction" else [1.0, 10.0, 1e6, 1e12]
        costs = [to_minimise(kind, value) for value in values]
        assert costs == sorted(costs, reverse=kind.direction == "maximize")
        assert len(set(costs)) == 4
        assert costs == [to_minimise(self.make(kind), value) for value in values]

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_value_that_is_not_finite_has_no_cost(self, kind: type[Objective], value: float) -> None:
        with pytest.raises(ValueError, match=rf"a {kind.scale} must be finite.*: {value}\."):
            to_minimise(kind, value)

    def test_what_suits_the_data_is_an_objective_of_the_same_kind(self, kind: type[Objective]) -> None:
        class Data:
            epsilon = "3/255"

        suited: Any = self.make(kind).suited(Data())
        assert type(suited) is kind
        assert suited.suited(Data()) == suited

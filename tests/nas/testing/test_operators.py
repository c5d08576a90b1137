"""Every test of the contract of operators fails for an operator that breaks it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.testing.operators import COST_SHAPES, SHAPES, OperatorContract
from searchspaces.architecture import ChannelMixer, TokenMixer
from searchspaces.costs import Cost
from searchspaces.freezing import Mixer


class Function(Mixer):
    """A function of x and of one parameter that counts as spatial and as channel parameter."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], start: Tensor) -> None:
        super().__init__()
        self.function = function
        self.factor = nn.Parameter(start)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.factor)

    def spatial_parameters(self) -> tuple[nn.Parameter]:
        return (self.factor,)

    channel_parameters = spatial_parameters


def operator(
    function: Callable[[Tensor, Tensor], Tensor] = lambda x, factor: factor * x.roll(1, 3),
    start: Callable[[], Tensor] = lambda: torch.ones(1),
    *,
    role: type = TokenMixer,
    **members: Any,
) -> Any:
    """Spec of a `Function`, which is not registered."""

    class Broken(role):  # type: ignore[misc]
        kind = "broken"
        steps: int = 1

        def build(self, shape: object) -> Mixer:
            return Function(lambda x, factor: function(x, factor * self.steps), start())

    for name, member in members.items():
        setattr(Broken, name, member)
    return dataclass(frozen=True)(Broken)


def doubled_if_contiguous(x: Tensor, factor: Tensor) -> Tensor:
    return x.roll(1, 3) * factor * (2 if x.is_contiguous() else 1)


def unseeded() -> Tensor:
    generator = torch.Generator()
    generator.seed()
    return torch.rand(1, generator=generator)


def refuse(self: object, shape: object) -> Mixer:
    raise ValueError(f"no operator for {shape}")


SHAPE, COST = {"shape": SHAPES[0]}, {"shape": COST_SHAPES[0], "pattern": "full"}
BROKEN: list[tuple[str, Any, dict[str, Any]]] = [
    ("test_shape_is_kept_and_output_finite", operator(lambda x, factor: x[..., :1]), SHAPE),
    ("test_shape_is_kept_and_output_finite", operator(lambda x, factor: x / 0), SHAPE),
    ("test_gradients_are_finite_and_reach_the_input", operator(lambda x, factor: factor * x.detach()), SHAPE),
    ("test_gradients_are_finite_and_reach_the_input", operator(lambda x, factor: x.roll(1, 3)), SHAPE),
    ("test_gradients_are_finite_and_reach_the_input", operator(lambda x, factor: 0 * factor * x), SHAPE),
    ("test_images_of_a_batch_do_not_see_each_other", operator(lambda x, factor: x + x.mean(0)), {}),
    ("test_the_layout_in_memory_makes_no_difference", operator(doubled_if_contiguous), {}),
    ("test_spatial_and_channel_parameters_are_its_own_and_disjoint", operator(), {}),
    (
        "test_canonical_form_is_its_own_canonical_form",
        operator(canonical=lambda self: replace(self, steps=self.steps + 1)),
        {},
    ),
    ("test_numbers_of_which_no_network_can_be_made_are_refused", operator(), {}),
    ("test_canonical_form_builds_the_same_network", operator(canonical=lambda self: replace(self, steps=2)), {}),
    ("test_json_round_trip_returns_the_same_spec", operator(), {}),
    ("test_label_is_a_short_line", operator(label=lambda self: 90 * "x"), {}),
    ("test_label_is_a_short_line", operator(label=lambda self: "one\ntwo"), {}),
    ("test_a_spec_cannot_be_changed", operator(__post_init__=lambda self: vars(self).update(steps=[1])), {}),
    ("test_it_builds_and_runs_on_the_meta_device", operator(start=lambda: torch.ones(1, device="cpu")), SHAPE),
    ("test_the_same_seed_builds_the_same_weights", operator(start=unseeded), {}),
    ("test_it_mixes_the_positions_or_channels_of_its_role", operator(lambda x, factor: factor * x), {}),
    ("test_it_mixes_the_positions_or_channels_of_its_role", operator(role=ChannelMixer), {}),
    (
        "test_what_cannot_be_built_is_not_priced",
        operator(build=refuse, cost=lambda self, shape, freeze="full": Cost()),
        SHAPE,
    ),
    (
        "test_its_closed_form_is_the_counted_cost",
        operator(cost=lambda self, shape, freeze="full": Cost(parameters=1, trainable_parameters=1)),
        COST,
    ),
]


@pytest.mark.parametrize(("name", "kind", "arguments"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_a_broken_operator_fails(name: str, kind: Any, arguments: dict[str, Any]) -> None:
    torch.manual_seed(0)
    with pytest.raises((AssertionError, RuntimeError, TypeError, ValueError)):
        getattr(OperatorContract(), name)(kind, **arguments)


def test_every_test_of_the_contract_is_broken_here() -> None:
    assert {name for name in dir(OperatorContract) if name.startswith("test_")} == {name for name, *_ in BROKEN}


def test_a_spec_with_neither_defaults_nor_options_is_named() -> None:
    @dataclass(frozen=True)
    class Bare(TokenMixer):
        steps: int

    with pytest.raises(ValueError, match=r"Bare needs a default for every field, or options\(\(8, 8, 8\)\)"):
        OperatorContract().test_label_is_a_short_line(Bare)


def test_an_operator_without_a_closed_form_is_skipped_not_passed() -> None:
    with pytest.raises(pytest.skip.Exception, match="broken has no closed form"):
        OperatorContract().test_its_closed_form_is_the_counted_cost(operator(), COST_SHAPES[0], "full")

"""Costs as objectives."""

import torch
from torch import Tensor, nn

from nas.testing.objectives import candidate
from objectives import OBJECTIVES, Candidate
from objectives.costs import Macs, Parameters, TrainableParameters


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
    assert runs == [1, 2, 3]  # one image for the operations, two and three for what training keeps


def test_an_operation_that_no_rule_covers_is_named_in_the_settings() -> None:
    class Running(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cumsum(x, 1)

    assert Macs().settings(Candidate(Running(), (1, 2, 2)))["uncounted"] == ["cumsum"]
    assert "uncounted" not in Macs().settings(candidate(Macs))

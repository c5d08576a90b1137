"""Zero-cost scores: by hand, and on networks of every space."""

import math
import random

import pytest
import torch
from torch import Tensor, nn

from objectives import OBJECTIVES, Candidate, Estimate
from objectives.zero_cost import Naswot, SynFlow
from searchspaces import SEARCH_SPACES, build

IMAGES = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_synaptic_flow_of_two_linear_layers_by_hand() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[2.0, -3.0]]))
        model[3].weight.copy_(torch.tensor([[-4.0]]))
    one = Candidate(model.eval(), (1, 1, 2))
    assert SynFlow().measure(one) == pytest.approx(2 * 20)  # R = (2 + 3) 4, once for each layer; the norm is skipped


def test_frozen_parameters_carry_flow_too() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    whole = SynFlow().measure(Candidate(model, (1, 8, 8)))
    model.requires_grad_(False)
    assert SynFlow().measure(Candidate(model, (1, 8, 8))) == whole


class Switches(nn.Module):
    """Two units: one is on for images brighter than 1/2, the other always."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.flatten(1).mean(1, keepdim=True)
        return torch.relu(torch.cat([bright - 0.5, bright + 1], 1))


def test_naswot_of_two_images_by_hand() -> None:
    images = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1)
    one = Candidate(Switches(), (1, 1, 1), images, torch.tensor([0, 1]))
    assert Naswot(samples=2).measure(one) == pytest.approx(math.sqrt(2 * 2 - 1 * 1))  # K = [[2, 1], [1, 2]]
    same = Candidate(Switches(), (1, 1, 1), images / 10, torch.tensor([0, 1]))
    assert Naswot(samples=2).measure(same) == pytest.approx(math.sqrt(4 * 1e-6))  # seen alike


def test_a_flow_that_no_number_holds_is_the_largest_and_says_so() -> None:
    class Squared(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(11):
                x = x * x  # 10 to the 1, 2, 4, ... 2048
            return super().forward(x.flatten(1))

    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), Squared(1, 1))
    nn.init.constant_(model[0].weight, 10.0)
    value = SynFlow().measure(Candidate(model, (1, 1, 1)))
    assert isinstance(value, Estimate)
    assert value.flags == ("overflow",)
    assert math.isfinite(value)


@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_the_scores_of_untrained_networks_are_finite_and_tell_them_apart(space: str) -> None:
    found, generator = SEARCH_SPACES[space]((1, 8, 8), 3), random.Random(0)
    scores: dict[str, list[float]] = {}
    for picks in (found.first, found.draw(generator)):
        one = Candidate(build(found.decode(picks)).eval(), (1, 8, 8), IMAGES, torch.arange(12) % 3)
        for name in ("synflow", "naswot", "spectral_coverage", "effective_rank"):
            scores.setdefault(name, []).append(OBJECTIVES[name]().measure(one))
    assert all(0 < value < math.inf for values in scores.values() for value in values)
    assert all(len(set(scores[name])) == 2 for name in ("synflow", "naswot"))
    assert min(scores["naswot"]) > 1

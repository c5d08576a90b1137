"""The space of TimeMixer networks (2405.14616), and the parameters of their parts by formula."""

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from nas.testing.costs import check_cost
from searchspaces import Architecture, Value, architecture_cost, build
from searchspaces.blocks.timemixer import TimeMixerBlock
from searchspaces.heads import DenseHead, ScalesHead, fitted
from searchspaces.known.series import timemixer as known_timemixer
from searchspaces.layers.scales import lengths, lengths_of
from searchspaces.spaces.timemixer import timemixer
from searchspaces.stems.scales import ScalesStem

PICKS: dict[str, Value] = {
    "dim": 8,
    "depth": 1,
    "scales": 2,
    "window": 2,
    "kernel": 5,
    "mixed": "both",
    "expansion": 2.0,
    "reversible": "on",
    "freeze": "full",
    "norm": "layer",
}


def decoded(**changes: Value) -> Architecture:
    picks = {**PICKS, **changes}
    return timemixer((1, 3, 26), 1, (1, 3, 7)).narrow(picks).decode(picks)


@pytest.mark.parametrize(("context", "scales", "d"), [(96, 3, 16), (50, 2, 8), (20, 0, 4)])
def test_parameters_of_a_block_are_those_of_the_formula(context: int, scales: int, d: int) -> None:
    steps, d_ff = lengths(context, scales, 2), 2 * d
    mixing = sum(2 * t * u + u**2 + 2 * u + t**2 + 2 * t for t, u in itertools.pairwise(steps))
    block = TimeMixerBlock(scales).cost((d, 7, sum(steps)))
    assert block.parameters == mixing + 2 * d * d_ff + d_ff + d + 2 * d


def test_the_scales_of_a_length_are_found_again() -> None:
    assert lengths(97, 3, 2) == [97, 48, 24, 12]
    for steps in range(8, 200):
        assert lengths_of(sum(lengths(steps, 3, 2)), 3, 2) == lengths(steps, 3, 2)
    with pytest.raises(ValueError, match="scales must be those that the stem made, got 8 steps for scales=1, window=2"):
        lengths_of(8, 1, 2)
    with pytest.raises(ValueError, match=r"scales must leave a step of 4, got scales=3 of window=2\. Take fewer"):
        lengths(4, 3, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mixed": "season", "freeze": "chans", "depth": 2},
        {"mixed": "trend", "freeze": "space", "norm": "batch"},
        {"mixed": "none", "scales": 3, "reversible": "off"},
        {"scales": 3, "window": 3, "kernel": 25},
        {"scales": 0},
    ],
    ids=str,
)
def test_a_network_costs_what_counting_gives(changes: dict[str, Any]) -> None:
    network = decoded(**changes)
    assert isinstance(network.head, ScalesHead)
    assert network.outputs == (1, 3, 7)
    assert Architecture.from_json(network.to_json()).key == network.key
    check_cost(architecture_cost(network), partial(build, network), network.input)


def test_more_scales_than_there_are_averages_are_as_many_as_there_are() -> None:
    assert decoded(scales=4, window=5).key == decoded(scales=2, window=5).key


def test_scales_are_averages_of_averages() -> None:
    stem = ScalesStem(1, 2).build((1, 1, 8))
    with torch.no_grad():
        stem.get_parameter("conv.weight").copy_(torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 1, 3))
        y = stem(torch.arange(8.0).view(1, 1, 1, 8))
    assert y.flatten().tolist() == [*range(8), 0.5, 2.5, 4.5, 6.5, 1.5, 5.5]


def test_seasons_go_to_coarser_scales_and_trends_to_finer_ones() -> None:
    seen = {}
    for mixed in ("season", "trend", "none"):
        torch.manual_seed(0)
        block = TimeMixerBlock(2, kernel=3, mixed=mixed).build((4, 1, 14)).eval()  # type: ignore[arg-type]
        x = torch.randn(1, 4, 1, 14)  # 8, 4 and 2 steps
        moved = []
        for start, end in ((0, 8), (8, 12), (12, 14)):
            y = x.clone()
            y[..., start:end] += torch.randn(1, 4, 1, end - start)
            with torch.no_grad():
                changed = ((block(y) - block(x)).abs() > 1e-6)[0, :, 0].any(0)
            moved.append([bool(part.any()) for part in changed.split([8, 4, 2])])
        seen[mixed] = moved
    assert seen["season"] == [[True, True, True], [False, True, True], [False, False, True]]
    assert seen["trend"] == [[True, False, False], [True, True, False], [True, True, True]]
    assert seen["none"] == [[True, False, False], [False, True, False], [False, False, True]]


def test_the_head_is_that_of_the_task() -> None:
    network = known_timemixer(variates=3, context=24, horizon=6)
    assert fitted(network, (1, 3, 12), aligned=False).head == network.head
    stemmed = replace(network, stem=ScalesStem(16, 0), stages=())
    assert fitted(stemmed, (1, 3, 24)).head == DenseHead()

"""Separable ResNets have the counts of their layouts."""

from collections.abc import Callable

import pytest
import torch

from objectives.counting import count
from searchspaces import Architecture, architecture_cost, build
from searchspaces.known.resnet import resnet18, resnet20

KNOWN = [
    (resnet18, 9, 11_448_714, 592_913_408, 11_173_962, 291_210),
    (resnet18, 1, 1_439_626, 73_049_088, 1_409_098, 46_986),
    (resnet20, 9, 323_018, 54_250_112, 272_474, 53_194),
    (resnet20, 1, 40_522, 6_654_592, 34_906, 8_266),
]
"""Layout, multiplier, parameters, MACs unfused, parameters trained in ``chans`` and in ``space``; CIFAR, 10 classes."""

every_known = pytest.mark.parametrize(
    ("layout", "multiplier", "parameters", "macs", "chans", "space"),
    KNOWN,
    ids=[f"{layout.__name__} d={d}" for layout, d, *_ in KNOWN],
)


@every_known
def test_sizes_are_those_of_the_published_layouts(
    layout: Callable[..., Architecture], multiplier: int, parameters: int, macs: int, chans: int, space: int
) -> None:
    for pattern, learned in (("full", parameters), ("chans", chans), ("space", space)):
        architecture = layout(multiplier, pattern)
        cost = architecture_cost(architecture)
        assert (cost.parameters, cost.trainable_parameters, cost.macs) == (parameters, learned, macs)
        with torch.device("meta"):
            counts = count(build(architecture, fused=False), (3, 32, 32))
            executed = count(build(architecture), (3, 32, 32)).macs
        assert (counts.parameters, counts.trainable_parameters, counts.macs) == (parameters, learned, macs)
        assert executed == cost.macs_executed


@pytest.mark.parametrize(
    ("layout", "fused", "pointwise"), [(resnet18, 555_422_720, 10_985_472), (resnet20, 40_813_184, 267_264)]
)
def test_fused_layouts_run_dense_convolutions_and_one_einsum_for_each(
    layout: Callable[..., Architecture], fused: int, pointwise: int
) -> None:
    einsum = 9 * pointwise  # every weight of the 1x1 convolutions meets the nine taps of its filter
    assert architecture_cost(layout(9, "chans")).macs_executed == fused + einsum


def test_later_stages_halve_the_grid_once() -> None:
    architecture = resnet20(1)
    shape, shapes = architecture.stem.output(architecture.input), []
    for stage in architecture.stages:
        for _ in range(stage.depth):
            shape = stage.block.output(shape)
            shapes.append(shape)
    assert shapes == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3

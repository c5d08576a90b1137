"""Multi-axis gated MLP: which positions its branches mix, its equations, published counts."""

import pytest
import torch
import torch.nn.functional as F
from matrices import close, lively, random

from searchspaces.architecture import Shape
from searchspaces.operators.mab import Branches, GatedAxis, MultiAxis, MultiAxisGates


def built(config: MultiAxis, shape: Shape) -> MultiAxisGates:
    torch.manual_seed(0)
    mixer = lively(config.build(shape))
    assert isinstance(mixer, MultiAxisGates)
    return mixer


@pytest.mark.parametrize(
    ("branches", "reached"),
    [
        ("grid", [(0, 1), (0, 4), (2, 1), (2, 4)]),  # the same offset in each of 2 x 2 cells of 2 x 3
        ("block", [(0, 0), (0, 1), (1, 0), (1, 1)]),  # the window of 2 x 2 around it
    ],
)
def test_a_position_reaches_its_offset_in_other_cells_or_its_window(branches: Branches, reached: list[object]) -> None:
    mixer, x = built(MultiAxis(2, 2, branches=branches), (4, 4, 6)), random(1, 4, 4, 6)
    moved = x.clone()
    moved[0, 0, 0, 1] += 1
    changed = (mixer(moved) - mixer(x)).abs().sum((0, 1)) > 1e-9
    assert [tuple(place) for place in changed.nonzero().tolist()] == reached


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("dilated", [False, True])
def test_the_gated_mlp_is_its_equation(dilated: bool, gated: bool) -> None:
    layer, t = GatedAxis(3, 4, (2, 3), dilated=dilated, gated=gated).double(), random(2, 4, 6, 3)
    z1, z2 = F.gelu(layer.expand(layer.norm(t))).chunk(2, 3)
    z2, mixed = layer.gate_norm(z2), torch.zeros(2, 4, 6, 2, dtype=torch.float64)
    for row in range(2):
        for column in range(2):
            places = (slice(row, 4, 2), slice(column, 6, 2))
            if not dilated:
                places = (slice(2 * row, 2 * row + 2), slice(3 * column, 3 * column + 3))
            part = z2[:, places[0], places[1]]
            mixed[:, places[0], places[1]] = layer.gate(part.flatten(1, 2).mT).mT.view(part.shape)
    close(layer(t), t + layer.reduce(z1 * (mixed + 1) if gated else z1 + mixed))


def test_cells_and_windows_follow_the_sides() -> None:
    assert [MultiAxis().cells((8, side, side))["grid"] for side in (8, 14, 16)] == [(4, 4), (7, 7), (4, 4)]
    assert MultiAxis(2).cells((8, 4, 14)) == {"grid": (2, 2), "block": (2, 7)}
    assert MultiAxis().cells((8, 1, 7)) == {"grid": (1, 7), "block": (1, 7)}


@pytest.mark.parametrize(
    ("shape", "parameters", "macs"),
    [((64, 16, 16), 42_720, 11.01), ((96, 14, 14), 98_884, 19.91), ((256, 8, 8), 660_768, 42.47)],
)
def test_counts_are_the_published_ones(shape: Shape, parameters: int, macs: float) -> None:
    cost, channels, n = MultiAxis().cost(shape), shape[0], {16: 16, 14: 49, 8: 16}[shape[1]]
    assert cost.parameters == parameters == 10 * channels**2 + 19 * channels + 2 * (n * n + n)
    assert cost.macs == shape[1] * shape[2] * (10 * channels**2 + channels * 2 * n)
    assert round(cost.macs / 1e6, 2) == macs


def test_a_single_branch_has_no_settings_of_the_other() -> None:
    assert MultiAxis(4, 4, branches="grid").canonical() == MultiAxis(4, branches="grid")


def test_wrong_values_are_refused_with_what_can_be() -> None:
    with pytest.raises(ValueError, match=r"block must divide both sides, got block=4 for input \(8, 4, 6\).*1, 2\."):
        MultiAxis(block=4).build((8, 4, 6))
    with pytest.raises(ValueError, match=r"mab halves its inner channels twice, got input \(6, 4, 4\)\. Take inner=2"):
        MultiAxis(inner=1, hidden=1).build((6, 4, 4))

"""Strip mixing: its equations, line by line, published counts."""

import pytest
import torch
import torch.nn.functional as F
from matrices import close, lively, random
from torch import Tensor

from searchspaces.architecture import Shape
from searchspaces.operators.strip import LocalStrips, Positions, Strip, StripMap, Strips


def built(config: Strip, shape: Shape) -> Strips:
    torch.manual_seed(0)
    mixer = lively(config.build(shape))
    assert isinstance(mixer, Strips)
    return mixer


def line_by_line(layer: StripMap, x: Tensor) -> Tensor:
    """Every line of every channel: the sum over its neighbours, each multiplied by the matrix of group and distance."""
    groups, length, kernel = layer.conv.groups, x.shape[3], layer.conv.kernel_size[0]
    matrices, bias = layer.conv.weight.view(groups, length, length, kernel), layer.conv.bias
    assert bias is not None
    y = torch.zeros_like(x)
    for channel in range(x.shape[1]):
        group = channel % groups
        for line in range(x.shape[2]):
            y[:, channel, line] = bias.view(groups, length)[group]
            for tap in range(kernel):
                if 0 <= (other := line + tap - kernel // 2) < x.shape[2]:
                    y[:, channel, line] += x[:, channel, other] @ matrices[group, :, :, tap].T
    return y


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("grid", [(4, 4), (3, 7), (1, 5), (2, 3)], ids=str)
def test_a_line_is_a_sum_of_neighbours_each_times_a_matrix_of_its_group(kernel: int, grid: tuple[int, int]) -> None:
    layer, x = StripMap(3, grid[1], kernel).double(), random(2, 6, *grid)
    close(layer(x), line_by_line(layer, x))


def test_positions_depend_on_the_distance_from_column_to_row() -> None:
    found = Positions(3, 4, 7, 4).double()()
    assert found.shape == (3, 4, 7)
    close(found[:, 1:, 1:], found[:, :-1, :-1])
    close(found[:, 0, 4:], found[:, 0, 4:5].expand(3, 3))


def test_patches_of_channels_share_their_matrices() -> None:
    mixer, x = built(Strip(2), (8, 3, 5)), random(2, 4, 3, 5)
    swapped = x[:, [2, 3, 0, 1]]
    close(mixer.rows(swapped), mixer.rows(x)[:, [2, 3, 0, 1]])


def test_the_mixer_is_its_equations() -> None:
    shape = (8, 3, 5)
    mixer, x = built(Strip(), shape).eval(), random(2, *shape)
    y = mixer.depthwise(F.gelu(mixer.norm(x))) if mixer.depthwise else x
    x1, x2 = F.gelu(mixer.inner_norm(mixer.inward(y))).chunk(2, 1)
    above, beside = (position() for position in mixer.positions)
    a = mixer.fuse_rows(torch.cat([line_by_line(mixer.rows, x1 + above), x1], 1))
    a = F.gelu(mixer.strip_norm(a)) + beside
    b = line_by_line(mixer.columns, a.transpose(2, 3)).transpose(2, 3)
    x1 = mixer.fuse_columns(torch.cat([x1, b], 1))
    local = mixer.local
    assert isinstance(local, LocalStrips)
    u, v = local.wide(x2), local.tall(x2)
    scores = local.expand(F.gelu(local.reduce((u + v + x2).mean((2, 3)))))
    s = torch.stack(scores.chunk(3, 1)).softmax(0)[..., None, None]
    close(mixer(x), mixer.outward(torch.cat([x1, s[0] * v + s[1] * u + s[2] * x2], 1)))


@pytest.mark.parametrize("shape", [(64, 16, 16), (96, 14, 14), (256, 8, 8), (16, 8, 8)], ids=str)
def test_counts_are_those_of_the_published_formula(shape: Shape) -> None:
    channels, height, width = shape
    positions, groups = height * width, channels // 8
    cost = Strip(4).cost(shape)
    parameters = 3.5 * channels**2 + 36 * channels + 7 * channels / 4 + 6 * height**2 * groups + 2 * height * groups
    assert cost.parameters == parameters + (2 * height + 1) * channels
    convolutions = positions * (30 * channels + 3 * channels**2 + 3 * channels * height)
    assert cost.macs == convolutions + channels**2 // 2


@pytest.mark.parametrize(
    ("shape", "parameters", "macs"),
    [((64, 16, 16), 31_408, 4.43), ((96, 14, 14), 53_112, 6.78), ((256, 8, 8), 256_192, 13.50)],
)
def test_counts_are_the_published_ones(shape: Shape, parameters: int, macs: float) -> None:
    cost = Strip().cost(shape)
    assert (cost.parameters, round(cost.macs / 1e6, 2)) == (parameters, macs)


def test_wrong_values_are_refused_with_what_can_be() -> None:
    with pytest.raises(ValueError, match=r"patches must divide the channels, got patches=4 for 6 channels.*1, 2, 3, 6"):
        Strip(4).build((12, 4, 4))
    with pytest.raises(ValueError, match=r"local must be 0 or odd and at least 3, got 4\. Take 5, 7 or 11\."):
        Strip(local=4)
    with pytest.raises(ValueError, match=r"share must be between 0 and 1, got 1\. Take 0\.25, 0\.5 or 0\.75\."):
        Strip(share=1)

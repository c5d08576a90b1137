"""Rolled groups of channels: rolls, fills, schedules of kernels, mix-shift, published counts."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from objectives.counting import count
from searchspaces import build
from searchspaces.architecture import Shape
from searchspaces.known.asm_rh import asm_rh
from searchspaces.operators.roll_mix import Fill, RollMix, shift

SHIPPED = "1,1,3,5,7"
"""Kernels of MS-MLP's first stage."""


def image(shape: Shape, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


def test_four_groups_go_left_right_up_and_down_and_the_others_stay() -> None:
    x = image((32, 5, 7))
    y = RollMix(16, step_w=2, step_h=1).build((32, 5, 7))(x)
    expected = x.clone()
    expected[:, 0:2] = x[:, 0:2].roll(-2, 3)
    expected[:, 2:4] = x[:, 2:4].roll(2, 3)
    expected[:, 4:6] = x[:, 4:6].roll(-1, 2)
    expected[:, 6:8] = x[:, 6:8].roll(1, 2)
    assert torch.equal(y, expected)


def test_two_directions_move_two_groups_along_the_width() -> None:
    x = image((8, 4, 6))
    y = RollMix(8, directions="lr").build((8, 4, 6))(x)
    assert torch.equal(y, torch.cat([x[:, :1].roll(-1, 3), x[:, 1:2].roll(1, 3), x[:, 2:]], 1))


@pytest.mark.parametrize("roll", [RollMix(16), RollMix(16, 4, 2), RollMix(8, 3, directions="lr"), RollMix(4, 6, 4)])
def test_a_circular_roll_is_a_permutation_that_keeps_every_channel_s_values_and_norm(roll: RollMix) -> None:
    x = image((32, 5, 7))
    y = roll.build((32, 5, 7))(x)
    assert torch.equal(y.flatten(2).sort(-1).values, x.flatten(2).sort(-1).values)
    torch.testing.assert_close(y.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))


def test_the_inverse_roll_of_a_sine_spectrogram_restores_it_to_the_last_bit() -> None:
    tone = torch.sin(torch.arange(50) * 0.7)[None, None, None] * torch.cos(torch.arange(12) * 0.3)[None, None, :, None]
    x = tone * torch.linspace(0.5, 2, 64)[None, :, None, None]
    y = RollMix(16, 4, 1).build((64, 12, 50))(x)
    back = [
        shift(part, *move) for part, move in zip(y[:, :16].split(4, 1), [(0, 4), (0, -4), (1, 0), (-1, 0)], strict=True)
    ]
    assert not torch.equal(y, x)
    assert torch.equal(torch.cat([*back, y[:, 16:]], 1), x)


def test_a_quarter_of_the_channels_moves_at_sixteen_groups() -> None:
    x = image((768, 12, 50), batch=1)
    moved = (RollMix(16).build((768, 12, 50))(x) != x).flatten(2).any(-1)[0]
    assert moved.sum() == 192
    assert moved[:192].all()


def test_a_roll_has_no_parameters_and_no_multiplications() -> None:
    cost = RollMix(16).cost((768, 12, 50))
    assert (cost.macs, cost.parameters, cost.elementwise_flops, cost.activations, cost.buffer_bytes) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("fill", "right", "down"),
    [
        ("circular", [[3, 1, 2], [6, 4, 5]], [[4, 5, 6], [1, 2, 3]]),
        ("zero", [[0, 1, 2], [0, 4, 5]], [[0, 0, 0], [1, 2, 3]]),
        ("replicate", [[1, 1, 2], [4, 4, 5]], [[1, 2, 3], [1, 2, 3]]),
    ],
)
def test_vacated_cells_are_filled_as_asked(fill: Fill, right: Any, down: Any) -> None:
    x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert shift(x, 0, 1, fill).tolist() == right
    assert shift(x, 1, 0, fill).tolist() == down
    mirrored = shift(x.flip(0, 1), 0, -1, fill).flip(0, 1)
    assert mirrored.tolist() == right


def test_a_fill_of_two_steps_repeats_the_edge() -> None:
    x = torch.arange(1, 6).view(1, 5)
    assert shift(x, 0, 2, "replicate").tolist() == [[1, 1, 1, 2, 3]]
    assert shift(x, 0, -2, "zero").tolist() == [[3, 4, 5, 0, 0]]


@pytest.mark.parametrize(("step_w", "step_h"), [(7, 1), (1, 5), (8, 1)])
def test_a_full_turn_is_refused(step_w: int, step_h: int) -> None:
    with pytest.raises(ValueError, match=r"a roll must be shorter than the grid, 5x7 of input \(16, 5, 7\): got"):
        RollMix(16, step_w, step_h).build((16, 5, 7))


def test_a_sequence_rolls_along_the_width_only() -> None:
    with pytest.raises(ValueError, match=r"shorter than the grid, 1x9.*directions='lr'"):
        RollMix(4).build((8, 1, 9))
    assert RollMix(4, directions="lr").build((8, 1, 9))(image((8, 1, 9))).shape == (2, 8, 1, 9)
    assert RollMix(4, step_h=0).build((8, 1, 9))(image((8, 1, 9))).shape == (2, 8, 1, 9)


def test_groups_of_selected_channels_share_a_remainder_out_and_must_hold_the_directions() -> None:
    ((*moved, _),) = RollMix(16).branches((24, 4, 4))
    assert [(band.channels, band.down, band.right) for band in moved] == [(2, 0, -1), (2, 0, 1), (2, -1, 0), (2, 1, 0)]
    with pytest.raises(ValueError, match="groups must be at least 4 for select lrud, got 2"):
        RollMix(2)
    assert RollMix(2, directions="lr").groups == 2
    with pytest.raises(ValueError, match="steps must be at least 0, got step_w=-1"):
        RollMix(4, step_w=-1)


def test_without_a_step_directions_groups_and_fill_make_no_difference() -> None:
    still = [RollMix(16, 0, 0), RollMix(4, 0, 0, "lr", "zero"), RollMix(8, 0, 3, "lr", "replicate"), RollMix(1, 0, 0)]
    assert len({roll.canonical() for roll in still}) == 1
    x = image((16, 4, 4))
    assert all(torch.equal(roll.build((16, 4, 4))(x), x) for roll in still)


def test_no_step_along_the_height_is_two_directions() -> None:
    assert RollMix(8, 2, 0).canonical() == RollMix(8, 2, directions="lr").canonical()
    assert RollMix(8, 2, 3, directions="lr").canonical() == RollMix(8, 2, directions="lr").canonical()
    assert RollMix(8, 2, 1).canonical() != RollMix(8, 2, directions="lr").canonical()


def mixshift(groups: int, step: int, kernels: str = "none", **fields: Any) -> RollMix:
    return RollMix(groups, step, step, combine="sum", kernels=kernels, **fields)


def test_mix_shift_is_the_sum_of_two_branches_of_rolled_and_filtered_groups() -> None:
    shape = (12, 9, 8)
    mixer, x = mixshift(5, 2, SHIPPED).build(shape).double(), image(shape).double()
    weights, sizes, kernels = list(mixer.filters), [3, 3, 2, 2, 2], [1, 1, 3, 5, 7]
    expected = torch.zeros_like(x)
    for axis, filters in ((3, weights[:5]), (2, weights[5:])):
        parts = zip(x.split(sizes, 1), range(-2, 3), kernels, filters, strict=True)
        expected += torch.cat(
            [F.conv2d(p.roll(d, axis), f.weight, f.bias, padding=k // 2, groups=p.shape[1]) for p, d, k, f in parts], 1
        )
    torch.testing.assert_close(mixer(x), expected)


@pytest.mark.parametrize(
    ("channels", "side", "parameters", "macs"),
    # Explicit sizes; chunks of equal size give 3,200 at 96 channels and 8,960 at 256.
    [(96, 14, 3_424, None), (64, 16, 2_240, 540_672), (256, 8, 9_184, None)],
)
def test_mix_shift_counts(channels: int, side: int, parameters: int, macs: int | None) -> None:
    spec, shape = mixshift(5, 2, SHIPPED), (channels, side, side)
    cost = spec.cost(shape)
    assert cost.parameters == sum(p.numel() for p in spec.build(shape).parameters()) == parameters
    assert cost.macs == cost.macs_executed == (macs or cost.macs)
    taps = zip(_sizes(channels, 5), [1, 1, 3, 5, 7], strict=True)
    assert cost.macs == side * side * sum(2 * c * k * k for c, k in taps)


def _sizes(channels: int, groups: int) -> list[int]:
    return [channels // groups + (g < channels % groups) for g in range(groups)]


def test_chunk_sizes_give_the_published_counts() -> None:
    for channels, parameters in ((64, 2_240), (96, 3_200), (256, 8_960)):
        chunked = replace(mixshift(5, 2, "1,1,3,5,7"), sizes="chunks")
        assert chunked.cost((channels, 8, 8)).parameters == parameters
        sizes = [band.channels for band in chunked.branches((channels, 8, 8))[0]]
        assert sizes == [len(part) for part in torch.arange(channels).chunk(5)]


def test_chunks_that_are_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match=r"chunks of 4 channels leave none of the 16 for the last of 5 groups"):
        replace(mixshift(5, 2, SHIPPED), sizes="chunks").cost((16, 6, 6))


def test_there_are_as_many_groups_as_asked_for_where_chunks_would_be_fewer() -> None:
    assert len(torch.arange(16).chunk(5)) == 4
    (branch, _) = mixshift(5, 2, SHIPPED).branches((16, 6, 6))
    assert [part.channels for part in branch] == [4, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("groups", "step", "one_sided", "rolls"),
    [
        (5, 2, False, [-2, -1, 0, 1, 2]),
        (3, 2, False, [-2, 0, 2]),
        (7, 3, False, [-3, -2, -1, 0, 1, 2, 3]),
        (5, 3, False, [-3, -2, 0, 2, 3]),
        (5, 2, True, [0, 1, 2, 3, 4]),
        (3, 1, True, [0, 1, 2]),
    ],
)
def test_rolls_are_spread_over_the_groups(groups: int, step: int, one_sided: bool, rolls: list[int]) -> None:
    horizontal, vertical = mixshift(groups, step, one_sided=one_sided).branches((21, 9, 9))
    assert [part.right for part in horizontal] == [part.down for part in vertical] == rolls
    assert not any(part.down for part in horizontal)


@pytest.mark.parametrize(
    ("kernels", "sides"),
    [
        ("none", [0, 0, 0, 0, 0]),
        ("constant(5)", [5, 5, 5, 5, 5]),
        ("index(7)", [1, 3, 3, 5, 7]),  # that of MS-MLP's second stage
        ("distance(7)", [7, 3, 1, 3, 7]),
        ("1,1,3,5,7", [1, 1, 3, 5, 7]),
    ],
)
def test_kernel_schedules(kernels: str, sides: list[int]) -> None:
    assert mixshift(5, 2, kernels).sides() == sides


def test_a_schedule_is_the_list_it_stands_for() -> None:
    assert mixshift(5, 2, "index(7)").canonical() == mixshift(5, 2, "1,3,3,5,7").canonical()


@pytest.mark.parametrize("kernels", ["1,3", "2,2,2,2,2", "constant(4)", "linear(3)", "", "1,1,3,5,x", "constant(0)"])
def test_kernels_that_make_no_sense_are_answered_with_what_they_can_be(kernels: str) -> None:
    with pytest.raises(ValueError, match=r"kernels must be none, constant\(k\).* got "):
        mixshift(5, 2, kernels)


def test_more_groups_than_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"groups must be at most the 4 channels of \(4, 8, 8\), got 7\."):
        mixshift(7, 1).build((4, 8, 8))


def test_filters_are_what_a_freeze_pattern_acts_on() -> None:
    mixer = mixshift(5, 2, SHIPPED).build((16, 6, 6))
    assert len(list(mixer.spatial_parameters())) == len(list(mixer.parameters())) == 20
    assert mixshift(5, 2, SHIPPED).weights() == {"spatial"}
    assert RollMix(16).weights() == frozenset()


def test_float64_and_odd_grids_work_for_random_rolls() -> None:
    generator = random.Random(0)
    options = RollMix.options((12, 5, 7))
    for _ in range(20):
        spec = RollMix(**{name: generator.choice(values) for name, values in options.items()})
        assert spec.build((12, 5, 7)).double()(image((12, 5, 7)).double()).dtype == torch.float64


def test_counting_sees_no_multiplications_of_rolls_in_a_network() -> None:
    network = asm_rh(input=(1, 32, 32), patch=8, stride=8, dim=32, depth=2, token_hidden=8, reading="none", classes=3)
    with torch.device("meta"):
        counts = count(build(network), network.input)
    assert counts.macs == 16 * 64 * 32 + 2 * (2 * 16 * 8 * 32 + 16 * 2 * 32 * 128) + 32 * 3
    assert counts.uncounted == ()

"""The space of ASM-RH networks (2402.18007)."""

import pytest

from searchspaces import Architecture, Value
from searchspaces.architecture import Shape
from searchspaces.known.asm_rh import asm_rh
from searchspaces.spaces.asm_rh import asm_rh as space_of
from searchspaces.spaces.asm_rh import grid

SMALL: Shape = (1, 16, 16)

PICKS: dict[str, Value] = {
    "dim": 96,
    "depth": 2,
    "patch": "4/4",
    "embedding": "off",
    "token_hidden": "half",
    "expansion": 4,
    "activation": "gelu",
    "freeze": "full",
    "roll.step": 1,
    "roll.groups": 16,
    "roll.directions": "lrud",
    "roll.fill": "circular",
    "roll.on": "branch",
    "hf.reading": "literal",
    "hf.axis": "token",
    "hf.position": "around",
}


def decoded(input: Shape = SMALL, *, allow_wrap: bool = False, **changes: Value) -> Architecture:
    picks = {**PICKS, **{name.replace("__", "."): value for name, value in changes.items()}}
    return space_of(input, 4, allow_wrap=allow_wrap).narrow(picks).decode(picks)


def test_without_a_step_the_other_picks_of_the_roll_make_no_difference() -> None:
    others = [
        {"roll__directions": "lr"},
        {"roll__fill": "zero"},
        {"roll__groups": 32},
        {"roll__on": "residual"},
    ]
    assert len({decoded(roll__step=0, **other).key for other in [{}, *others]}) == 1
    assert len({decoded(roll__step=1, **other).key for other in [{}, *others]}) == 5


def test_without_frequency_mixing_axis_and_position_make_no_difference() -> None:
    plain = decoded(hf__reading="none").key
    assert decoded(hf__reading="none", hf__axis="embed", hf__position="after").key == plain
    assert decoded(hf__reading="dct", hf__position="before").key == plain


def test_steps_are_cut_so_that_all_blocks_go_round_at_most_once() -> None:
    rolls = {
        (depth, pick): decoded((1, 128, 512), patch="16/10", depth=depth, roll__step=pick).stages[0].block.token.roll
        for depth in (1, 4, 12)
        for pick in (1, 4)
    }
    assert {key: (roll.step_w, roll.step_h) for key, roll in rolls.items()} == {
        (1, 1): (1, 1),
        (1, 4): (4, 4),
        (4, 1): (1, 1),
        (4, 4): (4, 3),
        (12, 1): (1, 1),
        (12, 4): (4, 1),
    }
    assert decoded(roll__step=4).key == decoded(roll__step=2).key  # 4 rows, 2 blocks
    assert decoded(roll__step=4, allow_wrap=True).stages[0].block.token.roll.step_h == 3


def test_the_published_networks_are_in_the_space() -> None:
    base = {"dim": 768, "depth": 12, "patch": "16/10", "token_hidden": "384", "roll__groups": 16}
    network = decoded((1, 128, 512), **base)
    assert network.key == asm_rh(600, classes=4).canonical().key
    assert decoded((1, 128, 128), **base).key == asm_rh(144, classes=4).key


def test_patches_are_those_that_fit_the_input() -> None:
    patches = {input: space_of(input, 4).choices[2].options for input in [(1, 128, 128), (1, 32, 32), SMALL]}
    assert patches == {
        (1, 128, 128): ("16/10", "16/16", "16/8", "8/8"),
        (1, 32, 32): ("8/8", "8/4", "4/4", "4/2"),
        SMALL: ("4/4", "4/2", "2/2", "2/1"),
    }
    assert grid("16/10", (1, 128, 512)) == (12, 50)
    with pytest.raises(ValueError, match=r"choice 'patch' cannot be '16/10'.*Allowed: SIDE/STRIDE with two rows"):
        space_of(SMALL, 4).narrow({"patch": "16/10"})
    with pytest.raises(ValueError, match=r"asm_rh needs two rows and columns of tokens, got input \(1, 1, 20\)"):
        space_of((1, 1, 20), 4)


def test_groups_of_the_roll_divide_every_width() -> None:
    assert decoded(dim=40, roll__groups=32).stages[0].block.token.roll.groups == 8

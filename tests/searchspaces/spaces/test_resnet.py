"""The space of separable ResNets."""

from dataclasses import replace

import pytest

from searchspaces import Architecture, Value
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.known.resnet import resnet18, resnet20
from searchspaces.spaces.resnet import separable_resnet

PICKS: dict[str, Value] = {
    "layout": "resnet20",
    "multiplier": 9,
    "width": 0.5,
    "variant": "plain",
    **{f"s{n}.freeze": "chans" for n in range(1, 5)},
    **{f"s{n}.filters": "random" for n in range(1, 5)},
}


def decoded(*, filters_as_init: bool = False, **changes: Value) -> Architecture:
    space = separable_resnet((3, 16, 16), 10, filters_as_init=filters_as_init)
    picks = {**PICKS, **{name.replace("_", ".", 1): value for name, value in changes.items()}}
    return (narrowed := space.narrow(picks)).decode(narrowed.first)


def test_the_space_holds_the_known_layouts() -> None:
    for layout, known in (("resnet18", resnet18), ("resnet20", resnet20)):
        picks = {**PICKS, "layout": layout, "width": 1.0}
        space = separable_resnet((3, 32, 32), 10).narrow(picks)
        assert space.decode(picks).key == known(9, "chans").key


def test_width_scales_every_stage() -> None:
    assert [stage.block.output((8, 16, 16))[0] for stage in decoded().stages] == [8, 16, 16, 32, 32]


def test_filters_matter_where_they_stay_or_are_asked_for() -> None:
    assert decoded(s1_filters="box").key != decoded().key
    for freeze in ("full", "space"):
        assert decoded(s1_freeze=freeze, s1_filters="box").key == decoded(s1_freeze=freeze).key
        one, other = (decoded(filters_as_init=True, s1_freeze=freeze, s1_filters=f) for f in ("box", "random"))
        assert one.key != other.key


def test_orthogonal_filters_need_nine_for_each_channel() -> None:
    assert decoded(s1_filters="orthogonal").key != decoded().key
    assert decoded(s1_filters="orthogonal", multiplier=4).key == decoded(multiplier=4).key


def test_a_filter_for_each_multiplier_is_one_filter_at_multiplier_one() -> None:
    one, same = (decoded(multiplier=1, s1_filters=f) for f in ("same_per_multiplier", "same"))
    assert one.key == same.key
    assert decoded(s1_filters="same_per_multiplier").key != decoded(s1_filters="same").key


def test_a_stage_that_is_not_there_makes_no_difference() -> None:
    assert decoded(s4_freeze="space", s4_filters="box").key == decoded().key
    assert decoded(layout="resnet18", s4_freeze="space").key != decoded(layout="resnet18").key


def test_frozen_norms_and_norms_between_make_other_networks() -> None:
    frozen = decoded(s1_freeze_norm="on", s2_freeze_norm="on", s3_freeze_norm="on")
    assert len({decoded().key, frozen.key, decoded(s1_freeze_norm="on").key, decoded(variant="mobilenet").key}) == 4
    with pytest.raises(ValueError, match=r"no choice 'norms' any more\. Say freeze_norm = on in its place"):
        separable_resnet((3, 16, 16), 10).narrow({"norms": "frozen"})


def test_tied_patterns_are_three_assignments_instead_of_eighty_one() -> None:
    fixed = {"layout": "resnet18", "multiplier": 1, "width": 0.25, "variant": "plain", "filters": "random"}
    space = separable_resnet((3, 16, 16), 10).narrow(fixed)
    tied = space.tie(["freeze"])
    assert (space.size, tied.size, tied.first["freeze"]) == (81, 3, "full")
    for pattern in ("full", "chans", "space"):
        blocks = [stage.block for stage in tied.decode({**tied.first, "freeze": pattern}).stages]
        assert {block.freeze for block in blocks if isinstance(block, BasicBlock)} == {pattern}
    assert tied.effective(tied.first) == {"freeze"}


def test_filters_keep_their_own_scale_where_a_study_says_so() -> None:
    own = decoded(s1_filters="box", s1_norm_match="off")
    assert own.key != decoded(s1_filters="box").key
    first = own.stages[0].block.build((8, 16, 16))
    assert first.conv1.depthwise.weight.unique().tolist() == pytest.approx([1 / 9])


def test_stages_have_patterns_of_their_own() -> None:
    blocks = [stage.block for stage in decoded(s2_freeze="space").stages]
    assert [block.freeze for block in blocks if isinstance(block, BasicBlock)] == [
        "chans",
        "space",
        "space",
        "chans",
        "chans",
    ]
    first = blocks[0]
    assert isinstance(first, BasicBlock)
    assert replace(first, dim=16, stride=2, freeze="space") == blocks[1]


@pytest.mark.parametrize(
    ("choice", "value", "message"),
    [
        ("width", 0.0, r"choice 'width' cannot be 0\.0 .* Allowed: a number above 0\.0 and up to 8\.0"),
        ("s1.filters", "heads(0.5)", r"cannot be 'heads\(0\.5\)' .* Allowed: random, .*heads\(NUMBER\), .*orthogonal"),
        ("multiplier", 0, r"choice 'multiplier' cannot be 0 .* Allowed: 1 to 64"),
    ],
)
def test_a_value_that_is_not_allowed_is_answered_with_those_that_are(choice: str, value: Value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        separable_resnet((3, 16, 16), 10).narrow({choice: value})

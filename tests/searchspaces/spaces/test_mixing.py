"""The space of all five axes: what each pick does, which picks are dropped, and the split of Omega."""

import math
import random
from dataclasses import fields
from typing import Any

import pytest

from nas.show.catalogue import space_figures
from searchspaces import SEARCH_SPACES, Architecture, SearchSpace
from searchspaces.architecture import CHANNEL_MIXERS, TOKEN_MIXERS
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import connections
from searchspaces.operators.convolution import Convolution
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pooling import Pooling
from searchspaces.operators.raft import Raft
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.parts import architecture_cost
from searchspaces.spaces.mixing import CONTROLS, OURS, TWINS, Mixers

IMAGE = (3, 16, 16)


def space(**settings: Any) -> SearchSpace:
    return SEARCH_SPACES["mixing"](IMAGE, 10, **settings)


def decode(of: SearchSpace, **changes: Any) -> Architecture:
    """The architecture of the first options with some of them changed; ``__`` stands for the dot of a stage."""
    narrowed = of.narrow({name.replace("__", "."): value for name, value in changes.items()})
    return narrowed.decode(narrowed.first)


def block(architecture: Architecture, stage: int = 0) -> MetaFormerBlock:
    found = architecture.stages[stage].block
    assert isinstance(found, MetaFormerBlock)
    return found


def test_hybrid_placement_chooses_the_convolution_of_each_stage() -> None:
    mixed = decode(space(), s1__conv="full", s2__conv="depthwise", layout="pyramid")
    assert block(mixed, 0).token == Convolution(3)
    assert block(mixed, 1).token == Depthwise(3)
    assert block(decode(space(), s1__conv="grouped", layout="pyramid")).token == Convolution(3, groups=2)


def test_the_pyramid_halves_the_grid_and_doubles_the_channels() -> None:
    architecture = decode(space(stages=3), layout="pyramid", dim=16, patch=2, depth=6, s2__kernel=5)
    shape = architecture.stem.output(IMAGE)
    sides = [shape]
    for stage in architecture.stages:
        if stage.downsample:
            shape = stage.downsample.output(shape)
            sides.append(shape)
    assert sides == [(16, 8, 8), (32, 4, 4), (64, 2, 2)]


@pytest.mark.parametrize("input", [(1, 8, 8), (1, 28, 28), (3, 32, 32)], ids=str)
@pytest.mark.parametrize("omega", [2**12, 2**14, 2**18])
def test_every_split_that_is_offered_keeps_omega_within_a_tenth(input: tuple[int, int, int], omega: int) -> None:
    of = SEARCH_SPACES["mixing"](input, 10, omega=omega)
    splits = next(choice for choice in of.choices if choice.name == "split").options
    assert len(splits) >= 4
    for split in splits:
        architecture = decode(of, split=split)
        channels, height, width = architecture.stem.output(input)
        assert f"{height * width}x{channels}" == split
        assert channels >= 8
        assert connections(height * width, channels) == pytest.approx(omega, rel=0.1)
        assert of.facts({**of.first, "split": split}) == {
            "tokens": height * width,
            "channels": channels,
            "omega": connections(height * width, channels),
        }


def test_a_budget_is_met_by_the_nearest_number_of_channels() -> None:
    # C(S; Omega) of the table of 2306.01470 for 2^18.
    of = space(omega=2**18)
    splits = next(choice for choice in of.choices if choice.name == "split")
    assert {"4x360", "16x173", "64x64", "100x38", "144x22", "196x13", "256x8"} <= set(splits.options)
    with pytest.raises(
        ValueError, match=r"choice 'split' cannot be '16x16' .* Allowed: 4x360, .*256x8 \(Omega 262,144\)"
    ):
        of.narrow({"split": "16x16"})


@pytest.mark.parametrize("space", ["mixing", "wide_sparse"])
def test_a_table_of_the_space_shows_the_pairs_that_keep_each_budget(space: str) -> None:
    found = space_figures(space, "3,32,32", 10)[space]["choices"]["split"]
    assert "4x43, 9x26, 16x16, 25x9 (Omega 4,096)" in found["allowed"]
    assert {"4x43", "9x26", "16x16", "25x9"} <= set(found["options"])


def test_former_choices_say_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"no choice 'tokens' any more\. .* omega = \[4096, 16384\] in \[space\]"):
        space().narrow({"tokens": [16]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"omega": 3}, "omega must be 64 to 268435456, got 3"),
        ({"omega": 64}, "omega = 64 fits no S of .* at least 8 channels within 10%"),
        ({"omega": ()}, "omega needs at least one budget"),
    ],
)
def test_a_budget_that_nothing_keeps_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space(**settings)


def block_macs(architecture: Architecture) -> list[int]:
    shape = architecture.stem.output(architecture.input)
    return [stage.block.cost(shape).macs for stage in architecture.stages]


ROOMY = {"split": "64x64", "gamma": 2, "depth": 2}


CROWDED = {"convolution", "mab", "static(mab)", "nin", "static(nin)", "s6"}
"""Mixers that leave no room at 64x64: a full 3x3 convolution alone takes more than the block may."""


@pytest.mark.parametrize("channel", ["channel_mlp", "mlp_depthwise"])
@pytest.mark.parametrize("mixer", sorted(Mixers(TOKEN_MIXERS, OURS).names()))
def test_iso_macs_is_iso_mac_whatever_the_mixers(mixer: str, channel: str) -> None:
    of = space(iso_macs=True, omega=2**18)
    if mixer in CROWDED:
        with pytest.raises(ValueError, match="iso_macs: a block of S x C = 64x64 must cost 2,097,152 MACs within 3%"):
            decode(of, mixer=mixer, channel=channel, **ROOMY)
    else:
        found = decode(of, mixer=mixer, channel=channel, **ROOMY)
        assert block_macs(found) == pytest.approx([4 * 2**18 * 2] * len(found.stages), rel=0.03)


def test_iso_macs_holds_for_the_wave_mixer_where_there_is_room() -> None:
    of = space(iso_macs=True, omega=2**18)
    assert block_macs(decode(of, mixer="conv", channel="spartan_wave", **ROOMY)) == pytest.approx([2**21], rel=0.03)
    with pytest.raises(ValueError, match=r"iso_macs: a block of S x C = 64x64 with token_mlp x2: expansion must be at"):
        decode(of, mixer="token_mlp", channel="spartan_wave", **ROOMY)


def test_iso_macs_refuses_a_token_mixer_that_leaves_no_room() -> None:
    of = space(iso_macs=True)
    with pytest.raises(ValueError, match=r"16x16 must cost 16,384 MACs within 3%; with raft2 x2 \(16,384 MACs\)"):
        decode(of, split="16x16", gamma=1, mixer="raft")


def test_iso_macs_refuses_what_no_candidate_can_keep_and_nothing_else() -> None:
    of, generator, kept = space(iso_macs=True).narrow({"layout": "isotropic"}), random.Random(0), 0
    for _ in range(200):
        picks = of.draw(generator)
        if (found := of.network(picks)) is not None:
            split, kept = of.facts(picks), kept + 1
            budget = min((2**12, 2**14), key=lambda omega: abs(omega - float(split["omega"])))
            target = 4 * budget * int(picks["gamma"])
            assert block_macs(found) == pytest.approx([target] * len(found.stages), rel=0.03)
    assert kept > 100


@pytest.mark.parametrize(
    ("kept", "dropped"),
    [
        ({"s1__mixer": "pooling"}, {"s1__dilation": 2, "s1__conv": "full", "s1__filters": "box"}),
        ({"s1__mixer": "conv", "s1__freeze": "full"}, {"s1__filters": "box"}),
        ({"s1__mixer": "pooling", "s1__freeze": "full", "s1__channel": "channel_mlp"}, {"s1__freeze": "chans"}),
        ({"s1__mixer": "conv", "s1__channel": "mlp_depthwise"}, {"s1__permutation": "random"}),
        ({"s1__mixer": "token_mlp", "s1__channel": "mlp_depthwise"}, {"s1__permutation": "identity"}),
        ({"layout": "pyramid"}, {"split": "25x9", "gamma": 2}),
        ({"layout": "isotropic"}, {"dim": 32, "patch": 2}),
    ],
)
def test_a_pick_without_effect_is_not_part_of_the_key(kept: dict[str, Any], dropped: dict[str, Any]) -> None:
    assert decode(space(), **kept).key == decode(space(), **{**kept, **dropped}).key


@pytest.mark.parametrize(
    "changed",
    [
        {"s1__freeze": "chans"},
        {"s1__freeze": "chans", "s1__filters": "box"},
        {"s1__permutation": "random"},
        {"s1__permutation": "random_inverse"},
        {"s1__kernel": 5},
        {"s1__dilation": 2},
        {"s1__conv": "grouped"},
        {"s1__conv": "full"},
        {"split": "16x16"},
        {"split": "4x89"},
        {"gamma": 2, "s1__mixer": "token_mlp"},
        {"s1__channel": "mlp_depthwise"},
        {"s1__expansion": 2},
    ],
)
def test_a_pick_with_an_effect_is_part_of_the_key(changed: dict[str, Any]) -> None:
    first = {name: value for name, value in changed.items() if name == "s1__mixer"}
    before = {**first, **({"s1__freeze": "chans"} if "s1__filters" in changed else {})}
    assert decode(space(), **before).key != decode(space(), **changed).key


def test_tokens_cut_into_patches_are_those_of_the_image() -> None:
    of = space(tokens_by="patch", omega=2**14)
    splits = next(choice for choice in of.choices if choice.name == "split").options
    assert splits == ("4x89", "16x38")
    assert decode(of, split="16x38").stem.output(IMAGE) == (38, 4, 4)


@pytest.mark.parametrize(
    ("choice", "value", "message"),
    [
        ("split", "10x10", "choice 'split' cannot be '10x10' .* Allowed: 4x43, 9x26, 16x16, 25x9 .Omega 4,096.; 4x89"),
        ("dim", 12, "choice 'dim' cannot be 12 .* Allowed: 8 to 2048 in steps of 8"),
        ("patch", 3, "choice 'patch' cannot be 3 .* Allowed: 1, 2, 4, 8, 16"),
        ("mixer", "convv", "choice 's1.mixer' cannot be 'convv' .* Allowed: .*conv.*pooling"),
        ("freeze", "none", "choice 's1.freeze' cannot be 'none' .* Allowed: full, chans, space"),
        ("attention.heads", 0, r"choice 's1\.attention\.heads' cannot be 0: heads must be at least 1, got 0"),
        ("s2.sparse_mlp.density", 0.0, r"choice 's2\.sparse_mlp\.density' cannot be 0\.0: density must be above 0"),
        ("raft.expansion", math.nan, r"choice 's1\.raft\.expansion' cannot be nan: expansion must be positive"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_those_that_can(choice: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space().narrow({choice: [value]})


def test_token_mlp_takes_gamma_in_the_isotropic_layout() -> None:
    assert block(decode(space(), s1__mixer="token_mlp", gamma=2)).token == TokenMLP(2.0)


MIXERS = [
    (table, name, short) for table, short in ((TOKEN_MIXERS, "mixer"), (CHANNEL_MIXERS, "channel")) for name in table
]


@pytest.mark.parametrize(("table", "kind", "role"), MIXERS, ids=[f"{role} {kind}" for _, kind, role in MIXERS])
def test_a_study_can_search_every_field_of_every_operator(table: Any, kind: str, role: str) -> None:
    of, offered = space(), {choice.name for choice in space().more}
    for field in fields(table[kind]):
        inner = [
            name for name in (f"s1.{kind}.{field.name}", f"s1.{nested(table[kind], field)}.groups") if name in offered
        ]
        assert inner, f"no study can search {kind}.{field.name}"
        if len(values := table[kind].options((16, 4, 4)).get(field.name, ())) > 1 and inner[0].count(kind):
            for value in [value for value in values if value is not None][:2]:
                pick = ("off", "on")[value] if isinstance(value, bool) else getattr(value, "kind", value)
                made = block(decode(of, **{f"s1__{role}": kind, f"s1__{kind}__{field.name}": pick, **SMALL}))
                found = made.token if role == "mixer" else made.channel
                if pick == getattr(value, "kind", ""):  # a mixer in a mixer
                    assert getattr(found, field.name).kind == pick
                    continue
                plain = table[kind](**{**vars(found), field.name: value})
                plain = plain.at((16, 4, 4)) if role == "mixer" else plain.canonical()
                assert found == plain, (field.name, value)


SMALL = {"split": "16x16", "expansion": 2}


def nested(cls: Any, field: Any) -> str:
    """Kind of a field that is an operator of one class."""
    return getattr(field.default, "kind", "") if hasattr(field.default, "kind") else ""


@pytest.mark.parametrize("field", [field.name for field in fields(MetaFormerBlock)])
def test_a_study_can_search_every_field_of_the_block(field: str) -> None:
    offered = {choice.name for choice in (*space().choices, *space().more)}
    names = {"token": "s1.mixer", "channel": "s1.channel"}
    assert names.get(field, f"s1.{field}") in offered


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"norm": "batch"}, "norm", "batch"),
        ({"layer_scale": 1}, "layer_scale", 1.0),
        ({"drop_path": 0.1}, "drop_path", 0.1),
        ({"freeze_norm": "on"}, "freeze_norm", True),
    ],
)
def test_fields_of_the_block_are_searched_by_name(changes: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(block(decode(space(), **changes)), field) == value


def test_the_activation_of_a_block_is_that_of_its_mixers() -> None:
    made = block(decode(space(), mixer="raft", activation="relu"))
    assert (getattr(made.token, "activation", ""), getattr(made.channel, "activation", "")) == ("relu", "relu")


def test_choices_that_are_off_leave_the_space_as_it_is_until_they_are_named() -> None:
    of = space()
    named = of.narrow({"raft.r": [1, 2]})
    assert named.size == of.size * 4
    assert {choice.name for choice in named.choices} - {choice.name for choice in of.choices} == {
        "s1.raft.r",
        "s2.raft.r",
    }
    assert decode(of, mixer="conv").key == decode(of, mixer="conv", raft__r=1).key
    assert block(decode(of, mixer="raft", raft__r=1)).token == Raft(r=1)


def test_channels_that_are_prime_are_one_group() -> None:
    assert decode(space(), split="4x43", s1__conv="grouped").key == decode(space(), split="4x43", s1__conv="full").key


TOKENS = {"s1__mixer": "pooling", "s2__mixer": "conv", "depth": 8}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("own", "AAAABBBB"),
        ("uniform", "AAAAAAAA"),
        ("alternate", "ABABABAB"),
        ("first(3)", "AAABBBBB"),
        ("every(4)", "BBBABBBA"),
        ("only(3)", "BBABBBBB"),
    ],
)
@pytest.mark.parametrize("layout", ["isotropic", "pyramid"])
def test_a_pattern_says_which_blocks_have_the_picks_of_the_first_stage(
    pattern: str, expected: str, layout: str
) -> None:
    found = decode(space(), pattern=pattern, layout=layout, **TOKENS)
    blocks = [stage.block for stage in found.stages for _ in range(stage.depth)]
    assert "".join("A" if isinstance(block.token, Pooling) else "B" for block in blocks) == expected  # type: ignore[attr-defined]


def test_a_pattern_over_stages_is_ppaa() -> None:
    found = decode(space(stages=4), pattern="first(2)", unit="stages", layout="pyramid", patch=1, **TOKENS)
    assert [isinstance(stage.block.token, Pooling) for stage in found.stages] == [True, True, False, False]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"cannot be 'first' .* Allowed: own, uniform, alternate, first\(K\), every"):
        space().narrow({"pattern": "first"})


@pytest.mark.parametrize("layout", ["isotropic", "pyramid"])
def test_every_mixer_can_be_picked_by_its_name_and_builds_a_network_of_its_own(layout: str) -> None:
    first = {choice.name: choice for choice in space().choices}
    for role, expected in (("mixer", {"attention", "s6", "strip", "gated(raft)"}), ("channel", {"rfft_filter"})):
        mixers = first[f"s1.{role}"].allowed
        assert isinstance(mixers, Mixers)
        assert expected <= mixers.names()
        names = mixers.names() - {"conv", "avgpool3"}  # their first kernels are those of depthwise and pooling
        found = [decode(space(), layout=layout, s1__expansion=2, **{f"s1__{role}": name}) for name in names]
        assert len({architecture.key for architecture in found}) == len(names)
        assert all(architecture_cost(architecture).macs > 0 for architecture in found)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("maxpool", "maxpool3"),
        ("mixshift", "mixshift 2 g5 k1,1,3,5,7"),
        ("mixshift4", "mixshift 2 g5 k1,7,7,7,7"),
        ("gated(maxpool)", "gated(maxpool3)"),
        ("gated(raft)", "gated(raft2 x2)"),
    ],
)
def test_names_of_the_space_stand_for_operators_with_settings(name: str, label: str) -> None:
    assert block(decode(space(), layout="pyramid", s1__mixer=name)).token.label() == label


STATIC_KINDS = {
    "identity", "pooling", "depthwise", "convolution", "token_mlp", "raft", "spatial_fc", "random_mix", "roll_mix",
    "gfilter", "sparse_mlp", "spartan_mixer", "roll_token_mlp", "each_row",
}  # fmt: skip
"""Token mixers by which no position is weighted by what the image shows; those of SpaRTAN gate channels."""


def test_every_dynamic_token_mixer_has_a_static_twin_among_the_controls() -> None:
    ours = {kind for kind, cls in TOKEN_MIXERS.items() if cls.__module__.startswith("searchspaces.")}
    assert ours - STATIC_KINDS == TWINS.keys()
    assert {"identity", "avgpool3", "frozen_dw7", "token_mlp", *TWINS.values()} == set(CONTROLS)


def test_the_controls_are_one_name_in_a_study() -> None:
    of = space().narrow({"mixer": ["attention", "controls", "token_mlp"]})
    options = next(choice for choice in of.choices if choice.name == "s1.mixer").options
    assert set(options) == {"attention", *CONTROLS}
    assert len(options) == len(set(options))
    labels = {block(decode(space(), s1__mixer=name)).token.label() for name in CONTROLS}
    assert labels == {
        "identity", "avgpool3", "dw7", "token_mlp x1", "gfilter", "fc", "dsm static", "nin h2 x2 none",
        "mab ungated", "strip local0", "row_mlp x2",
    }  # fmt: skip


def test_controls_are_the_same_whatever_is_picked_beside_them() -> None:
    for name in ("avgpool3", "frozen_dw7"):
        other = {"s1__kernel": 5, "s1__pooling.kernel": 5, "s1__depthwise.kernel": 9}
        assert block(decode(space(), s1__mixer=name, **other)) == block(decode(space(), s1__mixer=name))
    for pattern in ("full", "chans", "space"):
        assert block(decode(space(), s1__mixer="frozen_dw7", s1__freeze=pattern)).freeze == "chans"
    static = decode(space(), **{"s1__mixer": "static(nin)", "s1__nin.gate": "tanh", "s1__nin.hidden": 4})
    assert block(static).token.label() == "nin h4 x2 none"


def test_defaults_inside_a_mixer_that_do_not_fit_give_way_too() -> None:
    found = decode(space(), split="25x9", s1__mixer="roll_token_mlp")  # published with 16 groups of channels
    assert block(found).token.label() == "roll 1 g8 > token mlp 5"


@pytest.mark.parametrize(
    ("mixer", "fields", "usual"),
    [
        ("aff", {"aff.blocks": 8}, {}),
        ("dsm", {"dsm.bands": 16}, {}),
        ("strip", {"strip.patches": 4}, {}),
        ("mab", {"mab.grid": 4, "mab.block": 4}, {}),
        ("mab", {"mab.branches": "block", "mab.block": 8}, {"mab.branches": "grid", "mab.grid": 8}),
        ("attention", {"attention.pool": 1}, {}),
        ("attention", {"attention.pool": 8, "attention.heads": 4}, {"attention.pool": 8}),
        ("roll_mix", {"roll_mix.groups": 8, "roll_mix.sizes": "chunks"}, {"roll_mix.groups": 8}),
        ("gated(maxpool)", {"pooling.kernel": 1, "pooling.reduce": "avg"}, {"pooling.kernel": 1}),
        ("depthwise", {"depthwise.kernel": 1, "depthwise.filters": "smooth(1)"}, {"depthwise.kernel": 1}),
    ],
)
def test_what_a_mixer_would_be_anyway_on_this_grid_is_not_part_of_the_key(
    mixer: str, fields: dict[str, Any], usual: dict[str, Any]
) -> None:
    picks = {"layout": "pyramid", "dim": 16, "patch": 2, "s1.mixer": mixer}  # 16 channels of 8x8
    assert decode(space(), **picks, **fields).key == decode(space(), **picks, **usual).key


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        ({"s1.mixer": "gated", "s1.gated.op": "gated"}, "op must be a token mixer that mixes and is not gated itself"),
        ({"s1.mixer": "random_mix", "s1.random_mix.tau": -3.0}, r"tau must be positive, got -3\."),
        ({"s1.mixer": "attention", "s1.attention.heads": 5, "split": "16x16"}, r"heads=5 .* Allowed: 1, 2, 4, 8, 16"),
        (
            {"s1.mixer": "static(aff)"},
            r"cannot be 'static\(aff\)' .* controls \(all of identity, avgpool3",
        ),
    ],
)
def test_an_operator_that_cannot_be_is_refused(picks: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(space(), **picks)

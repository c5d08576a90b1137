"""The space of all five axes: what each pick does, which picks are dropped, and the split of Omega."""

from typing import Any

import pytest

from searchspaces import SEARCH_SPACES, Architecture, SearchSpace
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.costs import Cost
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.convolution import Convolution
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.parts import architecture_cost
from searchspaces.spaces.mixing import Mixers

IMAGE = (3, 16, 16)


def space(**settings: Any) -> SearchSpace:
    return SEARCH_SPACES["mixing"](IMAGE, 10, **settings)


def decode(of: SearchSpace, **changes: Any) -> Architecture:
    """The architecture of the first options with some of them changed; ``__`` stands for the dot of a stage."""
    picks = of.first
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return of.narrow({name: [value] for name, value in named.items()}).decode({**picks, **named})


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


@pytest.mark.parametrize(
    ("omega", "tokens", "channels"),
    [(2**18, 16, 176), (2**18, 64, 64), (2**18, 144, 24), (2**21, 64, 224), (2**12, 16, 16), (2**6, 64, 8)],
)
def test_the_split_takes_the_partner_of_s_rounded_to_a_multiple_of_eight(
    omega: int, tokens: int, channels: int
) -> None:
    # C(S; Omega, gamma) of the table of 2306.01470: 173, 64, 22, 226 before rounding; at least one group of 8.
    architecture = decode(space(), omega=omega, tokens=tokens)
    assert architecture.stem.output(IMAGE)[0] == channels
    assert architecture.stem.output(IMAGE)[1] ** 2 == tokens


def stage_macs(architecture: Architecture) -> int:
    shape = architecture.stem.output(architecture.input)
    return sum((stage.block.cost(shape) * stage.depth for stage in architecture.stages), Cost()).macs


@pytest.mark.parametrize("mixer", ["conv", "pooling", "roll", "spatial_fc", "raft", "identity"])
def test_iso_macs_gives_every_block_the_macs_of_the_token_mlp(mixer: str) -> None:
    settings = {"tokens": 64, "omega": 2**18, "gamma": 2, "depth": 2}
    of = space(iso_macs=True)
    reference = stage_macs(decode(of, s1__mixer="token_mlp", s2__mixer="token_mlp", **settings))
    assert reference == 2 * 4 * 2**18 * 2
    assert stage_macs(decode(of, s1__mixer=mixer, s2__mixer=mixer, **settings)) == pytest.approx(reference, rel=0.02)


def test_iso_macs_stops_at_an_expansion_of_one_half() -> None:
    crowded = decode(space(iso_macs=True), tokens=16, omega=2**12, s1__mixer="conv", s1__conv="full", s1__kernel=5)
    assert isinstance(mixer := block(crowded).channel, ChannelMLP)
    assert mixer.expansion == 0.5


@pytest.mark.parametrize(
    ("kept", "dropped"),
    [
        ({"s1__mixer": "pooling"}, {"s1__dilation": 2, "s1__conv": "full", "s1__filters": "box"}),
        ({"s1__mixer": "conv", "s1__freeze": "full"}, {"s1__filters": "box"}),
        ({"s1__mixer": "pooling", "s1__freeze": "full", "s1__channel": "channel_mlp"}, {"s1__freeze": "chans"}),
        ({"s1__mixer": "conv", "s1__channel": "mlp_depthwise"}, {"s1__permutation": "random"}),
        ({"s1__mixer": "token_mlp", "s1__channel": "mlp_depthwise"}, {"s1__permutation": "identity"}),
        ({"layout": "pyramid"}, {"tokens": 64, "omega": 2**14, "gamma": 2}),
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
        {"tokens": 64},
        {"omega": 2**14},
        {"gamma": 2, "s1__mixer": "token_mlp"},
        {"s1__channel": "mlp_depthwise"},
        {"s1__expansion": 2},
    ],
)
def test_a_pick_with_an_effect_is_part_of_the_key(changed: dict[str, Any]) -> None:
    first = {name: value for name, value in changed.items() if name == "s1__mixer"}
    before = {**first, **({"s1__freeze": "chans"} if "s1__filters" in changed else {})}
    assert decode(space(), **before).key != decode(space(), **changed).key


def test_tokens_cut_into_patches_must_fit_the_image() -> None:
    assert decode(space(tokens_by="patch"), tokens=64).stem.output(IMAGE)[1:] == (8, 8)
    with pytest.raises(ValueError, match=r"tokens cut into patches .* got 9 for input .* Allowed: 1, 4, 16, 64, 256"):
        decode(space(tokens_by="patch"), tokens=9)


@pytest.mark.parametrize(
    ("choice", "value", "message"),
    [
        ("tokens", 10, "choice 'tokens' cannot be 10"),
        ("dim", 12, "choice 'dim' cannot be 12 .* Allowed: 8 to 2048 in steps of 8"),
        ("patch", 3, "choice 'patch' cannot be 3 .* Allowed: 1, 2, 4, 8, 16"),
        ("mixer", "convv", "choice 's1.mixer' cannot be 'convv' .* Allowed: .*conv.*pooling"),
        ("freeze", "none", "choice 's1.freeze' cannot be 'none' .* Allowed: full, chans, space"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_those_that_can(choice: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space().narrow({choice: [value]})


def test_token_mlp_takes_gamma_in_the_isotropic_layout() -> None:
    assert block(decode(space(), s1__mixer="token_mlp", gamma=2)).token == TokenMLP(2.0)


@pytest.mark.parametrize("layout", ["isotropic", "pyramid"])
def test_every_mixer_can_be_picked_by_its_name_and_builds_a_network_of_its_own(layout: str) -> None:
    first = {choice.name: choice for choice in space().choices}
    for role, expected in (("mixer", {"attention", "s6", "strip", "gated(raft)"}), ("channel", {"rfft_filter"})):
        mixers = first[f"s1.{role}"].allowed
        assert isinstance(mixers, Mixers)
        assert expected <= mixers.names()
        names = mixers.names() - {"conv"}  # whose first kind is the depthwise convolution
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

"""The space of wide and sparse MLPs at equal numbers of connections (2306.01470)."""

import json
import random as random_module
from typing import Any

import pytest

from searchspaces import Architecture
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import connections, partner, width
from searchspaces.space import SearchSpace
from searchspaces.spaces.wide_sparse import KINDS, MIN_CHANNELS, SQUARES, wide_sparse

SPACE = wide_sparse((3, 16, 16), 10)

EVERYTHING = {
    "omega": [2**6, 2**12, 2**15],
    "tokens": [4, 9, 49, 1024],
    "gamma": [0.5, 1.0, 4.0],
    "depth": [1, 3],
    "permutation": ["random", "random_inverse", "identity"],
    "source": ["resize", "patch", "project"],
    "patch": [1, 3],
}


def drawn(space: SearchSpace, number: int, seed: int = 0) -> list[Architecture]:
    generator = random_module.Random(seed)
    return [space.decode(space.draw(generator)) for _ in range(number)]


@pytest.mark.parametrize("input", [(1, 8, 8), (3, 32, 32), (2, 7, 12), (1, 5, 3)], ids=str)
def test_two_hundred_draws_decode_whatever_a_study_asks_for(input: tuple[int, int, int]) -> None:
    for architecture in drawn(wide_sparse(input, 10).narrow(EVERYTHING), 200):
        assert architecture.canonical() == architecture
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))).key == architecture.key


def test_the_options_reach_every_kind() -> None:
    kinds = {json.dumps(a.to_json()["stages"][0]["block"]).split('"kind": ')[1].split('"')[1] for a in drawn(SPACE, 40)}
    assert kinds == {"metaformer", "s_mixer"}
    tokens = {a.stages[0].block.token.kind for a in drawn(SPACE, 40) if isinstance(a.stages[0].block, MetaFormerBlock)}
    assert tokens == {"token_mlp", "sparse_mlp"}


PICKS: dict[str, Any] = {
    "kind": "mixer",
    "omega": 2**12,
    "sw.omega": 2**12,
    "tokens": 16,
    "gamma": 2.0,
    "depth": 3,
    "permutation": "random",
    "source": "resize",
    "patch": 2,
    "activation": "gelu",
}


def decoded(**changes: Any) -> Architecture:
    picks = {**PICKS, **{name.replace("sw_omega", "sw.omega"): value for name, value in changes.items()}}
    return wide_sparse((3, 16, 16), 10).narrow({name: [value] for name, value in picks.items()}).decode(picks)


def table(architecture: Architecture) -> tuple[int, int]:
    """(S, C) of the mixing layers."""
    channels, height, wide = architecture.stem.output(architecture.input)
    return height * wide, channels


def test_channels_are_the_partner_of_the_tokens() -> None:
    assert table(decoded()) == (16, 16)
    assert table(decoded(tokens=4)) == (4, partner(4, 2**12))
    assert table(decoded(source="project", tokens=9)) == (9, partner(9, 2**12))


def test_candidates_of_a_budget_take_equal_multiply_accumulates_in_their_mixing_layers() -> None:
    for kind in KINDS:
        for tokens in (4, 9, 16, 25, 36):
            architecture = decoded(kind=kind, tokens=tokens)
            s, c = table(architecture)
            gamma = 1 if kind == "s_mixer" else 2
            matrices = 2 if kind == "s_mixer" else 4
            taken = architecture.stages[0].block.cost((c, s, 1)).macs
            assert taken == pytest.approx(matrices * connections(s, c, gamma), rel=1e-3)
            assert connections(s, c - 1) < 2**12 < connections(s, c + 1)


def test_tokens_that_a_budget_cannot_pay_fall_back_to_the_largest_square_that_it_can() -> None:
    s, c = table(decoded(tokens=64))
    assert s == max(square for square in SQUARES if partner(square, 2**12) >= MIN_CHANNELS) < 64
    assert c == partner(s, 2**12)
    assert decoded(tokens=64).key == decoded(tokens=s).key


def test_patches_of_the_image_are_those_whose_number_is_nearest() -> None:
    assert table(decoded(source="patch", tokens=16)) == (16, 16)
    assert table(decoded(source="patch", tokens=9)) == (4, partner(4, 2**12))  # 16 x 16 pixels: 1, 4, 16, 64 or 256
    assert decoded(source="patch", tokens=16).key == decoded(source="patch", tokens=16, patch=4).key


def test_picks_that_a_kind_does_not_use_make_no_difference() -> None:
    assert decoded(permutation="random_inverse").key == decoded().key
    assert decoded(sw_omega=2**10).key == decoded().key
    assert decoded(kind="rp_mixer", permutation="random_inverse").key != decoded(kind="rp_mixer").key
    assert decoded(kind="sw_mlp", omega=2**15).key == decoded(kind="sw_mlp").key
    assert decoded(kind="sw_mlp", sw_omega=2**10).key != decoded(kind="sw_mlp").key
    assert decoded(kind="s_mixer", gamma=1.0, permutation="identity").key == decoded(kind="s_mixer").key
    assert len({decoded(kind=kind).key for kind in KINDS}) == len(KINDS)


def test_one_name_sets_both_budgets() -> None:
    options = {choice.name: choice.options for choice in SPACE.narrow({"omega": 2**13}).choices}
    assert options["omega"] == options["sw.omega"] == (2**13,)


def test_dense_matrices_of_sparse_layers_stay_small() -> None:
    with pytest.raises(ValueError, match=r"choice 'sw\.omega' cannot be 65536 .* Allowed: 64 to 32768\."):
        SPACE.narrow({"sw.omega": 2**16})
    assert max(width(s, partner(s, 2**15)) for s in SQUARES) <= 1030

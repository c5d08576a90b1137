"""The space of wide and sparse MLPs at equal numbers of connections (2306.01470)."""

import json
import random as random_module
from typing import Any

import pytest

from searchspaces import Architecture
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import connections, partner, width
from searchspaces.space import SearchSpace
from searchspaces.spaces.wide_sparse import KINDS, LARGEST_SW, wide_sparse
from searchspaces.splits import SQUARES

SPACE = wide_sparse((3, 16, 16), 10)

EVERYTHING = {
    "gamma": [0.5, 1.0, 4.0],
    "depth": [1, 3],
    "permutation": ["random", "random_inverse", "identity"],
    "source": ["resize", "project"],
    "patch": [1, 3],
}


def drawn(space: SearchSpace, number: int, seed: int = 0) -> list[Architecture]:
    generator = random_module.Random(seed)
    return [space.decode(space.draw(generator)) for _ in range(number)]


@pytest.mark.parametrize("input", [(1, 8, 8), (3, 32, 32), (2, 7, 12), (1, 5, 3)], ids=str)
def test_two_hundred_draws_decode_whatever_a_study_asks_for(input: tuple[int, int, int]) -> None:
    for architecture in drawn(wide_sparse(input, 10, omega=(2**9, 2**12, 2**20)).narrow(EVERYTHING), 200):
        assert architecture.canonical() == architecture
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))).key == architecture.key


def test_the_options_reach_every_kind() -> None:
    kinds = {json.dumps(a.to_json()["stages"][0]["block"]).split('"kind": ')[1].split('"')[1] for a in drawn(SPACE, 40)}
    assert kinds == {"metaformer", "s_mixer"}
    tokens = {a.stages[0].block.token.kind for a in drawn(SPACE, 40) if isinstance(a.stages[0].block, MetaFormerBlock)}
    assert tokens == {"token_mlp", "sparse_mlp"}


PICKS: dict[str, Any] = {
    "kind": "mixer",
    "split": "16x16",
    "sw.split": "16x16",
    "gamma": 2.0,
    "depth": 3,
    "permutation": "random",
    "source": "resize",
    "patch": 2,
    "activation": "gelu",
}


def decoded(**changes: Any) -> Architecture:
    picks = {**PICKS, **{name.replace("sw_split", "sw.split"): value for name, value in changes.items()}}
    return SPACE.narrow({name: [value] for name, value in picks.items()}).decode(picks)


def table(architecture: Architecture) -> tuple[int, int]:
    """(S, C) of the mixing layers."""
    channels, height, wide = architecture.stem.output(architecture.input)
    return height * wide, channels


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_of_a_budget_take_equal_multiply_accumulates_in_their_mixing_layers(kind: str) -> None:
    for pair in ("4x43", "9x26", "16x16", "25x9"):
        architecture = decoded(kind=kind, split=pair, sw_split=pair)
        s, c = table(architecture)
        assert f"{s}x{c}" == pair
        gamma = 1 if kind == "s_mixer" else 2
        matrices = 2 if kind == "s_mixer" else 4
        taken = architecture.stages[0].block.cost((c, s, 1)).macs
        assert taken == pytest.approx(matrices * connections(s, c, gamma), rel=1e-3)
        assert connections(s, c) == pytest.approx(2**12, rel=0.1)
        assert SPACE.facts({**PICKS, "kind": kind, "split": pair, "sw.split": pair})["omega"] == connections(s, c)


def test_tokens_are_the_picked_ones_or_refused() -> None:
    assert table(decoded(source="project", split="9x26")) == (9, 26)
    assert table(decoded(source="patch", split="16x16")) == (16, 16)
    with pytest.raises(ValueError, match=r"tile the image, got 9 for input \(3, 16, 16\)\. Allowed: 1, 4, 16, 64, 256"):
        decoded(source="patch", split="9x26")
    with pytest.raises(ValueError, match=r"choice 'split' cannot be '64x2' .* Allowed: 4x43, 9x26, 16x16, 25x9"):
        SPACE.narrow({"split": "64x2"})


def test_picks_that_a_kind_does_not_use_make_no_difference() -> None:
    assert decoded(permutation="random_inverse").key == decoded().key
    assert decoded(sw_split="9x26").key == decoded().key
    assert decoded(kind="rp_mixer", permutation="random_inverse").key != decoded(kind="rp_mixer").key
    assert decoded(kind="sw_mlp", split="4x43").key == decoded(kind="sw_mlp").key
    assert decoded(kind="sw_mlp", sw_split="9x26").key != decoded(kind="sw_mlp").key
    assert decoded(kind="s_mixer", gamma=1.0, permutation="identity").key == decoded(kind="s_mixer").key
    assert len({decoded(kind=kind).key for kind in KINDS}) == len(KINDS)


def test_one_name_sets_both_splits() -> None:
    options = {choice.name: choice.options for choice in SPACE.narrow({"split": "16x16"}).choices}
    assert options["split"] == options["sw.split"] == ("16x16",)


def test_dense_matrices_of_sparse_layers_stay_small() -> None:
    with pytest.raises(ValueError, match=r"omega must be 64 to 32768, got 65536"):
        wide_sparse((3, 16, 16), 10, sw_omega=2**16)
    assert max(width(s, partner(s, LARGEST_SW)) for s in SQUARES) <= 1030

"""The space of wide and sparse MLPs at equal numbers of connections (2306.01470)."""

import json
import random as random_module
from typing import Any

import pytest

from searchspaces import Architecture
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import connections
from searchspaces.space import SearchSpace
from searchspaces.spaces.wide_sparse import KINDS, wide_sparse

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
    "gamma": 2.0,
    "depth": 3,
    "permutation": "random",
    "source": "resize",
    "patch": 2,
    "activation": "gelu",
}


def decoded(**changes: Any) -> Architecture:
    return decoded_of(SPACE, **changes)


def decoded_of(space: SearchSpace, **changes: Any) -> Architecture:
    picks = {**PICKS, **{name.replace("__", "."): value for name, value in changes.items()}}
    return space.narrow({name: [value] for name, value in picks.items()}).decode(picks)


def table(architecture: Architecture) -> tuple[int, int]:
    """(S, C) of the mixing layers."""
    channels, height, wide = architecture.stem.output(architecture.input)
    return height * wide, channels


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_of_a_budget_take_equal_multiply_accumulates_in_their_mixing_layers(kind: str) -> None:
    for pair in ("4x43", "9x26", "16x16", "25x9"):
        architecture = decoded(kind=kind, split=pair)
        s, c = table(architecture)
        assert f"{s}x{c}" == pair
        gamma = 1 if kind == "s_mixer" else 2
        matrices = 2 if kind == "s_mixer" else 4
        taken = architecture.stages[0].block.cost((c, s, 1)).macs
        assert taken == pytest.approx(matrices * connections(s, c, gamma), rel=1e-3)
        assert connections(s, c) == pytest.approx(2**12, rel=0.1)
        assert SPACE.facts({**PICKS, "kind": kind, "split": pair})["omega"] == connections(s, c)


def test_tokens_are_the_picked_ones_or_refused() -> None:
    assert table(decoded(source="project", split="9x26")) == (9, 26)
    assert table(decoded(source="patch", split="16x16")) == (16, 16)
    with pytest.raises(ValueError, match=r"tile the image, got 9 for input \(3, 16, 16\)\. Allowed: 1, 4, 16, 64, 256"):
        decoded(source="patch", split="9x26")
    with pytest.raises(ValueError, match=r"choice 'split' cannot be '64x2' .* Allowed: 4x43, 9x26, 16x16, 25x9"):
        SPACE.narrow({"split": "64x2"})


def test_picks_that_a_kind_does_not_use_make_no_difference() -> None:
    assert decoded(permutation="random_inverse").key == decoded().key
    assert decoded(kind="rp_mixer", permutation="random_inverse").key != decoded(kind="rp_mixer").key
    for kind in set(KINDS) - {"sw_mlp"}:
        assert decoded(kind=kind, sw__density=0.5, sw__mask="fan_in").key == decoded(kind=kind).key
    for kind in set(KINDS) - {"rp_mixer"}:
        assert decoded(kind=kind, pattern="only(2)").key == decoded(kind=kind).key
    assert decoded(kind="s_mixer", gamma=1.0, permutation="identity").key == decoded(kind="s_mixer").key
    assert len({decoded(kind=kind).key for kind in KINDS}) == len(KINDS)


def test_one_random_block_stands_among_commuting_ones() -> None:
    blocks = [stage.block for stage in decoded(kind="rp_mixer", pattern="only(2)").stages]
    assert blocks == [decoded(kind=kind).stages[0].block for kind in ("mixer", "rp_mixer", "mixer")]
    assert decoded(kind="rp_mixer", pattern="uniform").key == decoded(kind="rp_mixer").key
    with pytest.raises(
        ValueError, match=r"cannot be 'own' .* Allowed: uniform, alternate, first\(K\), every\(K\), only"
    ):
        SPACE.narrow({"pattern": "own"})


def test_unshared_blocks_cost_what_shared_ones_do_and_hold_more_weights() -> None:
    one, own = (decoded(kind=kind).stages[0].block.cost((16, 4, 4)) for kind in ("mixer", "monarch"))
    assert one.macs == own.macs
    assert own.parameters - 64 == 16 * (one.parameters - 64)  # 64 in two norms


@pytest.mark.parametrize("share", [0.25, 2.0])
def test_density_of_sparse_networks_is_a_multiple_of_that_of_mixers(share: float) -> None:
    found = decoded(kind="sw_mlp", sw__density=share)
    usual = decoded(kind="sw_mlp").stages[0].block.cost((16, 4, 4)).macs
    assert found.stages[0].block.cost((16, 4, 4)).macs == share * usual
    named = SPACE.narrow({"sw.density": share})
    assert named.facts({**PICKS, "kind": "sw_mlp", "sw.density": share})["omega"] == share * 2**12
    assert named.facts({**PICKS, "sw.density": share})["omega"] == 2**12


def test_a_density_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sw\.density must be at most 16 with split 16x16, got 17"):
        decoded(kind="sw_mlp", sw__density=17.0)


@pytest.mark.parametrize("kind", ["mixer", "rp_mixer", "sw_mlp", "monarch"])
def test_separate_expansions_keep_the_budget(kind: str) -> None:
    space = wide_sparse((3, 16, 16), 10, omega=2**12, ratios=(0.5, 4))
    pairs = next(choice for choice in space.choices if choice.name == "split").options
    assert {"16x20:0.5", "16x9:4"} <= set(pairs)
    for pair in pairs:
        found = decoded_of(space, kind=kind, split=pair)
        s, c = table(found)
        assert found.stages[0].block.cost((c, s, 1)).macs == pytest.approx(4 * 2 * 2**12, rel=0.1)
        assert space.facts({**PICKS, "split": pair})["ratio"] == float(str(pair).split(":")[1])


def test_an_s_mixer_has_no_separate_expansions() -> None:
    with pytest.raises(ValueError, match="S-Mixer has no expansions, so split must have no ratio, got 16x9:4"):
        decoded_of(wide_sparse((3, 16, 16), 10, omega=2**12, ratios=4), kind="s_mixer", split="16x9:4")
    for ratios in (0, 100.0, (), (1.0, float("nan"))):
        with pytest.raises(ValueError, match=r"ratios must be numbers from 0\.015625 to 64"):
            wide_sparse((3, 16, 16), 10, ratios=ratios)


@pytest.mark.parametrize(
    ("budget", "pair", "width"), [(2**18, "64x64", 2**12), (2**21, "144x113", 16_272), (2**27, "484x541", 261_844)]
)
def test_published_budgets_are_reached(budget: int, pair: str, width: int) -> None:
    space = wide_sparse((3, 32, 32), 10, omega=budget)
    for kind in KINDS:
        found = decoded_of(space, kind=kind, split=pair, gamma=1.0)
        s, c = table(found)
        assert s * c == width
        matrices = 2 if kind == "s_mixer" else 4
        assert found.stages[0].block.cost((c, s, 1)).macs == pytest.approx(matrices * budget, rel=0.1)

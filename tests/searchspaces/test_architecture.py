"""Architectures as data: JSON, keys, and the answers to a wrong description."""

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from searchspaces import Architecture, Stage, build
from searchspaces.architecture import BLOCKS, TOKEN_MIXERS, TokenMixer, spec
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise
from searchspaces.stems.patch import PatchStem


def network(*stages: Stage, dim: int = 8) -> Architecture:
    return Architecture((3, 8, 8), 10, PatchStem(dim, 2), stages, AverageHead())


def stage(depth: int = 2, freeze: str = "full", **depthwise: Any) -> Stage:
    return Stage(ConvMixerBlock(token=Depthwise(**depthwise), freeze=freeze), depth)


PLAIN = network(stage())

RICH = network(stage(1, "chans", kernel=5, dilation=2, filters="smooth(1.5)"), stage(3, "space", kernel=7))

PYRAMID = network(stage(), Stage(MetaFormerBlock(Depthwise(), Pointwise(), norm="group"), 3, ConvDownsample(16)))


def written(**changes: Any) -> dict[str, Any]:
    """JSON of a valid architecture with some top-level fields replaced; None removes one."""
    data = {**json.loads(json.dumps(RICH.to_json())), **changes}
    return {name: value for name, value in data.items() if value is not None}


def block(**fields: Any) -> dict[str, Any]:
    return written(stages=[{"block": {"kind": "convmixer", **fields}}])


@pytest.mark.parametrize("architecture", [PLAIN, RICH, PYRAMID], ids=["plain", "rich", "pyramid"])
def test_json_round_trip_gives_the_same_architecture_and_key(architecture: Architecture) -> None:
    back = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert back == architecture
    assert back.key == architecture.key


def test_the_json_is_what_a_person_would_write() -> None:
    assert RICH.to_json() == {
        "input": [3, 8, 8],
        "classes": 10,
        "stem": {"kind": "patch", "dim": 8, "patch": 2},
        "stages": [
            {
                "block": {
                    "kind": "convmixer",
                    "token": {"kind": "depthwise", "kernel": 5, "dilation": 2, "filters": "smooth(1.5)"},
                    "freeze": "chans",
                }
            },
            {
                "block": {"kind": "convmixer", "token": {"kind": "depthwise", "kernel": 7}, "freeze": "space"},
                "depth": 3,
            },
        ],
        "head": {"kind": "average"},
    }


def test_fields_at_their_default_are_left_out() -> None:
    assert PLAIN.to_json()["stages"] == [{"block": {"kind": "convmixer"}, "depth": 2}]
    assert network(stage(depth=1)).to_json()["stages"] == [{"block": {"kind": "convmixer"}}]


def test_fields_at_their_default_may_be_written_out() -> None:
    token = {"kind": "depthwise", "kernel": 3, "dilation": 1, "filters": "random"}
    full = {"kind": "convmixer", "token": token, "channel": {"kind": "pointwise"}, "freeze": "full"}
    assert Architecture.from_json({**PLAIN.to_json(), "stages": [{"block": full, "depth": 2}]}) == PLAIN


@pytest.mark.parametrize("hash_seed", ["1", "31415"])
def test_key_is_the_same_in_another_process(hash_seed: str) -> None:
    code = (
        "import json, sys; from searchspaces import Architecture; "
        "print(Architecture.from_json(json.loads(sys.argv[1])).key)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(RICH.to_json())],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == RICH.key


def test_keys_are_those_of_earlier_versions() -> None:
    """A change here forgets every finished trial: fields added later must have defaults that change no key."""
    assert (PLAIN.key, RICH.key) == ("0e1d7551b87368d6", "c3c49d5d38f3fd00")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (network(stage(kernel=1, dilation=2)), network(stage(kernel=1))),
        (network(stage(1), stage(3)), network(stage(4))),
        (network(stage(1, kernel=5), stage(1, kernel=5), stage(1)), network(stage(2, kernel=5), stage(1))),
        (network(stage(1, kernel=1, dilation=3), stage(1, kernel=1)), network(stage(2, kernel=1))),
        (
            network(stage(freeze="chans", filters="identity", dilation=2)),
            network(stage(freeze="chans", filters="identity")),
        ),
        (network(stage(filters="smooth(1)")), network(stage(filters="smooth(1.0)"))),
        (network(stage(filters="smooth(1.50)")), network(stage(filters="smooth(1.5)"))),
        (
            network(Stage(ConvMixerBlock(), 1, ConvDownsample(8)), stage(1)),
            network(Stage(ConvMixerBlock(), 2, ConvDownsample(8))),
        ),
    ],
    ids=[
        "dilation of a 1x1 kernel",
        "neighbouring stages",
        "first two of three stages",
        "neighbours that are equal only in canonical form",
        "dilation of a frozen identity",
        "smooth(1.0)",
        "smooth(1.50)",
        "neighbours after a downsampling",
    ],
)
def test_equal_networks_have_equal_keys(one: Architecture, other: Architecture) -> None:
    assert one != other
    assert one.key == other.key
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(build(one).eval()(x), build(other).eval()(x))


def test_different_networks_have_different_keys() -> None:
    different = [
        PLAIN,
        network(stage(), dim=16),
        network(stage(3)),
        network(stage(kernel=5)),
        network(stage(dilation=2)),
        network(stage(freeze="chans")),
        network(stage(freeze="space")),
        network(stage(filters="box")),
        network(stage(filters="smooth(1)")),
        network(stage(filters="smooth(2)")),
        network(stage(filters="identity")),
        network(stage(filters="identity", dilation=2)),  # trained: the other taps grow
        network(stage(1, kernel=5), stage(1)),
        network(stage(1), stage(1, kernel=5)),
        network(stage(1), stage(1, kernel=5), stage(1)),
        network(stage(1), Stage(ConvMixerBlock(), 1, ConvDownsample(8))),
        network(Stage(ConvMixerBlock(), 2, ConvDownsample(8))),
        Architecture((3, 8, 8), 11, PLAIN.stem, PLAIN.stages, PLAIN.head),
        Architecture((1, 8, 8), 10, PLAIN.stem, PLAIN.stages, PLAIN.head),
        Architecture((3, 8, 16), 10, PLAIN.stem, PLAIN.stages, PLAIN.head),
    ]
    assert len({architecture.key for architecture in different}) == len(different)


def test_key_is_sixteen_hexadecimal_digits() -> None:
    assert len(RICH.key) == 16
    assert int(RICH.key, 16) >= 0


def nested(depth: int) -> dict[str, Any]:
    """A mixer in a mixer, and so on."""
    node: dict[str, Any] = {"kind": "roll_mix", "groups": 4}
    for _ in range(depth):
        node = {"kind": "roll_token_mlp", "hidden": 1, "roll": node}
    return block(token=node)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (written(head={"kind": "averge"}), r"unknown head 'averge'\. Did you mean 'average'\? Known: .*average"),
        (written(stem={"kind": "ptch", "dim": 8}), r"unknown stem 'ptch'\. Did you mean 'patch'\?"),
        (block(token={"kind": "depthwis"}), r"unknown token mixer 'depthwis'\. Did you mean 'depthwise'\?"),
        (block(channel={"kind": "depthwise"}), r"unknown channel mixer 'depthwise'\..* Known: .*pointwise"),
        (written(stages=[{"block": {"kind": "conv"}}]), r"unknown block 'conv'\."),
        (written(stem={"dim": 8}), r"architecture\.stem must name its kind\. Known: .*patch"),
        (written(clases=10), r"architecture: unknown field 'clases'\. Did you mean 'classes'\?"),
        (block(token={"kind": "depthwise", "kernl": 3}), r"token: unknown field 'kernl'\. Did you mean 'kernel'\?"),
        (written(classes=None), r"architecture lacks classes\."),
        (written(stem={"kind": "patch"}), r"architecture\.stem lacks dim\."),
        (written(classes="10"), r"architecture\.classes must be of type int, got '10'\."),
        (written(classes=10.0), r"architecture\.classes must be of type int, got 10\.0\."),
        (written(classes=True), r"architecture\.classes must be of type int, got True\."),
        (written(head="average"), r"architecture\.head must be an object, got 'average'\."),
        (written(stages={}), r"architecture\.stages must be a list, got {}\."),
        (written(stages=[3]), r"architecture\.stages\[0\] must be an object, got 3\."),
        (written(input=[3, 8]), r"architecture\.input must be a list of 3, got \[3, 8\]\."),
        (written(input=[3, 8, "8"]), r"architecture\.input\[2\] must be of type int, got '8'\."),
        (block(freeze="half"), r"stages\[0\]\.block\.freeze must be one of full, chans, space, got 'half'\."),
        (block(freeze=1), r"stages\[0\]\.block\.freeze must be one of full, chans, space, got 1\."),
        (block(token={"kind": "depthwise", "kernel": 0}), r"kernel and dilation must be at least 1, got kernel=0"),
        (block(token={"kind": "depthwise", "filters": "bx"}), r"unknown filter mode 'bx'\. Did you mean 'box'\?"),
        (written(stages=[{"block": {"kind": "convmixer"}, "depth": 0}]), r"depth of a stage must be at least 1, got 0"),
        (written(stages=[{"block": {"kind": "convmixer"}, "depth": 5001}] * 2), "at most 10,000 blocks, got 10,002"),
        (written(classes=0), "classes must be from 1 to 1,000,000, got 0"),
        (written(classes=10**400), r"architecture\.classes must be a number of at most 100,000,000, got 1000"),
        (written(input=[3, 0, 8]), r"input must be \(C, H, W\), each at least 1 .* got \(3, 0, 8\)"),
        (written(input=[1, 10**5, 10**5]), r"input must be .* at most 100,000,000 values in all"),
        (written(stem={"kind": "patch", "dim": 0}), r"dim must be at least 1, got 0"),
        (written(stem={"kind": "embedding", "dim": 8, "kernel": 2, "stride": 0}), r"stride must be at least 1, got 0"),
        (
            block(channel={"kind": "channel_mlp", "expansion": math.nan}),
            "expansion must be a number .* nan",
        ),
        (
            block(channel={"kind": "channel_mlp", "expansion": 1e308}),
            r"expansion must be a number .* 1e\+308",
        ),
        (written(head="x" * 10**6), r"architecture\.head must be an object, got 'x{90,}\.\.\.\.$"),
        (nested(5_000), "architecture has more nodes in each other than any network"),
    ],
)
def test_a_wrong_description_is_answered_with_the_place_and_what_is_expected(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture.from_json(data)


def test_a_description_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match=r"architecture must be an object, got \[\]"):
        Architecture.from_json([])  # type: ignore[arg-type]


def test_registering_a_name_twice_is_an_error_and_replaces_nothing() -> None:
    with pytest.raises(ValueError, match=r"token mixer 'depthwise' is already registered by .*Depthwise"):

        @spec("depthwise")
        @dataclass(frozen=True)
        class Impostor(TokenMixer):
            pass

    assert TOKEN_MIXERS["depthwise"] is Depthwise


def test_the_same_name_in_another_role_is_no_conflict() -> None:
    assert set(TOKEN_MIXERS).isdisjoint(BLOCKS)
    try:

        @spec("convmixer")
        @dataclass(frozen=True)
        class Namesake(TokenMixer):
            pass

        assert TOKEN_MIXERS["convmixer"] is Namesake
        assert BLOCKS["convmixer"] is ConvMixerBlock
    finally:
        TOKEN_MIXERS.pop("convmixer", None)


@pytest.mark.parametrize("mode", ["heads(1)", "same_per_multiplier"])
def test_one_filter_for_all_channels_has_one_name(mode: str) -> None:
    one, same = (network(Stage(ConvMixerBlock(Depthwise(filters=m), freeze="chans"))) for m in (mode, "same"))
    assert one.key == same.key


def test_a_frozen_identity_in_a_metaformer_ignores_dilation_too() -> None:
    one, other = (
        network(Stage(MetaFormerBlock(Depthwise(3, d, "identity"), Pointwise(), freeze="chans"))) for d in (1, 2)
    )
    assert one.key == other.key


def test_a_kind_that_is_not_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown head"):
        Architecture.from_json({**network(Stage(ConvMixerBlock())).to_json(), "head": {"kind": ["average"]}})

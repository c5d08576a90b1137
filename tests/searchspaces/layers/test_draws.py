"""Draws of a seed: the published words, functions that need no C library, and every kind of tensor bit for bit."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from searchspaces.architecture import Architecture, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.layers.draws import Draw, Words, drawn, exponential, logarithm
from searchspaces.layers.filters import FILTER_MODES, INEXACT, filter_bank
from searchspaces.layers.permutations import draw_order
from searchspaces.layers.sparse import draw_mask
from searchspaces.network import build
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.random_mix import RandomMix, draw_rows
from searchspaces.operators.sparse_mlp import SparseMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.projected import draw_projection


def test_the_words_of_seed_0_are_those_published_for_splitmix64() -> None:
    words = Words(0)
    assert [hex(word) for word in (*words.take(2).tolist(), *words.take(1).tolist())] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_logarithms_and_powers_are_those_of_the_standard_library_to_the_last_digits() -> None:
    x = Words(1).units(1000)
    assert logarithm(x).tolist() == pytest.approx([math.log(one) for one in x], rel=1e-15, abs=1e-16)
    assert exponential(-700 * x).tolist() == pytest.approx([math.exp(-700 * one) for one in x], rel=1e-13)
    assert exponential(np.array([0.0, -701.0, -1e300])).tolist() == [1.0, 0.0, 0.0]


def test_normal_numbers_have_the_moments_of_their_distribution_and_are_independent() -> None:
    x = Words(2).normals(100_001)
    assert [(x**power).mean() for power in (1, 2, 3, 4)] == pytest.approx([0, 1, 0, 3], abs=0.06)
    assert abs((x[:-1] * x[1:]).mean()) < 0.01


def test_the_streams_of_neighbouring_seeds_have_nothing_in_common() -> None:
    words = [Words(seed).take(1000) for seed in range(50)]
    assert len(np.unique(np.concatenate(words))) == 50_000
    units = np.stack([Words(seed).units(1000) for seed in range(50)])
    assert np.abs(np.corrcoef(units) - np.eye(50)).max() < 0.15


DIGESTS = {
    "random": "00f829854893e8f8",
    "normal": "2899e654bf73c6e6",
    "same": "3137089880cecba9",
    "same_per_multiplier": "7f344cc4be62eae0",
    "identity": "2574d0bb3b58ef5e",
    "impulse": "92437e8d910cfe92",
    "box": "701350edf2788be3",
    "smooth": "201d0415be9219d5",
    "heads": "06cbe9e5ef52aaab",
    "taps": "5ea654338577c73c",
    "gauss": "d1a26324e3418b61",
    "mask exact": "bbfa315d64c70b83",
    "mask bernoulli": "3c1d49f147c4a878",
    "mask fan_in": "2e73a0ce6b7ef23f",
    "own scale": "1533270992a0f0a5",
    "order": "86ebda0cad94be4f",
    "rows": "a076f94f6d560917",
    "soft rows": "9dc2ec515781afe6",
    "projection": "9e54b9e04b47f3a4",
}
"""Of what seed 7 draws. Where one changes, exports that hold a seed are refused: then `GENERATOR` needs a new name."""


def made() -> dict[str, torch.Tensor]:
    """What seed 7 draws, by kind."""
    numbers = {"smooth": "(1.5)", "heads": "(4)", "taps": "(3)", "gauss": "(1)"}
    exact = [name for name in FILTER_MODES if name not in INEXACT]
    found = {name: filter_bank(name + numbers.get(name, ""), 5, 4, Words(7), multiplier=2) for name in exact}
    found |= {f"mask {kind}": draw_mask(30, 40, 0.1, kind, Words(7)) for kind in ("exact", "bernoulli", "fan_in")}
    found["own scale"] = filter_bank("random", 5, 8, Words(7), norm_match=False)
    found["order"] = draw_order(100, Words(7))
    found["rows"], found["soft rows"] = draw_rows((2, 9, 9), None, Words(7)), draw_rows((2, 9, 9), 5.0, Words(7))
    return found | {"projection": draw_projection((6, 10), Words(7))}


def test_every_kind_of_draw_is_what_it_was_on_every_machine_before() -> None:
    digests = {name: hashlib.sha256(one.numpy().tobytes()).hexdigest()[:16] for name, one in made().items()}
    assert digests == DIGESTS


def test_a_network_knows_how_each_tensor_was_drawn_and_every_one_has_a_seed_of_its_own() -> None:
    mixers = (Depthwise(3), RandomMix("softmax"), SparseMLP(0.3), TokenMLP(permutation="random"))
    stages = tuple(Stage(MetaFormerBlock(mixer, ChannelMLP(0.5), freeze="chans"), 1) for mixer in mixers)
    network = build(Architecture((1, 8, 8), 3, EmbeddingStem(5, 2, 2), stages, AverageHead()), seed=3)
    draws, state = drawn(network), network.state_dict()
    assert sorted(name.rpartition(".")[2] for name in draws) == [
        "after",
        "before",
        "mask",
        "mask",
        "matrices",
        "weight",
    ]
    assert len({draw.seed for draw in draws.values()}) == len(draws)
    for name, draw in draws.items():
        assert torch.equal(draw.tensor(), state[name])
        assert not torch.equal(replace(draw, seed=draw.seed + 1).tensor(), state[name])
        assert (draw.shape, draw.dtype) == (tuple(state[name].shape), state[name].dtype)


def test_nothing_is_drawn_of_a_network_that_is_not_allocated() -> None:
    def refuse(*, words: Words) -> torch.Tensor:
        raise AssertionError

    with torch.device("meta"):
        assert Draw(refuse, (3,), 0, torch.int64).tensor().dtype == torch.int64

"""ASM-RH networks (2402.18007) have the counts of their sizes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from objectives.counting import count
from searchspaces import architecture_cost, build
from searchspaces.known.asm_rh import asm_rh


def literal(x: Tensor, norm: str = "ortho") -> Tensor:
    """The paper's chain along the first dimension, with all 2 (n - 1) values in between."""
    chain: Tensor = torch.fft.irfft(torch.fft.hfft(x, dim=0, norm=norm), n=len(x), dim=0, norm=norm)
    return chain


MICRO: dict[str, Any] = {"input": (1, 64, 64), "dim": 96, "depth": 4, "stride": 8, "classes": 10}

SIZES: dict[str, tuple[dict[str, Any], int, int, int]] = {
    "base": ({}, 62_452_520, 38_338_566_144, 21_408_258_048),
    "base, 10 classes": ({"classes": 10}, 62_454_058, 38_338_567_680, 21_408_259_584),
    "speech commands": ({"tokens": 144, "classes": 35}, 58_265_315, 9_201_281_280, 5_181_040_896),
    "small": (
        {"tokens": 144, "dim": 192, "depth": 4, "token_hidden": 72, "classes": 10},
        1_322_026,
        192_874_368,
        109_119_360,
    ),
    "micro": ({**MICRO, "patch": 8, "token_hidden": 32}, 322_538, 20_841_408, 11_699_136),
    "micro-overlap": ({**MICRO, "patch": 16, "token_hidden": 24}, 333_902, 16_559_040, 9_481_152),
}


@pytest.mark.parametrize(("size", "parameters", "macs", "half"), SIZES.values(), ids=SIZES.keys())
def test_counts_of_the_known_networks(size: dict[str, Any], parameters: int, macs: int, half: int) -> None:
    plain, literal = architecture_cost(asm_rh(**size, reading="none")), architecture_cost(asm_rh(**size))
    assert (plain.parameters, plain.macs) == (parameters, macs)
    assert (literal.parameters, literal.macs) == (parameters, half)


@pytest.mark.parametrize("name", ["small", "micro", "micro-overlap"])
def test_counting_gives_the_same_and_the_products_of_the_transforms_besides(name: str) -> None:
    size, parameters, macs, half = SIZES[name]
    for reading, expected in (("none", macs), ("literal", half)):
        network = asm_rh(**size, reading=reading)
        with torch.device("meta"):
            counts = count(build(network), network.input)
        tokens, dim = int(np.prod(network.stem.output(network.input)[1:])), size["dim"]
        products = size["depth"] * 2 * tokens * (tokens // 2 + 1) * dim if reading == "literal" else 0
        assert (counts.parameters, counts.macs - products) == (parameters, expected)
        assert counts.uncounted == ()


def test_the_base_networks_have_600_and_144_tokens() -> None:
    for tokens, sides in ((600, (12, 50)), (144, (12, 12))):
        network = asm_rh(tokens)
        assert network.stem.output(network.input) == (768, *sides)
    assert asm_rh(144).input == (1, 128, 128)

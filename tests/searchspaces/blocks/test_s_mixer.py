"""S-Mixer as two wide layers (2306.01470)."""

from typing import Any

import pytest
from matrices import close, eye, kron, matrix, random

from searchspaces import Architecture
from searchspaces.blocks.s_mixer import SMixerBlock
from searchspaces.layers.permutations import commutation, vec

TABLES = [(3, 2), (4, 7), (4, 4), (6, 1), (9, 5)]

every_table = pytest.mark.parametrize(("tokens", "channels"), TABLES)


@every_table
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_i5_an_s_mixer_is_two_wide_layers(tokens: int, channels: int, activation: Any) -> None:
    module, x = SMixerBlock(activation).build((channels, tokens, 1)).double(), random(channels, tokens, 1)
    phi, w, v = module.activation, module.w.weight, module.vt.weight.T
    table = x.flatten(1).T
    h = phi(phi(w @ table) @ v)
    j = matrix(commutation(tokens, channels))
    wide = phi(j.T @ kron(eye(tokens), v.T) @ phi(j @ kron(eye(channels), w) @ vec(table)))
    close(wide, vec(h))
    close(module(x[None]).flatten(), vec(h))


def table(architecture: Architecture) -> tuple[int, int]:
    """(S, C) of the mixing layers."""
    channels, height, wide = architecture.stem.output(architecture.input)
    return height * wide, channels

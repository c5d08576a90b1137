"""Gated mixers: the gate of NiNformer by its equation, any mixer under a gate, published counts."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from matrices import close, lively, random

from searchspaces.architecture import TokenMixer
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.gated import Gate, Gated, Gating
from searchspaces.operators.identity import NoTokenMixing
from searchspaces.operators.nin import NetworkInNetwork, NiN
from searchspaces.operators.pooling import Pooling
from searchspaces.operators.raft import Raft

SHAPE = (6, 3, 5)


@pytest.mark.parametrize("gate", ["raw", "tanh"])
@pytest.mark.parametrize("op", [Pooling(), Depthwise(), Raft()], ids=str)
def test_under_a_gate_of_one_a_mixer_is_itself(op: TokenMixer, gate: Gate) -> None:
    mixer, x = lively(Gated(op, gate).build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, Gating)
    torch.nn.init.zeros_(mixer.projection.weight)
    assert mixer.projection.bias is not None
    torch.nn.init.constant_(mixer.projection.bias, 1.0 if gate == "raw" else 0.0)
    close(mixer(x), mixer.op(x))


@pytest.mark.parametrize("gate", ["raw", "sigmoid", "tanh"])
def test_a_gated_mixer_is_its_equation(gate: Gate) -> None:
    mixer, x = lively(Gated(Depthwise(), gate).build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, Gating)
    z = mixer.projection(x)
    close(mixer(x), {"raw": z, "sigmoid": z.sigmoid(), "tanh": 1 + z.tanh()}[gate] * mixer.op(x))


def test_a_gate_costs_a_matrix_over_the_channels_more() -> None:
    plain, gated = (op.cost((64, 16, 16)) for op in (Depthwise(7), Gated(Depthwise(7))))
    assert gated.parameters - plain.parameters == 64 * 64 + 64
    assert gated.macs - plain.macs == 256 * 64 * 64


@pytest.mark.parametrize(
    "config", [NiN(), NiN("raft", expansion=0, gate="tanh"), NiN("mixshift", gate="sigmoid"), NiN(gate="none")], ids=str
)
def test_the_gate_of_ninformer_is_its_equation(config: NiN) -> None:
    mixer, x = lively(config.build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, NetworkInNetwork)
    m = x + mixer.token(mixer.norm(x))
    if mixer.channel_norm and mixer.expand and mixer.reduce:
        m = m + mixer.reduce(F.gelu(mixer.expand(mixer.channel_norm(m))))
    gates = {"raw": m, "sigmoid": m.sigmoid(), "tanh": 1 + m.tanh()}
    close(mixer(x), mixer.projection(x) * gates[config.gate] if mixer.projection else m)
    assert (mixer.projection is None) == (config.gate == "none")


@pytest.mark.parametrize(
    ("shape", "parameters", "macs"),
    [((64, 16, 16), 86_912, 9.44), ((96, 14, 14), 122_500, 16.26), ((256, 8, 8), 395_840, 37.75)],
)
def test_counts_are_the_published_ones(shape: tuple[int, int, int], parameters: int, macs: float) -> None:
    cost = NiN().cost(shape)
    assert (cost.parameters, round(cost.macs / 1e6, 2)) == (parameters, macs)


@pytest.mark.parametrize("op", [Gated(), NoTokenMixing(), "raft"], ids=str)
def test_what_cannot_be_gated_is_refused(op: Any) -> None:
    with pytest.raises(ValueError, match="op must be a token mixer that mixes and is not gated itself, got"):
        Gated(op)

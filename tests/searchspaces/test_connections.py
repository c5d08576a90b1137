"""Arithmetic of wide and sparse MLPs (2306.01470): identities, partners at fixed Omega, widths."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from matrices import close, eye, kron, matrix, random
from torch import Tensor

from searchspaces import Architecture
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.connections import connections, density, partner, width
from searchspaces.layers.permutations import commutation, draw, vec
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.token_mlp import TokenMLP

TABLES = [(3, 2), (4, 7), (4, 4), (6, 1), (9, 5)]

every_table = pytest.mark.parametrize(("tokens", "channels"), TABLES)


def lively(module: Any) -> Any:
    """The module in float64 with biases that are not zero."""
    for parameter in module.double().parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return module


def effective_matrices(tokens: int, channels: int, gamma: int) -> tuple[Tensor, ...]:
    """The four of a block: I_C kron W1, I_C kron W2, W3^T kron I_S, W4^T kron I_S."""
    w1, w2 = random(gamma * tokens, tokens), random(tokens, gamma * tokens)
    w3, w4 = random(channels, gamma * channels), random(gamma * channels, channels)
    return kron(eye(channels), w1), kron(eye(channels), w2), kron(w3.T, eye(tokens)), kron(w4.T, eye(tokens))


@every_table
def test_i6_a_mixer_block_with_biases_is_four_wide_layers(tokens: int, channels: int) -> None:
    shape = (channels, 1, tokens)
    token, channel = lively(TokenMLP(2.0).build(shape)), lively(ChannelMLP(3.0).build(shape))
    (w1, b1), (w2, b2) = ((layer.weight, layer.bias) for layer in (token.mlp.up, token.mlp.down))
    (w3t, b3), (w4t, b4) = ((layer.weight, layer.bias) for layer in (channel.mlp.up, channel.mlp.down))
    features = random(*shape)
    x, table = features.flatten(), features.flatten(1).T

    table_y = table + w2 @ F.gelu(w1 @ table + b1[:, None]) + b2[:, None]
    y = x + kron(eye(channels), w2) @ F.gelu(kron(eye(channels), w1) @ x + b1.repeat(channels)) + b2.repeat(channels)
    close(y, vec(table_y))
    close(x + token(features[None]).flatten(), y)

    table_z = table_y + F.gelu(table_y @ w3t.T + b3) @ w4t.T + b4
    hidden = F.gelu(kron(w3t, eye(tokens)) @ y + b3.repeat_interleave(tokens))
    z = y + kron(w4t, eye(tokens)) @ hidden + b4.repeat_interleave(tokens)
    close(z, vec(table_z))
    close(y + channel(y.view(1, *shape)).flatten(), z)


@every_table
@pytest.mark.parametrize("gamma", [1, 2])
def test_i8_and_i9_non_zeros_and_density_of_a_block(tokens: int, channels: int, gamma: int) -> None:
    matrices = effective_matrices(tokens, channels, gamma)
    token, channel = gamma * channels * tokens**2, gamma * channels**2 * tokens
    assert [int(m.count_nonzero()) for m in matrices] == [token, token, channel, channel]
    omega, m = connections(tokens, channels, gamma), width(tokens, channels)
    assert omega == (token + channel) / 2
    assert density(tokens, channels) == pytest.approx(omega / (gamma * m**2))
    assert density(tokens, channels) == pytest.approx(sum(float((m != 0).double().mean()) for m in matrices) / 4)
    assert density(tokens, tokens) == pytest.approx(1 / tokens)


def test_three_tokens_of_two_channels_by_hand() -> None:
    assert (width(3, 2), connections(3, 2), density(3, 2)) == (6, 15, pytest.approx(15 / 36))


@every_table
def test_i10_permutations_and_copies_leave_the_singular_values(tokens: int, channels: int) -> None:
    w, (j1, j2) = random(2 * tokens, tokens), (one.tensor() for one in draw("random", tokens * channels))
    permuted = kron(eye(channels), w)[:, j1]
    values = torch.linalg.svdvals(w).repeat_interleave(channels).sort(descending=True).values
    close(torch.linalg.svdvals(permuted), values)
    close(torch.linalg.svdvals(kron(eye(channels), w.T)[j2]), values)


@every_table
def test_i11_weight_decay_on_the_factors_bounds_the_l1_norm_of_the_product(tokens: int, channels: int) -> None:
    w, v = random(tokens, tokens), random(channels, channels)
    product = kron(v, w).abs().sum()
    assert product.item() == pytest.approx((v.abs().sum() * w.abs().sum()).item())
    assert product <= channels * tokens / 2 * (v.square().sum() + w.square().sum())


@every_table
def test_i12_a_mixer_is_a_monarch_product_with_shared_blocks(tokens: int, channels: int) -> None:
    w, v, j = random(tokens, tokens), random(channels, channels), matrix(commutation(tokens, channels))
    monarch = j.T @ torch.block_diag(*[v.T] * tokens) @ j @ torch.block_diag(*[w] * channels)
    close(monarch, kron(v.T, eye(tokens)) @ kron(eye(channels), w))


@every_table
def test_i14_every_row_and_column_has_as_many_connections_as_a_block_is_long(tokens: int, channels: int) -> None:
    j1, j2 = (one.tensor() for one in draw("random", tokens * channels))
    connected = matrix(j2) @ kron(eye(channels), random(tokens, tokens)) @ matrix(j1) != 0
    assert set(connected.sum(0).tolist()) == set(connected.sum(1).tolist()) == {tokens}


@pytest.mark.parametrize(
    ("omega", "channels"),
    [(2**18, (360, 173, 113, 64, 38, 27, 22, 13, 8)), (2**21, (1022, 504, 346, 226, 161, 128, 113, 78, 53))],
)
def test_partners_of_the_reference_table(omega: int, channels: tuple[int, ...]) -> None:
    assert tuple(partner(s, omega) for s in (4, 16, 32, 64, 100, 128, 144, 196, 256)) == channels
    assert tuple(partner(s, 2 * omega, 2) for s in (4, 16, 32, 64, 100, 128, 144, 196, 256)) == channels


@pytest.mark.parametrize(("omega", "gamma", "side"), [(2**18, 1, 64), (2**21, 1, 128), (2**27, 1, 512), (2**19, 2, 64)])
def test_published_budgets_are_widest_at_as_many_tokens_as_channels(omega: int, gamma: int, side: int) -> None:
    assert partner(side, omega, gamma) == side
    assert connections(side, side, gamma) == omega
    widths = {s: width(s, partner(s, omega, gamma)) for s in range(4, 2 * side, 4)}
    assert max(widths, key=lambda s: widths[s]) in range(side - side // 8, side + side // 8 + 1)


def test_separate_expansions_of_mixer_b_count_each_mixing() -> None:
    assert connections(196, 768, 384 / 196, 4.0) == pytest.approx(196 * 768 * (384 + 3072) / 2)


def test_the_wide_variant_of_mixer_b_is_as_wide_and_sparser() -> None:
    assert width(256, 588) == width(196, 768) == 150_528
    assert (density(196, 768), density(256, 588)) == (
        pytest.approx(0.003202, abs=1e-6),
        pytest.approx(0.002803, abs=1e-6),
    )
    assert connections(256, 588) / connections(196, 768) == pytest.approx(1 - 0.1245, abs=1e-4)


def test_random_permutations_cost_four_indices_a_block_and_nothing_else() -> None:
    shape = (16, 4, 4)
    plain, permuted = (
        MetaFormerBlock(TokenMLP(permutation=p), ChannelMLP(permutation=p)).cost(shape)
        for p in ("commutation", "random")
    )
    assert (permuted.parameters, permuted.macs) == (plain.parameters, plain.macs)
    assert permuted.buffer_bytes == plain.buffer_bytes + 4 * 8 * 256


def table(architecture: Architecture) -> tuple[int, int]:
    """(S, C) of the mixing layers."""
    channels, height, wide = architecture.stem.output(architecture.input)
    return height * wide, channels

"""The Mixer as a wide and sparse MLP: its identities and arithmetic, sparse layers, stems, references, its space."""

import json
import math
import random as random_module
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from objectives.counting import count
from searchspaces import Architecture, Stage, architecture_cost, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.s_mixer import SMixerBlock
from searchspaces.connections import connections, density, partner, width
from searchspaces.diagnostics import sigma_max
from searchspaces.heads import AverageHead
from searchspaces.known import mixer_b16, mixer_s16
from searchspaces.layers.permutations import commutation, draw, vec
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.pointwise import Pointwise
from searchspaces.operators.sparse_mlp import MaskedLinear, SparseChannelMLP, SparseMLP, draw_mask
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.space import SearchSpace
from searchspaces.spaces.wide_sparse import KINDS, MIN_CHANNELS, SQUARES, wide_sparse
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.projected import ProjectedStem
from searchspaces.stems.resized import ResizedStem

TABLES = [(3, 2), (4, 7), (4, 4), (6, 1), (9, 5)]
every_table = pytest.mark.parametrize(("tokens", "channels"), TABLES)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def eye(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64)


def kron(a: Tensor, b: Tensor) -> Tensor:
    """torch.kron, which takes no transposed matrices of one row or column."""
    return torch.kron(a.clone(memory_format=torch.contiguous_format), b.clone(memory_format=torch.contiguous_format))


def matrix(index: Tensor) -> Tensor:
    return eye(len(index))[index]


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


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


# Identities I5 to I14


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
    w, (j1, j2) = random(2 * tokens, tokens), draw("random", tokens * channels)
    permuted = kron(eye(channels), w)[:, j1]
    values = torch.linalg.svdvals(w).repeat_interleave(channels).sort(descending=True).values
    close(torch.linalg.svdvals(permuted), values)
    close(torch.linalg.svdvals(kron(eye(channels), w.T)[j2]), values)


@pytest.mark.parametrize(("gamma", "limit"), [(1, 2.0), (2, 2.41), (4, 3.0)])
def test_i10_the_largest_singular_value_tends_to_one_plus_the_root_of_gamma(gamma: int, limit: float) -> None:
    torch.manual_seed(0)
    assert sigma_max(TokenMLP(gamma).build((2, 20, 20)))[0] == pytest.approx(limit, abs=0.06)


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
    j1, j2 = draw("random", tokens * channels)
    connected = matrix(j2) @ kron(eye(channels), random(tokens, tokens)) @ matrix(j1) != 0
    assert set(connected.sum(0).tolist()) == set(connected.sum(1).tolist()) == {tokens}


# Arithmetic at a fixed number of connections


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


def small(side: int, colours: int, patch: int, channels: int, gamma: float) -> Architecture:
    block = MetaFormerBlock(TokenMLP(gamma), ChannelMLP(gamma))
    stem = EmbeddingStem(channels, patch, patch)
    return Architecture((colours, side, side), 10, stem, (Stage(block, 2),), AverageHead(norm="layer"))


@pytest.mark.parametrize(
    ("architecture", "parameters", "macs"),
    [
        (mixer_b16(), 59_880_472, 12_601_767_936),
        (mixer_s16(), 18_528_264, 3_776_958_464),
        (small(32, 3, 4, 64, 1.0), 37_706, 2_294_400),
        (small(32, 3, 4, 64, 2.0), 70_730, 4_391_552),
        (small(32, 3, 8, 173, 1.0), 158_355, 2_625_794),
        (small(32, 3, 2, 8, 1.0), 263_730, 2_187_344),
        (small(8, 1, 2, 16, 2.0), 4_698, 66_720),
    ],
    ids=["B/16", "S/16", "64x64", "64x64 gamma 2", "16x173", "256x8", "digits"],
)
def test_reference_networks(architecture: Architecture, parameters: int, macs: int) -> None:
    cost = architecture_cost(architecture)
    assert (cost.parameters, cost.macs, cost.macs_executed) == (parameters, macs, macs)
    with torch.device("meta"):
        counted = count(build(architecture), architecture.input)
    assert (counted.parameters, counted.macs) == (parameters, macs)


def test_random_permutations_cost_four_indices_a_block_and_nothing_else() -> None:
    shape = (16, 4, 4)
    plain, permuted = (
        MetaFormerBlock(TokenMLP(permutation=p), ChannelMLP(permutation=p)).cost(shape)
        for p in ("commutation", "random")
    )
    assert (permuted.parameters, permuted.macs) == (plain.parameters, plain.macs)
    assert permuted.buffer_bytes == plain.buffer_bytes + 4 * 8 * 256


# Sparse layers

SHAPE = (6, 4, 5)
SIZE = 6 * 4 * 5


def test_an_exact_mask_keeps_the_share_of_connections_of_a_mixer() -> None:
    layer = SparseMLP(expansion=2.0).build(SHAPE)
    kept = round((1 / 20 + 1 / 6) / 2 * 2 * SIZE**2)
    assert int(layer.up.mask.sum()) == int(layer.down.mask.sum()) == kept == connections(20, 6, 2)
    cost = SparseMLP(expansion=2.0).cost(SHAPE)
    assert (cost.macs, cost.macs_executed) == (2 * kept, 2 * 2 * SIZE**2)


@pytest.mark.parametrize("p", [0.01, 0.3, 1.0])
def test_masks_have_the_density_that_was_asked_for(p: float) -> None:
    torch.manual_seed(0)
    assert int(draw_mask(200, 300, p, "exact").sum()) == round(p * 60_000)
    tolerance = 4 * math.sqrt(p * (1 - p) / 60_000)
    assert draw_mask(200, 300, p, "bernoulli").float().mean().item() == pytest.approx(p, abs=tolerance + 1e-9)


def test_a_sparse_block_takes_the_multiply_accumulates_of_the_mixer_block_of_its_table() -> None:
    sparse = MetaFormerBlock(SparseMLP(), SparseChannelMLP()).cost(SHAPE)
    mixer = MetaFormerBlock(TokenMLP(1.0), ChannelMLP(1.0)).cost(SHAPE)
    assert sparse.macs == mixer.macs == 4 * connections(20, 6)


@pytest.mark.parametrize(
    "spec", [SparseMLP(), SparseChannelMLP(density=0.2, mask="bernoulli")], ids=lambda spec: spec.kind
)
def test_training_with_weight_decay_revives_no_zero_and_masked_weights_do_not_count(spec: Any) -> None:
    torch.manual_seed(0)
    layer, x = spec.build(SHAPE), torch.randn(4, *SHAPE)
    before = [m.detach().clone() for m in layer.factors()]
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-2, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
    for old, new, masked in zip(before, layer.factors(), (layer.up, layer.down), strict=True):
        assert new[~masked.mask].count_nonzero() == 0
        assert not torch.equal(new, old)
    y = layer(x)
    with torch.no_grad():
        layer.up.weight[~layer.up.mask] = 1e3
    assert torch.equal(layer(x), y)


def test_weights_of_a_sparse_layer_start_with_the_variance_of_its_connections() -> None:
    torch.manual_seed(0)
    layer = MaskedLinear(400, 500, 0.1, "exact")
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(0.1 * 400), rel=0.02)
    assert layer.bias.abs().sum() == 0


def test_a_checkpoint_restores_the_masks_into_a_network_of_another_seed() -> None:
    block = MetaFormerBlock(SparseMLP(), SparseChannelMLP())
    architecture = Architecture((1, 8, 8), 3, EmbeddingStem(5, 2, 2), (Stage(block, 2),), AverageHead())
    one, other, x = build(architecture, seed=1), build(architecture, seed=2), torch.rand(2, 1, 8, 8)
    assert torch.equal(build(architecture, seed=1)(x), one(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize("arguments", [{"density": 1.5}, {"mask": "fixed"}, {"expansion": -1.0}])
def test_a_sparse_layer_says_what_its_fields_take(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be"):
        SparseMLP(**arguments)


# Claim 6: trainability, without training


def mean_sigma_max(spec: Any, shape: tuple[int, int, int], draws: int) -> float:
    values = [value for _ in range(draws) for value in sigma_max(spec.build(shape))]
    return sum(values) / len(values)


def test_the_largest_singular_value_grows_with_the_width_of_sparse_layers() -> None:
    torch.manual_seed(0)
    # One matrix of m = 1024 deviates by 0.12 from the next, of m = 64 by 0.04.
    widths = {64: (1.94, 0.06), 128: (2.04, 0.06), 256: (2.11, 0.1), 512: (2.32, 0.15), 1024: (2.78, 0.25)}
    means = {m: mean_sigma_max(SparseMLP(4096 / m**2), (m, 1, 1), 2 + 512 // m) for m in widths}
    assert list(means.values()) == sorted(means.values())
    for m, (measured, tolerance) in widths.items():
        assert means[m] == pytest.approx(measured, abs=tolerance), m


def test_the_largest_singular_value_of_a_mixer_stays_below_its_limit_at_every_width() -> None:
    torch.manual_seed(0)
    assert mean_sigma_max(TokenMLP(1.0), (16, 4, 4), 50) == pytest.approx(1.70, abs=0.2)  # 1.70 of one draw
    for side in (3, 4, 5, 6):
        assert 1.6 < mean_sigma_max(TokenMLP(1.0), (side**2, side, side), 50) < 2.0


def test_sigma_max_names_the_layers_that_it_can_read() -> None:
    with pytest.raises(ValueError, match=r"token, channel, raft or sparse MLP or an S-Mixer, got PointwiseConvolution"):
        sigma_max(Pointwise().build((4, 2, 2)))
    assert len(sigma_max(build(small(8, 1, 2, 16, 1.0)))) == 2 * 4
    assert len(sigma_max(SMixerBlock().build((4, 3, 3)))) == 2


# Stems


def test_a_resized_stem_keeps_its_embedding_as_the_tokens_change() -> None:
    shapes = {tokens: ResizedStem(8, tokens).build((3, 10, 14)) for tokens in (4, 16, 25)}
    for tokens, stem in shapes.items():
        side = math.isqrt(tokens)
        assert stem(torch.rand(2, 3, 10, 14)).shape == (2, 8, side, side)
        assert sum(p.numel() for p in stem.parameters()) == 8 * (3 * 16 + 1)


def test_a_resized_stem_leaves_an_image_of_the_right_size_alone() -> None:
    stem, x = ResizedStem(8, 16, patch=2).build((1, 8, 8)), torch.rand(2, 1, 8, 8)
    assert torch.equal(stem(x), stem.conv(x))
    assert ResizedStem(8, 16, patch=2).cost((1, 8, 8)) == EmbeddingStem(8, 2, 2).cost((1, 8, 8))


def test_a_resized_stem_skips_no_pixel_of_a_large_image() -> None:
    x = torch.rand(1, 1, 64, 48, requires_grad=True)
    ResizedStem(3, 4, patch=2).build((1, 64, 48))(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.count_nonzero() == x.numel()


def test_a_resized_stem_lists_squares() -> None:
    with pytest.raises(
        ValueError, match=r"tokens must be a square, got 50\. Squares near it: 25, 36, 49, 64, 81, 100\."
    ):
        ResizedStem(8, 50)


def test_a_projected_stem_takes_any_number_of_tokens_and_never_trains_its_map() -> None:
    torch.manual_seed(0)
    stem, x = ProjectedStem(8, 7, patch=2).build((3, 5, 6)), torch.rand(2, 3, 5, 6)
    assert stem(x).shape == (2, 8, 1, 7)
    assert {name for name, _ in stem.named_parameters()} == {"conv.weight", "conv.bias"}
    patches = F.unfold(x[:, :, :4], 2, stride=2)  # the fifth row fills no patch
    expected = F.conv1d(patches @ stem.projection.T, stem.conv.weight.squeeze(-1), stem.conv.bias)
    torch.testing.assert_close(stem(x).squeeze(2), expected)


# The search space

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

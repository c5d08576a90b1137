"""Permuted-Kronecker layers: the identities of vectorised mixing in float64, and promises of drawn permutations."""

from typing import Any

import pytest
import torch
from matrices import close, effective, eye, lively, matrix, random
from torch import Tensor

from searchspaces import Architecture, Stage, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.layers.permutations import PERMUTATIONS, Permutation, commutation, draw, vec
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.raft import Raft
from searchspaces.operators.sparse_mlp import SparseMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem

TABLES = [(3, 2), (5, 7), (4, 4), (6, 1), (1, 5)]

GRIDS = [(2, 3, 1), (6, 2, 5), (4, 2, 2), (5, 3, 4)]

every_table = pytest.mark.parametrize(("tokens", "channels"), TABLES)

every_grid = pytest.mark.parametrize("shape", GRIDS, ids=str)

every_permutation = pytest.mark.parametrize("permutation", PERMUTATIONS)


def test_vec_stacks_columns() -> None:
    assert vec(torch.tensor([[1, 2], [3, 4], [5, 6]])).tolist() == [1, 3, 5, 2, 4, 6]


@every_table
def test_flattened_features_are_the_vec_of_the_table(tokens: int, channels: int) -> None:
    x = random(2, channels, tokens, 1)
    assert torch.equal(x.flatten(1), vec(x.flatten(2).mT))


@every_table
def test_i1_mixing_both_ways_is_a_kronecker_product(tokens: int, channels: int) -> None:
    x, w, v = random(tokens, channels), random(tokens, tokens), random(channels, channels)
    close(vec(w @ x @ v), torch.kron(v.T.contiguous(), w) @ vec(x))


@every_table
def test_i2_commutation_transposes_and_its_inverse_is_its_transpose(tokens: int, channels: int) -> None:
    x, index = random(tokens, channels), commutation(tokens, channels)
    assert torch.equal(vec(x)[index], vec(x.T))
    assert torch.equal(matrix(index).T @ matrix(index), eye(tokens * channels))
    assert torch.equal(matrix(index).T, matrix(index.argsort()))


@every_table
def test_i3_commutation_swaps_the_factors(tokens: int, channels: int) -> None:
    v, j = random(channels, channels), matrix(commutation(tokens, channels))
    swapped = j.T @ torch.kron(eye(tokens), v.T.contiguous()) @ j
    assert torch.equal(swapped, torch.kron(v.T.contiguous(), eye(tokens)))
    assert channels == 1 or not torch.equal(j.T @ torch.kron(eye(tokens), v) @ j, swapped)  # V inside is wrong


def drawn(kind: Permutation, size: int) -> tuple[Tensor, Tensor]:
    before, after = draw(kind, size)
    return before.tensor(), after.tensor()


@every_table
def test_i4_permutations_move_through_activations(tokens: int, channels: int) -> None:
    z, (index, _) = random(1, tokens * channels), drawn("random", tokens * channels)
    assert torch.equal(torch.nn.functional.gelu(z)[:, index], torch.nn.functional.gelu(z[:, index]))


def test_i4_permutations_do_not_move_through_a_norm_over_the_channels() -> None:
    def norm(x: Tensor) -> Tensor:
        return torch.nn.functional.layer_norm(x.view(1, 4, 6).mT, (4,)).mT.flatten(1)

    x, index = random(1, 24), torch.arange(24)
    index[[0, 7]] = index[[7, 0]]  # channel 0 of token 0 with channel 1 of token 1
    assert not torch.allclose(norm(x)[:, index], norm(x[:, index]))


@every_table
def test_i7_densities_of_the_effective_matrices(tokens: int, channels: int) -> None:
    w, v = random(tokens, tokens), random(channels, channels)
    assert (torch.kron(eye(channels), w) != 0).double().mean().item() == pytest.approx(1 / channels)
    assert (torch.kron(v.T.contiguous(), eye(tokens)) != 0).double().mean().item() == pytest.approx(1 / tokens)


@every_grid
@every_permutation
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
def test_token_and_channel_mlps_are_permuted_block_diagonal_layers(
    shape: tuple[int, int, int], permutation: Permutation, shared: bool
) -> None:
    fields: dict[str, Any] = {"permutation": permutation, "shared": shared}
    for spec in (TokenMLP(2.0, **fields), ChannelMLP(1.5, **fields)):
        mixer, x = lively(spec.build(shape)), random(2, *shape)
        close(mixer(x).flatten(1), effective(mixer.mlp, x.flatten(1)))


@every_grid
def test_i12_monarch_layers_of_equal_blocks_are_mixer_layers(shape: tuple[int, int, int]) -> None:
    for kind in (TokenMLP, ChannelMLP):
        mixer, monarch, x = lively(kind().build(shape)), kind(shared=False).build(shape).double(), random(2, *shape)
        for one, blocks in ((mixer.mlp.up, monarch.mlp.up), (mixer.mlp.down, monarch.mlp.down)):
            blocks.weight.data.copy_(one.weight)
            blocks.bias.data.copy_(one.bias.repeat(len(blocks.weight)))
        close(monarch(x), mixer(x))


def test_matrices_decay_and_biases_do_not() -> None:
    for spec in (TokenMLP(), TokenMLP(shared=False), SparseMLP(form="csr"), SparseMLP(form="masked")):
        for name, parameter in spec.build((6, 4, 5)).named_parameters():
            assert (parameter.ndim > 1) == name.endswith("weight")  # what the optimizer goes by


def test_a_monarch_layer_has_the_macs_of_a_mixer_layer_and_an_mlp_for_each_block() -> None:
    for kind, blocks in ((TokenMLP, 6), (ChannelMLP, 20)):
        one, own = kind().cost((6, 4, 5)), kind(shared=False).cost((6, 4, 5))
        assert (own.macs, own.parameters) == (one.macs, blocks * one.parameters)


@every_grid
@every_permutation
def test_the_layout_in_memory_makes_no_difference(shape: tuple[int, int, int], permutation: Permutation) -> None:
    spec = TokenMLP(2.0, permutation=permutation)
    other, mixer, x = lively(spec.build(shape)), lively(spec.build(shape)), random(2, *shape)
    mixer.load_state_dict(other.state_dict())
    assert torch.equal(mixer(x), other(x))
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(mixer.mlp.arrange(last), mixer.mlp.arrange(x))
    close(mixer(last), mixer(x))
    close(torch.vmap(mixer)(torch.stack([last, last])), mixer(x).expand(2, *x.shape))
    gradients = [
        torch.autograd.grad(mixer(y).square().sum(), y)[0] for y in (x.requires_grad_(), last.requires_grad_())
    ]
    close(*gradients)


@every_grid
def test_i13_channel_mixing_is_conjugated_by_the_commutation(shape: tuple[int, int, int]) -> None:
    channels, tokens = shape[0], shape[1] * shape[2]
    mlp = lively(ChannelMLP().build(shape)).mlp
    index = mlp.arrange(torch.arange(channels * tokens).view(1, *shape)).flatten()
    assert torch.equal(index, commutation(tokens, channels))
    assert mlp.restore(index.view(1, tokens, channels), torch.empty(1, *shape)).flatten().tolist() == list(
        range(channels * tokens)
    )


def test_token_mixing_needs_no_permutation_and_identity_is_the_same_network() -> None:
    assert TokenMLP(permutation="identity").canonical() == TokenMLP()
    mlp = TokenMLP().build((3, 2, 4)).mlp
    assert mlp.arrange(torch.arange(24).view(1, 3, 2, 4)).flatten().tolist() == list(range(24))


def test_channel_mlp_without_permutation_is_another_network() -> None:
    assert ChannelMLP(permutation="identity").canonical() != ChannelMLP()
    mlp = ChannelMLP(permutation="identity").build((3, 2, 4)).mlp
    assert mlp.arrange(torch.arange(24).view(1, 3, 2, 4)).flatten().tolist() == list(range(24))


def test_the_ordinary_channel_mlp_is_a_pair_of_pointwise_convolutions() -> None:
    mixer, x = lively(ChannelMLP().build((6, 3, 5))), random(2, 6, 3, 5)
    up, down = ((layer.weight[:, :, None, None], layer.bias) for layer in (mixer.mlp.up, mixer.mlp.down))
    hidden = torch.nn.functional.gelu(torch.nn.functional.conv2d(x, *up))
    close(mixer(x), torch.nn.functional.conv2d(hidden, *down))


@pytest.mark.parametrize(
    ("shape", "parameters"), [((64, 16, 16), 65_920), ((96, 14, 14), 38_710), ((256, 8, 8), 4_192)]
)
def test_token_mlp_counts_of_the_reference_table(shape: tuple[int, int, int], parameters: int) -> None:
    assert TokenMLP(0.5).cost(shape).parameters == parameters


@pytest.mark.parametrize("permutation", ["random", "random_inverse"])
def test_drawn_indices_are_permutations_of_integers(permutation: Permutation) -> None:
    for index in drawn(permutation, 40):
        assert index.dtype == torch.int64
        assert index.sort().values.tolist() == list(range(40))


def test_random_inverse_undoes_itself_and_random_does_not() -> None:
    before, after = drawn("random_inverse", 40)
    assert torch.equal(matrix(after), matrix(before).T)
    before, after = drawn("random", 40)
    assert not torch.equal(matrix(after), matrix(before).T)


def mixer(permutation: Permutation) -> Architecture:
    block = MetaFormerBlock(TokenMLP(permutation=permutation), ChannelMLP(permutation=permutation))
    return Architecture((1, 8, 8), 3, EmbeddingStem(5, 2, 2), (Stage(block, 2),), AverageHead())


@pytest.mark.parametrize("permutation", ["random", "random_inverse"])
def test_the_seed_of_the_network_draws_the_permutations_and_every_layer_has_its_own(permutation: Permutation) -> None:
    one, same, other = (dict(build(mixer(permutation), seed=seed).named_buffers()) for seed in (1, 1, 2))
    drawn = [name for name in one if name.endswith((".before", ".after"))]
    assert len(drawn) == 2 * 4
    assert all(torch.equal(one[name], same[name]) for name in drawn)
    assert not any(torch.equal(one[name], other[name]) for name in drawn)
    assert len({tuple(one[name].tolist()) for name in drawn}) == len(drawn)


@pytest.mark.parametrize("permutation", ["random", "random_inverse"])
def test_a_checkpoint_restores_the_permutations_into_a_network_of_another_seed(permutation: Permutation) -> None:
    x, one, other = torch.rand(2, 1, 8, 8), build(mixer(permutation), seed=1), build(mixer(permutation), seed=2)
    assert not torch.allclose(one(x), other(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))


def test_ordinary_arrangements_are_views_and_hold_no_indices() -> None:
    for spec in (TokenMLP(), ChannelMLP(), Raft(), ChannelMLP(permutation="identity")):
        assert dict(spec.build((4, 3, 5)).named_buffers()) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"expansion": 0.0}, r"expansion must be positive .* got expansion=0\.0, hidden=0"),
        ({"hidden": -1}, "hidden=-1"),
        ({"activation": "tanh"}, r"activation must be one of gelu, relu, got 'tanh'\."),
        ({"permutation": "sorted"}, r"permutation must be one of commutation, .*identity, got 'sorted'\."),
    ],
)
def test_fields_say_what_they_take(arguments: dict[str, object], message: str) -> None:
    for spec in (TokenMLP, ChannelMLP):
        with pytest.raises(ValueError, match=message):
            spec(**arguments)


def test_hidden_goes_before_expansion_and_both_write_the_same_network() -> None:
    assert TokenMLP(2.0, hidden=7).canonical() == TokenMLP(hidden=7)
    assert TokenMLP(hidden=7).build((4, 3, 5)).mlp.up.weight.shape == (7, 15)
    assert TokenMLP(2.0).build((4, 3, 5)).mlp.up.weight.shape == (30, 15)

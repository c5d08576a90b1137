"""Raft axial MLP: its definition, its axes, published counts."""

import itertools

import pytest
import torch
from matrices import close, effective, lively, random

from nas.testing.costs import check_cost
from searchspaces import Architecture, Stage
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.layers.permutations import PERMUTATIONS, MlpActivation, Permutation
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.raft import Raft, RaftMixing
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.stems.embedding import EmbeddingStem

every_permutation = pytest.mark.parametrize("permutation", PERMUTATIONS)


@pytest.mark.parametrize("r", [1, 2, 4])
@every_permutation
def test_each_raft_axis_is_a_permuted_kronecker_layer(r: int, permutation: Permutation) -> None:
    shape = (8, 3, 5)
    mixer, x = lively(Raft(r, permutation=permutation).build(shape)), random(2, *shape)
    assert isinstance(mixer, RaftMixing)
    assert (mixer.vertical.length, mixer.horizontal.length) == (3 * r, 5 * r)
    for axis in (mixer.vertical, mixer.horizontal):
        close(axis(x).flatten(1), effective(axis, x.flatten(1)))


def test_a_raft_joins_channels_a_c_over_r_apart_along_one_axis() -> None:
    mixer = Raft(r=2).build((6, 3, 4))
    index = torch.arange(6 * 3 * 4).view(1, 6, 3, 4)
    vertical, horizontal = (axis.arrange(index) for axis in (mixer.vertical, mixer.horizontal))
    assert vertical[0, 0].tolist() == [*index[0, 0, :, 0].tolist(), *index[0, 3, :, 0].tolist()]
    assert horizontal[0, 0].tolist() == [*index[0, 0, 0].tolist(), *index[0, 3, 0].tolist()]


def test_raft_orders_its_axes() -> None:
    x, results = random(2, 6, 3, 4), {}
    for order in ("vh", "hv", "sum"):
        torch.manual_seed(0)
        mixer = lively(Raft(order=order).build((6, 3, 4)))  # type: ignore[arg-type]
        first, second = (mixer.horizontal, mixer.vertical) if order == "hv" else (mixer.vertical, mixer.horizontal)
        y = first(x)
        close(mixer(x), y + second(x if order == "sum" else mixer.norm(x + y)))
        results[order] = mixer(x)
    for one, other in itertools.combinations(results.values(), 2):
        assert not torch.allclose(one, other)


def test_raft_says_which_rafts_divide_the_channels() -> None:
    with pytest.raises(ValueError, match=r"r must divide the channels, got r=4 for input \(6, 3, 4\).*1, 2, 3, 6\."):
        Raft(r=4).build((6, 3, 4))


@pytest.mark.parametrize(
    ("shape", "parameters", "macs"),
    [((64, 16, 16), 8384, 4_194_304), ((96, 14, 14), 6440, 4_214_784), ((256, 8, 8), 2144, 2_097_152)],
    ids=str,
)
def test_raft_counts_of_the_reference_table(shape: tuple[int, int, int], parameters: int, macs: int) -> None:
    cost = Raft(r=2, expansion=2.0, order="sum").cost(shape)
    assert (cost.parameters, cost.macs) == (parameters, macs)
    assert Raft(r=2, expansion=2.0).cost(shape).parameters == parameters + 2 * shape[0]  # the norm between the axes


def mixer(permutation: Permutation) -> Architecture:
    block = MetaFormerBlock(TokenMLP(permutation=permutation), ChannelMLP(permutation=permutation))
    return Architecture((1, 8, 8), 3, EmbeddingStem(5, 2, 2), (Stage(block, 2),), AverageHead())


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_two_axes_that_are_added_without_permutations_keep_their_input_once(activation: MlpActivation) -> None:
    raft, shape = Raft(order="sum", permutation="identity", activation=activation), (8, 6, 4)
    check_cost(raft.cost(shape), lambda: raft.build(shape), shape)

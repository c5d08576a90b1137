"""Layers that read all layers before them: by their equations, and the plain layers they start as."""

import pytest
import torch
from matrices import close, lively, random
from torch import nn

from searchspaces import SEARCH_SPACES
from searchspaces.blocks.dense_metaformer import DenseBlock, DenseLayers
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.identity import NoChannelMixing, NoTokenMixing

SHAPE = (6, 4, 5)
PLAIN = MetaFormerBlock(Depthwise(), ChannelMLP(2.0), layer_scale=0.5)


@pytest.mark.parametrize("layers", [1, 3])
def test_they_start_as_the_plain_layers_one_after_the_other(layers: int) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(*(PLAIN.build(SHAPE) for _ in range(layers)))
    torch.manual_seed(0)
    dense, x = DenseBlock.of(PLAIN, layers).build(SHAPE), torch.randn(2, *SHAPE)
    assert torch.equal(dense(x), plain(x))


def test_each_mixer_reads_a_weighted_sum_of_the_outputs_of_all_before() -> None:
    dense, x = DenseBlock.of(PLAIN, 3).build(SHAPE), random(2, *SHAPE)
    assert isinstance(dense, DenseLayers)
    lively(dense)  # type: ignore[arg-type]
    outputs, read = [x, x], x  # y_T^0 and y_C^0, then those of both mixers of each layer
    for branch, factors in zip(dense.branches, dense.factors, strict=True):
        read = torch.einsum("i,ibchw->bchw", factors, torch.stack(outputs))
        outputs.append(branch(read))
    assert len(outputs) == 2 + 6
    close(dense(x), read + outputs[-1])


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_l_layers_have_2_l_squared_and_3_l_scalars_more(layers: int) -> None:
    more = DenseBlock.of(PLAIN, layers).cost(SHAPE).parameters - layers * PLAIN.cost(SHAPE).parameters
    assert more == layers * (2 * layers + 3)


def test_without_mixers_there_is_nothing_to_read() -> None:
    nothing = DenseBlock(NoTokenMixing(), NoChannelMixing(), layers=3)
    x = torch.randn(2, *SHAPE)
    assert torch.equal(nothing.build(SHAPE)(x), x)
    assert nothing.canonical().layers == 1


def test_a_study_over_mixing_can_search_it() -> None:
    space = SEARCH_SPACES["mixing"]((3, 16, 16), 10).narrow({"s1.dense_avg": ["off", "on"], "depth": [4]})
    plain, dense = (space.decode({**space.first, "s1.dense_avg": pick}) for pick in ("off", "on"))
    assert [(type(stage.block), stage.depth) for stage in dense.stages] == [(DenseBlock, 1), (MetaFormerBlock, 2)]
    assert isinstance(dense.stages[0].block, DenseBlock)
    assert dense.stages[0].block.layers == 2
    assert plain.key != dense.key

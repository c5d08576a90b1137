"""The weights of one network in another: which layers are taken, and which never."""

import pytest
import torch

from searchspaces import SEARCH_SPACES, Architecture, Network, Stage, build
from searchspaces.architecture import Block, ChannelMixer
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.heads import AverageHead
from searchspaces.inheritance import Layout, inherit
from searchspaces.operators.channel_aggregation import ChannelAggregation
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.mlp_se import MlpSE
from searchspaces.operators.random_mix import RandomMix
from searchspaces.operators.sparse_mlp import SparseMLP
from searchspaces.stems.patch import PatchStem


def network(*stages: Stage, dim: int = 8) -> Architecture:
    return Architecture((1, 8, 8), 10, PatchStem(dim, 2), stages, AverageHead())


def bequeathed(child: Architecture, relative: Architecture) -> tuple[Network, Network, Network, float]:
    """The child after, and as it was before, the relative, and the share."""
    model, drawn, other = build(child, seed=1), build(child, seed=1), build(relative, seed=2)
    with torch.no_grad():
        for tensor in other.parameters():  # as after a training
            tensor += 1
    share = inherit(model, Layout.of(child), other.state_dict(), Layout.of(relative))
    return model, drawn, other, share


def same(one: Network, name: str, other: Network, theirs: str = "") -> bool:
    return torch.equal(one.state_dict()[name], other.state_dict()[theirs or name])


def test_a_network_of_the_same_layers_gets_them_all() -> None:
    child, relative = (network(Stage(ConvMixerBlock(Depthwise(3, dilation)), 2)) for dilation in (1, 2))
    model, _, other, share = bequeathed(child, relative)
    assert share == 1
    assert all(same(model, name, other) for name in model.state_dict())


def test_what_was_not_copied_is_as_it_was_drawn_and_the_share_counts_parameters() -> None:
    child, relative = (network(Stage(ConvMixerBlock(Depthwise(kernel)), 1)) for kernel in (3, 5))
    model, drawn, other, share = bequeathed(child, relative)
    filters = {name: p.numel() for name, p in model.named_parameters() if name.startswith("blocks.0.token.")}
    assert filters
    assert all(same(model, name, drawn) for name in filters)
    assert all(same(model, name, other) for name in model.state_dict() if name not in filters)
    assert share == pytest.approx(1 - sum(filters.values()) / sum(p.numel() for p in model.parameters()))


def test_blocks_are_found_by_their_level_whatever_the_depth_of_the_level_before() -> None:
    block, down = ConvMixerBlock(), ConvDownsample(8)
    child, relative = (network(Stage(block, depth), Stage(block, 1, down)) for depth in (1, 3))
    model, _, other, share = bequeathed(child, relative)
    assert share == 1
    assert same(model, "blocks.2.token.conv.weight", other, "blocks.4.token.conv.weight")


def test_another_width_gives_nothing() -> None:
    child, relative = (network(Stage(ConvMixerBlock(), 1), dim=dim) for dim in (8, 16))
    model, drawn, _, share = bequeathed(child, relative)
    assert share == 0
    assert all(same(model, name, drawn) for name in model.state_dict())


def test_equal_shapes_of_other_layers_are_not_taken() -> None:
    mixers: tuple[ChannelMixer, ChannelMixer] = ChannelAggregation(), MlpSE()
    blocks = [MetaFormerBlock(Depthwise(), mixer) for mixer in mixers]
    model, drawn, other, _ = bequeathed(*(network(Stage(block, 1)) for block in blocks))
    name = "blocks.0.channel.mixer.expand.weight"
    assert model.state_dict()[name].shape == other.state_dict()[name].shape
    assert same(model, name, drawn)
    assert same(model, "stem.0.weight", other)


@pytest.mark.parametrize(
    ("child", "relative"),
    [
        (ConvMixerBlock(freeze="chans"), ConvMixerBlock()),
        (ConvMixerBlock(), ConvMixerBlock(freeze="chans")),
        (ConvMixerBlock(Depthwise(filters="box"), freeze="chans"), ConvMixerBlock(freeze="chans")),
        (MetaFormerBlock(SparseMLP(density=0.1), ChannelMLP()), MetaFormerBlock(SparseMLP(density=0.3), ChannelMLP())),
        (MetaFormerBlock(RandomMix("softmax"), ChannelMLP()), MetaFormerBlock(RandomMix("uniform"), ChannelMLP())),
    ],
)
def test_what_is_never_trained_stays_what_the_network_says_it_is(child: Block, relative: Block) -> None:
    model, drawn, other, _ = bequeathed(network(Stage(child, 1)), network(Stage(relative, 1)))
    frozen = {name for one in (model, other) for name, p in one.named_parameters() if not p.requires_grad}
    fixed = frozen | {name for name in model.state_dict() if name.endswith(("mask", "matrices"))}
    assert fixed
    assert all(same(model, name, drawn) for name in fixed)
    assert same(model, "classifier.weight", other)


@pytest.mark.parametrize(
    "block", [ConvMixerBlock(freeze="chans"), MetaFormerBlock(SparseMLP(density=0.1), ChannelMLP())]
)
def test_what_is_never_trained_goes_with_the_weights_that_were_learned_around_it(block: Block) -> None:
    child, relative = network(Stage(block, 1)), network(Stage(block, 2))
    model, _, other, share = bequeathed(child, relative)
    assert share == 1
    assert all(same(model, name, other) for name in model.state_dict())


@pytest.mark.parametrize("kind", ["convmixer", "mixing", "wide_sparse", "asm_rh"])
def test_a_layout_holds_every_tensor_of_a_network_but_the_normalization(kind: str) -> None:
    space = SEARCH_SPACES[kind](input=(1, 8, 8), classes=10)
    one = space.decode(space.first)
    layout, model = Layout.of(one), build(one)
    named = {name for layer in layout.layers.values() for name in layer.tensors.values()}
    assert named | {"normalize.mean", "normalize.std"} == set(model.state_dict())
    assert layout.parameters == sum(p.numel() for p in model.parameters())
    assert layout.shared(layout) == 1

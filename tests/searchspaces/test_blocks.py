"""Blocks: what is computed, and what each freeze pattern trains."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces import Architecture, Network, Stage, build
from searchspaces.architecture import BLOCKS, HEADS, STEMS, Block, Head, Shape
from searchspaces.blocks import ConvMixerBlock
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, freeze
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems import PatchStem

FROZEN: dict[str, set[str]] = {
    "full": set(),
    "chans": {"token.conv.weight", "token.conv.bias"},
    "space": {"channel.conv.weight", "channel.conv.bias"},
}
every_pattern = pytest.mark.parametrize("pattern", FREEZE_PATTERNS)


def network(pattern: Freeze) -> Network:
    block = ConvMixerBlock(token=Depthwise(3), freeze=pattern)
    return build(Architecture((3, 8, 8), 4, PatchStem(6, 2), (Stage(block, 2),), AverageHead()))


def trained(model: Network, steps: int = 3) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State before and after some AdamW steps over all parameters, frozen ones included."""
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        images, labels = torch.rand(16, 3, 8, 8, generator=generator), torch.randint(4, (16,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model.train()(images), labels).backward()
        optimizer.step()
    return before, model.state_dict()


def test_every_pattern_is_described_here() -> None:
    assert set(FROZEN) == set(FREEZE_PATTERNS)


@every_pattern
def test_a_pattern_freezes_the_mixing_it_names_and_nothing_else(pattern: Freeze) -> None:
    block = ConvMixerBlock(freeze=pattern).build((6, 8, 8))
    assert {name for name, p in block.named_parameters() if not p.requires_grad} == FROZEN[pattern]


@every_pattern
def test_training_leaves_frozen_tensors_as_they_were_and_moves_all_others(pattern: Freeze) -> None:
    before, after = trained(network(pattern))
    for name, tensor in before.items():
        fixed = name.startswith("normalize.") or name.split(".", 2)[-1] in FROZEN[pattern]
        assert torch.equal(tensor, after[name]) == fixed, name


@every_pattern
def test_norms_are_trained_and_their_statistics_follow_the_data(pattern: Freeze) -> None:
    before, after = trained(network(pattern))
    norms = [name for name in before if "norm." in name]
    assert {name.rsplit(".", 1)[1] for name in norms} == {
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert not any(torch.equal(before[name], after[name]) for name in norms)


@every_pattern
def test_gradients_pass_through_frozen_layers(pattern: Freeze) -> None:
    model, x = network(pattern), torch.rand(4, 3, 8, 8, requires_grad=True)
    model(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


@every_pattern
def test_a_pattern_changes_what_is_trained_not_what_is_computed(pattern: Freeze) -> None:
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(network(pattern).eval()(x), network("full").eval()(x))


def test_an_unknown_pattern_is_answered_with_the_known_ones() -> None:
    message = r"freeze must be one of full, chans, space, got 'half'\."
    with pytest.raises(ValueError, match=message):
        ConvMixerBlock(freeze="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        freeze("half", ())  # type: ignore[arg-type]


def test_a_convmixer_block_computes_what_was_published() -> None:
    block = ConvMixerBlock(token=Depthwise(5)).build((6, 8, 8)).train()
    token, channel = block.token.conv, block.channel.conv
    x = torch.randn(4, 6, 8, 8)
    y = x + F.batch_norm(F.gelu(F.conv2d(x, token.weight, token.bias, padding=2, groups=6)), None, None, training=True)
    y = F.batch_norm(F.gelu(F.conv2d(y, channel.weight, channel.bias)), None, None, training=True)
    torch.testing.assert_close(block(x), y)


def test_blocks_of_a_stage_have_weights_of_their_own() -> None:
    first, second = (dict(block.named_parameters()) for block in network("full").blocks)
    assert not torch.equal(first["token.conv.weight"], second["token.conv.weight"])
    assert not torch.equal(first["channel.conv.weight"], second["channel.conv.weight"])


@pytest.mark.parametrize("shape", [(6, 8, 8), (8, 4, 10)], ids=str)
@pytest.mark.parametrize("spec", [*BLOCKS.values(), *HEADS.values()], ids=[*BLOCKS, *HEADS])
def test_the_promised_output_is_what_comes_out(spec: type[Block] | type[Head], shape: Shape) -> None:
    with torch.device("meta"):
        y = spec().build(shape)(torch.empty(2, *shape))
    assert (*y.shape[1:], 1, 1)[:3] == spec().output(shape)


@pytest.mark.parametrize("spec", BLOCKS.values(), ids=BLOCKS.keys())
def test_canonical_form_of_a_block_is_its_own_canonical_form(spec: type[Block]) -> None:
    assert spec().canonical().canonical() == spec().canonical()


def test_the_patch_stem_gives_the_grid_it_promises() -> None:
    assert set(STEMS) >= {"patch"}
    stem = PatchStem(dim=5, patch=4)
    assert stem.output((3, 8, 12)) == (5, 2, 3)
    assert stem.build((3, 8, 12))(torch.rand(2, 3, 8, 12)).shape == (2, 5, 2, 3)


def test_the_patch_stem_reads_every_pixel_once() -> None:
    stem = PatchStem(dim=1, patch=2).build((1, 4, 4))
    assert isinstance(stem[0], nn.Conv2d)
    nn.init.ones_(stem[0].weight)
    nn.init.zeros_(stem[0].bias)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert stem[0](x).flatten().tolist() == [0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]


def test_the_average_head_gives_the_mean_of_every_channel() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    assert AverageHead().build((3, 2, 2))(x).tolist() == [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]

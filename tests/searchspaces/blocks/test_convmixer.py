"""ConvMixer block: its equations, and what each freeze pattern trains."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from searchspaces import Architecture, Network, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, freeze
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem

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


def gradient(y: Tensor, x: Tensor) -> Tensor:
    """Of a fixed random combination of the outputs ``y`` with respect to the input ``x``."""
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    return torch.autograd.grad((y * weights).sum(), x)[0]


@every_pattern
def test_a_convmixer_block_computes_what_was_published_and_its_gradient(pattern: Freeze) -> None:
    block = ConvMixerBlock(token=Depthwise(5), freeze=pattern).build((6, 8, 8)).train()
    token, channel = block.token.conv, block.channel.conv
    x = torch.randn(4, 6, 8, 8, requires_grad=True)
    y = x + F.batch_norm(F.gelu(F.conv2d(x, token.weight, token.bias, padding=2, groups=6)), None, None, training=True)
    y = F.batch_norm(F.gelu(F.conv2d(y, channel.weight, channel.bias)), None, None, training=True)
    torch.testing.assert_close(block(x), y)
    torch.testing.assert_close(gradient(block(x), x), gradient(y, x))


def test_blocks_of_a_stage_have_weights_of_their_own() -> None:
    first, second = (dict(block.named_parameters()) for block in network("full").blocks)
    assert not torch.equal(first["token.conv.weight"], second["token.conv.weight"])
    assert not torch.equal(first["channel.conv.weight"], second["channel.conv.weight"])


def test_frozen_norms_keep_their_factors_and_follow_the_data_all_the_same() -> None:
    block = ConvMixerBlock(token=Depthwise(3), freeze_norm=True)
    model = build(Architecture((3, 8, 8), 4, PatchStem(6, 2), (Stage(block, 1),), AverageHead()))
    before, after = trained(model)
    for norm in ("blocks.0.token_norm", "blocks.0.channel_norm"):
        assert torch.equal(before[f"{norm}.weight"], after[f"{norm}.weight"])
        assert not torch.equal(before[f"{norm}.running_mean"], after[f"{norm}.running_mean"])
    assert block.cost((6, 4, 4)).trainable_parameters == sum(
        p.numel() for p in block.build((6, 4, 4)).parameters() if p.requires_grad
    )

"""MetaFormer block: its equations."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces import build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.known.spartan import spartan_tiny
from searchspaces.layers.drop_path import DropPath
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.identity import NoChannelMixing, NoTokenMixing
from searchspaces.operators.pointwise import Pointwise

every_pattern = pytest.mark.parametrize("pattern", FREEZE_PATTERNS)


def gradient(y: Tensor, x: Tensor) -> Tensor:
    """Of a fixed random combination of the outputs ``y`` with respect to the input ``x``."""
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    return torch.autograd.grad((y * weights).sum(), x)[0]


@every_pattern
def test_a_metaformer_block_computes_what_was_published_and_its_gradient(pattern: Freeze) -> None:
    block = MetaFormerBlock(Depthwise(5), Pointwise(), pattern, layer_scale=0.5).build((6, 8, 8))
    token, channel = (module for module in block.modules() if isinstance(module, nn.Conv2d))
    x = torch.randn(4, 6, 8, 8, requires_grad=True)

    def norm(x: Tensor) -> Tensor:
        return (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()

    y = x + 0.5 * F.conv2d(norm(x), token.weight, token.bias, padding=2, groups=6)
    y = y + 0.5 * F.conv2d(norm(y), channel.weight, channel.bias)
    torch.testing.assert_close(block(x), y)
    torch.testing.assert_close(gradient(block(x), x), gradient(y, x))


@every_pattern
def test_a_fused_block_has_one_residual_and_one_norm_between_its_mixers(pattern: Freeze) -> None:
    spec = MetaFormerBlock(Depthwise(5), Pointwise(), pattern, layer_scale=0.5, fused=True)
    block = spec.build((6, 8, 8))
    token, channel = (module for module in block.modules() if isinstance(module, nn.Conv2d))
    x = torch.randn(4, 6, 8, 8)
    mixed = F.conv2d(x, token.weight, token.bias, padding=2, groups=6)
    normed = (mixed - mixed.mean(1, keepdim=True)) / (mixed.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(block(x), x + 0.5 * F.conv2d(normed, channel.weight, channel.bias))


def test_a_block_with_one_mixer_is_not_fused() -> None:
    for token, channel in ((NoTokenMixing(), Pointwise()), (Depthwise(), NoChannelMixing())):
        plain = MetaFormerBlock(token, channel)
        fused = MetaFormerBlock(token, channel, fused=True)
        assert fused.canonical() == plain.canonical()
        assert fused.cost((6, 8, 8)) == plain.cost((6, 8, 8))


def test_the_norms_of_the_blocks_are_over_all_channels_and_positions() -> None:
    torch.manual_seed(0)
    norms = [m for m in build(spartan_tiny()).modules() if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 2 * 5
    for norm in norms:
        x = 3 * torch.randn(2, norm.num_channels, 4, 3) + 1
        mean, var = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), unbiased=False, keepdim=True)
        torch.testing.assert_close(norm(x), (x - mean) / (var + 1e-6).sqrt())


def test_drop_path_leaves_out_a_branch_of_some_images_in_training_and_scales_up_the_others() -> None:
    drop, x = DropPath(0.25), torch.ones(4_000, 2, 1, 1)
    torch.manual_seed(0)
    kept = drop(x)
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (kept[:, 0] == kept[:, 1]).all()
    assert kept.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)


def test_frozen_norms_are_not_trained_and_are_priced_as_that() -> None:
    block = MetaFormerBlock(Depthwise(3), Pointwise(), freeze_norm=True)
    trained = sum(p.numel() for p in block.build((6, 8, 8)).parameters() if p.requires_grad)
    assert block.cost((6, 8, 8)).trainable_parameters == trained == 6 * 10 + 6 * 7

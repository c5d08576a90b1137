"""Convolutions of one pixel, strided ones above all: the gradients of the common form are wrong on some processors."""

import copy

import pytest
import torch
from torch import Tensor, nn

from objectives.counting import kept
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.downsamples import ConvDownsample
from searchspaces.layers.pointwise import full_convolution
from searchspaces.stems.embedding import EmbeddingStem

MODULES = {
    "convolution": lambda channels: full_convolution(channels, 8, 1, 2),
    "padded": lambda channels: full_convolution(channels, 8, 1, 3, 1),
    "shortcut": lambda channels: BasicBlock(dim=8, stride=2).build((channels, 16, 16)),
    "block of one pixel": lambda channels: BasicBlock(dim=8, stride=2, kernel=1, multiplier=2).build(
        (channels, 16, 16)
    ),
    "downsampling": lambda channels: ConvDownsample(8, kernel=1).build((channels, 16, 16)),
    "embedding": lambda channels: EmbeddingStem(8, kernel=1, stride=2, padding=1).build((channels, 16, 16)),
}


def gradients(module: nn.Module, x: Tensor, weight: Tensor) -> list[Tensor]:
    x = x.requires_grad_()
    (module(x) * weight).sum().backward()
    return [t.grad.double() for t in (x, *module.parameters()) if t.grad is not None]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("channels", [3, 4, 12])
def test_a_strided_convolution_of_few_channels_has_the_gradients_of_float64(name: str, channels: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = MODULES[name](channels).train()
        x = torch.randn(16, channels, 16, 16)
        exact = copy.deepcopy(module).double()
        weight = torch.randn_like(exact(x.double()))
        here = module.to(memory_format=torch.channels_last)
        found = gradients(here, x.contiguous(memory_format=torch.channels_last), weight.float())
        for mine, right in zip(found, gradients(exact, x.double(), weight), strict=True):
            assert torch.allclose(mine, right, rtol=1e-3, atol=1e-3 * float(right.abs().max()))


def test_it_is_the_convolution_that_its_settings_name() -> None:
    module = full_convolution(5, 7, 1, 3, 1)
    x = torch.randn(2, 5, 10, 7)
    expected = nn.functional.conv2d(x.double(), module.weight.double(), module.bias.double(), 3, 1)  # type: ignore[union-attr]
    assert torch.allclose(module.double()(x.double()), expected)


@pytest.mark.parametrize(
    "node", [BasicBlock(dim=8, stride=2), BasicBlock(dim=8, stride=2, kernel=1), ConvDownsample(8, kernel=1)], ids=str
)
def test_what_it_keeps_is_priced(node: BasicBlock | ConvDownsample) -> None:
    with torch.device("meta"):
        found = kept(node.build((4, 9, 9)), (4, 9, 9))
    assert found.per_image == 4 * node.cost((4, 9, 9)).activations

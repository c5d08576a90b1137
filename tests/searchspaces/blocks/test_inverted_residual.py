"""Inverted residuals, and the block of AFFNet that is made of them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from searchspaces.blocks.affnet import Aff, AffBlock
from searchspaces.blocks.inverted_residual import InvertedResidual


def test_an_inverted_residual_adds_its_input_where_the_shape_stays() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8, 8)
    for spec, added in ((InvertedResidual(6), x), (InvertedResidual(6, stride=2), 0), (InvertedResidual(8), 0)):
        block = spec.build((6, 8, 8))
        torch.nn.init.zeros_(block.norm3.weight)
        assert torch.equal(block(x), torch.zeros(2, *spec.output((6, 8, 8))) + added)


def test_the_affnet_block_fuses_its_input_with_what_is_filtered() -> None:
    torch.manual_seed(0)
    block = AffBlock(2).build((8, 6, 5)).eval()
    assert isinstance(block, Aff)
    x = torch.randn(2, 8, 6, 5)

    def norm(z: Tensor) -> Tensor:
        return F.group_norm(z, 1, eps=1e-6)

    z = x
    for step in block.steps:
        _, inverted, _, filtering = step
        z = z + filtering(norm(inverted(norm(z))))
    fusion = block.fusion
    projected = F.conv2d(norm(z), fusion.project.weight) / (1 + 1e-5) ** 0.5
    fused = F.conv2d(torch.cat([x, projected], 1), fusion.fuse.weight) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x), fused * torch.sigmoid(fused))

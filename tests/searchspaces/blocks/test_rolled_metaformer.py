"""The MetaFormer block on a rolled residual stream."""

import pytest
import torch

from searchspaces.architecture import Shape
from searchspaces.blocks.rolled_metaformer import RolledBlock
from searchspaces.operators.identity import NoTokenMixing
from searchspaces.operators.pointwise import Pointwise
from searchspaces.operators.roll_mix import RollMix


def image(shape: Shape, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


def test_a_rolled_block_rolls_the_residual_stream() -> None:
    spec = RolledBlock(NoTokenMixing(), Pointwise(), norm="none", roll=RollMix(4))
    block, x = spec.build((8, 4, 6)), image((8, 4, 6))
    conv = next(module for module in block.modules() if isinstance(module, torch.nn.Conv2d))
    rolled = RollMix(4).build((8, 4, 6))(x)
    torch.testing.assert_close(block(x), rolled + conv(rolled))
    with pytest.raises(ValueError, match="roll must be a roll_mix without kernels"):
        RolledBlock(NoTokenMixing(), Pointwise(), roll=RollMix(4, kernels="constant(3)"))

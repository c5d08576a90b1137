"""Separable ResNets (2503.16760)."""

from collections.abc import Callable
from functools import partial

from searchspaces.architecture import Architecture
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.freezing import Freeze
from searchspaces.spaces.resnet import LAYOUTS, resnet


def resnet18(multiplier: int, freeze: Freeze = "full") -> Architecture:
    """Separable ResNet-18 for CIFAR-10, one freeze pattern for all blocks."""
    return _resnet("resnet18", multiplier, freeze)


def resnet20(multiplier: int, freeze: Freeze = "full") -> Architecture:
    """Separable ResNet-20 for CIFAR-10, one freeze pattern for all blocks."""
    return _resnet("resnet20", multiplier, freeze)


def _resnet(layout: str, multiplier: int, freeze: Freeze) -> Architecture:
    dims, depths = LAYOUTS[layout]
    blocks = [BasicBlock(dim, multiplier=multiplier, freeze=freeze) for dim in dims]
    return resnet((3, 32, 32), 10, blocks, depths)


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "resnet18_d9": partial(resnet18, 9),
    "resnet18_d1": partial(resnet18, 1),
    "resnet20_d9": partial(resnet20, 9),
}

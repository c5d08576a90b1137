"""AFFNet's block (2307.14008), ``(B, C, H, W) -> (B, C, H, W)``: filters of the spectrum, fused with what came in."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Block, Shape, spec
from searchspaces.blocks.inverted_residual import InvertedResidual
from searchspaces.costs import Cost, batch_norm, convolution, elementwise, group_norm
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.layers.norms import make_norm
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.operators.aff import AdaptiveFilter
from searchspaces.registry import check_least, check_one_of, check_positive


@spec("affnet")
@dataclass(frozen=True)
class AffBlock(Block):
    """``s(BN(W [x, BN(V norm(z))]))``, where z is x after ``filters`` steps ``z <- z + aff(norm(inverted(norm(z))))``.

    s is SiLU, ``inverted`` an inverted residual with its own residual, ``aff`` adds its input; norms are over channels
    and positions.

    Args:
        filters: steps.
        expansion: of the inverted residuals.
        groups: blocks of the maps that make a filter (`AdaptiveFilter`); 0: 8, or less if 8 does not divide C.
        freeze: which mixing is trained: ``full``, ``chans``, ``space``.
    """

    filters: int = 2
    expansion: float = 2.0
    groups: int = 0
    freeze: Freeze = "full"

    def __post_init__(self) -> None:
        check_least(self, filters=1, groups=0)
        check_positive(self, "expansion")
        check_one_of("freeze", self.freeze, FREEZE_PATTERNS)

    def label(self) -> str:
        return f"affnet {self.filters} x{self.expansion:g} {self.freeze}"

    def parts(self, channels: int) -> tuple[InvertedResidual, AdaptiveFilter]:
        """The channel mixer and the token mixer of a step."""
        inverted = InvertedResidual(channels, expansion=self.expansion, freeze=self.freeze)
        return inverted, AdaptiveFilter(self.groups, residual=True)

    def cost(self, shape: Shape) -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        size, square, mixes = channels * positions, channels**2, self.freeze != "space"
        inverted, aff = self.parts(channels)
        norm, fused = group_norm(channels, positions), batch_norm(channels, positions)
        step = norm + inverted.cost(shape) + norm + aff.cost(shape, self.freeze) + elementwise(size)
        total = step * self.filters + norm
        total += convolution(channels * size, square, size, trained=mixes) + fused
        total += convolution(2 * channels * size, 2 * square, 2 * size, trained=mixes) + fused
        return total + elementwise(size, kept=size)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"filters": (1, 2), "expansion": (1.0, 2.0), "groups": (0, 1, 2), "freeze": FREEZE_PATTERNS}

    def build(self, shape: Shape) -> nn.Module:
        return Aff(shape, self)


class Aff(nn.Module):
    """Module of `AffBlock`."""

    def __init__(self, shape: Shape, config: AffBlock) -> None:
        super().__init__()
        inverted, aff = config.parts(shape[0])
        self.steps = nn.ModuleList(
            nn.Sequential(
                make_norm("group", shape[0]), inverted.build(shape), make_norm("group", shape[0]), aff.build(shape)
            )
            for _ in range(config.filters)
        )
        self.fusion = Fusion(shape[0])
        freeze(config.freeze, (module for module in self.modules() if isinstance(module, Mixer)))

    def forward(self, x: Tensor) -> Tensor:
        z = x
        for step in self.steps:
            z = z + step(z)
        y: Tensor = self.fusion(x, z)
        return y


class Fusion(Mixer):
    """``s(BN(W [x, BN(V norm(z))]))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = make_norm("group", channels)
        self.project, self.project_norm = Conv1x1(channels, channels, bias=False), nn.BatchNorm2d(channels)
        self.fuse, self.fuse_norm = Conv1x1(2 * channels, channels, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        z = self.project_norm(self.project(self.norm(z)))
        return F.silu(self.fuse_norm(self.fuse(torch.cat([x, z], 1))))

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return (*self.project.parameters(), *self.fuse.parameters())

"""MetaFormer block on a rolled residual stream, as in ShiftViT (2201.10801), ``(B, C, H, W) -> (B, C, H, W)``."""

from dataclasses import dataclass, replace
from typing import Any, Self

from torch import nn

from searchspaces.architecture import Shape, spec
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.costs import Cost
from searchspaces.operators.roll_mix import RollMix


@spec("rolled_metaformer")
@dataclass(frozen=True)
class RolledBlock(MetaFormerBlock):
    """``x <- block(roll(x))``.

    Args:
        roll: groups of channels and how far they are rolled; without kernels, so that the roll has no parameters.
    """

    roll: RollMix = RollMix(16)  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.roll, RollMix) or self.roll.kernels != "none" or self.roll.combine != "select":
            raise ValueError(f"roll must be a roll_mix without kernels that selects, got {self.roll!r}.")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            **super().options(shape),
            "roll": (RollMix(2, directions="lr"), RollMix(2, directions="lr", fill="zero")),
        }

    def canonical(self) -> Self:
        return replace(super().canonical(), roll=self.roll.canonical())

    def cost(self, shape: Shape) -> Cost:
        return self.roll.cost(shape) + super().cost(shape)

    def label(self) -> str:
        return f"{self.roll.label()} > {super().label()}"

    def build(self, shape: Shape) -> nn.Module:
        return nn.Sequential(self.roll.build(shape), super().build(shape))

"""ASM-RH (2402.18007): an MLP-Mixer for spectrograms with rolled tokens and Hermitian-frequency mixing.

A spectrogram (1, mel, frames) is cut into overlapping patches; ``depth`` blocks ``x + RollTokenMLP(LN(x))``,
``x + Hermit(LN(x))``; LayerNorm, mean over the tokens, linear classifier. There is no official code: this is one
buildable reading, and counts of parameters are its own, not published ones. Hidden sizes are those of Mixer-B/16.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from torch import nn

from searchspaces.architecture import Architecture, Shape, Stage, spec
from searchspaces.blocks import MetaFormerBlock
from searchspaces.costs import Cost
from searchspaces.heads import AverageHead
from searchspaces.operators.hermit import Axis, Hermit, Position, Reading
from searchspaces.operators.roll_mix import RollMix
from searchspaces.operators.roll_token_mlp import RollTokenMLP
from searchspaces.stems import EmbeddingStem

INPUTS: dict[int, Shape] = {600: (1, 128, 512), 144: (1, 128, 128)}
"""Tokens of 16 pixels at stride 10 -> spectrogram: ESC-50, UrbanSound8K and RAVDESS; Speech Commands."""


@spec("rolled_metaformer")
@dataclass(frozen=True)
class RolledBlock(MetaFormerBlock):
    """MetaFormer block on a rolled residual stream, as in ShiftViT (2201.10801): ``x <- block(roll(x))``.

    Args:
        roll: what is rolled, without kernels, so that the roll holds no parameters.
    """

    roll: RollMix = RollMix(16)  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        if not isinstance(self.roll, RollMix) or self.roll.kernels != "none" or self.roll.combine != "select":
            raise ValueError(f"roll must be a roll_mix without kernels that selects, got {self.roll!r}.")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            **super().options(shape),
            "roll": (RollMix(2, directions="lr"), RollMix(2, directions="lr", fill="zero")),
        }

    def canonical(self) -> "RolledBlock":
        return replace(cast(RolledBlock, super().canonical()), roll=self.roll.canonical())

    def cost(self, shape: Shape) -> Cost:
        return self.roll.cost(shape) + super().cost(shape)

    def label(self) -> str:
        return f"{self.roll.label()} > {super().label()}"

    def build(self, shape: Shape) -> nn.Module:
        return nn.Sequential(self.roll.build(shape), super().build(shape))


def asm_rh(
    tokens: Literal[600, 144] = 600,
    *,
    classes: int = 8,
    input: Shape | None = None,
    patch: int = 16,
    stride: int = 10,
    dim: int = 768,
    depth: int = 12,
    token_hidden: int = 384,
    reading: Reading = "literal",
    axis: Axis = "token",
    position: Position = "around",
) -> Architecture:
    """ASM-RH for spectrograms of so many tokens, or for ``input`` if that is given.

    Args:
        patch, stride: of the patches, in pixels.
        token_hidden: units of the token MLPs; the channel MLPs have 4 dim.
        reading, axis, position: of the frequency mixing (`Hermit`).
    """
    token = RollTokenMLP(token_hidden, RollMix(16))
    block = MetaFormerBlock(token, Hermit(reading, axis, position), norm="layer")
    stem = EmbeddingStem(dim, patch, stride)
    return Architecture(input or INPUTS[tokens], classes, stem, (Stage(block, depth),), AverageHead("layer"))

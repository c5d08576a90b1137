"""Non-overlapping patches, ``(B, C, H, W) -> (B, dim, H / patch, W / patch)``."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.registry import check_least


def divisors(shape: Shape) -> tuple[int, ...]:
    """Sides of square patches that tile (C, H, W) without a remainder."""
    _, height, width = shape
    return tuple(p for p in range(1, min(height, width) + 1) if height % p == 0 and width % p == 0)


@spec("patch")
@dataclass(frozen=True)
class PatchStem(Stem):
    """Conv(kernel = stride = patch, bias), GELU, BatchNorm (ConvMixer, locuslab/convmixer).

    Args:
        dim: output channels.
        patch: side of a patch in pixels; must divide both sides of the input.
    """

    dim: int
    patch: int = 1

    def __post_init__(self) -> None:
        check_least(self, dim=1, patch=1)

    def label(self) -> str:
        return f"dim {self.dim} patch {self.patch}"

    def output(self, shape: Shape) -> Shape:
        _, height, width = shape
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"patch must divide every side, got patch={self.patch} for input {shape}. "
                f"Divisors of both sides: {', '.join(map(str, divisors(shape)))}."
            )
        return self.dim, height // self.patch, width // self.patch

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = self.output(shape)
        taps, positions = shape[0] * self.patch**2, height * width
        conv = convolution(positions * taps * dim, dim * taps + dim, shape[0] * shape[1] * shape[2])
        return conv + elementwise(dim * positions, kept=dim * positions) + batch_norm(dim, positions)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16, 24), "patch": tuple(p for p in divisors(shape) if p < min(shape[1:]))}

    def build(self, shape: Shape) -> nn.Module:
        self.output(shape)
        return nn.Sequential(nn.Conv2d(shape[0], self.dim, self.patch, self.patch), nn.GELU(), nn.BatchNorm2d(self.dim))

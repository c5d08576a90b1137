"""Stems: pixels ``(B, C, H, W)`` to the grid of tokens of the first stage."""

from dataclasses import dataclass

from torch import nn

from searchspaces.architecture import Shape, Stem, spec


@spec("patch")
@dataclass(frozen=True)
class PatchStem(Stem):
    """Non-overlapping patches: Conv(kernel = stride = patch, bias), GELU, BatchNorm (ConvMixer, locuslab/convmixer).

    Args:
        dim: channels that come out.
        patch: side of a patch in pixels; must divide both sides of the input.
    """

    dim: int
    patch: int = 1

    def label(self) -> str:
        return f"dim {self.dim} patch {self.patch}"

    def output(self, shape: Shape) -> Shape:
        _, height, width = shape
        if self.patch < 1 or height % self.patch or width % self.patch:
            common = [p for p in range(1, min(height, width) + 1) if height % p == 0 and width % p == 0]
            raise ValueError(
                f"patch must divide every side, got patch={self.patch} for input {shape}. "
                f"Divisors of both sides: {', '.join(map(str, common))}."
            )
        return self.dim, height // self.patch, width // self.patch

    def build(self, shape: Shape) -> nn.Module:
        self.output(shape)
        return nn.Sequential(nn.Conv2d(shape[0], self.dim, self.patch, self.patch), nn.GELU(), nn.BatchNorm2d(self.dim))

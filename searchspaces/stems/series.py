"""Patches of series, ``(B, C, variates, time) -> (B, dim, variates, patches)``: each row is cut by itself."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost, convolution
from searchspaces.registry import check_least


@spec("series")
@dataclass(frozen=True)
class SeriesStem(Stem):
    """One linear map from the steps of a patch to its channels, the same for all variates (2306.09364).

    The oldest steps, at the left, that do not fill a patch are left out.

    Args:
        dim: output channels.
        patch: steps in a patch.
        stride: steps from one patch to the next.
    """

    dim: int
    patch: int
    stride: int

    def __post_init__(self) -> None:
        check_least(self, dim=1, patch=1, stride=1)

    def label(self) -> str:
        return f"dim {self.dim} steps {self.patch}/{self.stride}"

    def output(self, shape: Shape) -> Shape:
        if self.patch > shape[2]:
            raise ValueError(f"patch must be 1 to {shape[2]} for input {shape}, got patch={self.patch}.")
        return self.dim, shape[1], (shape[2] - self.patch) // self.stride + 1

    def cost(self, shape: Shape) -> Cost:
        dim, rows, patches = self.output(shape)
        weights = shape[0] * self.patch * dim
        return convolution(weights * rows * patches, weights + dim, shape[0] * shape[1] * shape[2])

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16,), "patch": (1, 2, 3), "stride": (1, 2)}

    def build(self, shape: Shape) -> nn.Module:
        return SeriesEmbedding(shape, self)


class SeriesEmbedding(nn.Conv2d):
    """Module of `SeriesStem`."""

    def __init__(self, shape: Shape, config: SeriesStem) -> None:
        dim, _, patches = config.output(shape)
        super().__init__(shape[0], dim, (1, config.patch), (1, config.stride))
        self.oldest = shape[2] - config.patch - (patches - 1) * config.stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., self.oldest :] if self.oldest else x)

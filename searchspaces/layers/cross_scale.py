"""Patches of several sizes around the same centres, embedded together: ``(B, C, H, W) -> (B, dim, H / s, W / s)``.

Source: RaftMLP (2108.04384), where one linear map reads the patches of all sizes; that is a sum of convolutions
with one bias, which never writes the patches.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Shape, Spec
from searchspaces.costs import Cost, convolution, elementwise
from searchspaces.registry import check_least


@dataclass(frozen=True)
class CrossScale(Spec):
    """Sum of convolutions with different kernels, all with the smallest kernel as stride.

    Pixels at the right and bottom that do not fill a patch of the smallest size are left out.

    Args:
        dim: output channels.
        kernels: sides of the patches in pixels, the smallest first; all odd or all even.
    """

    dim: int
    kernels: tuple[int, ...] = (2, 4)

    def __post_init__(self) -> None:
        check_least(self, dim=1)
        if not self.kernels or min(self.kernels) < 1 or self.kernels[0] != min(self.kernels):
            raise ValueError(f"kernels must be at least 1, the smallest first, got {self.kernels}. Take (2, 4).")
        if any((kernel - self.stride) % 2 for kernel in self.kernels):
            raise ValueError(f"kernels must be all odd or all even, to have one centre, got {self.kernels}.")

    @property
    def stride(self) -> int:
        """Distance of the centres in pixels."""
        return self.kernels[0]

    def label(self) -> str:
        return f"dim {self.dim} patches {'+'.join(map(str, self.kernels))}/{self.stride}"

    def output(self, shape: Shape) -> Shape:
        _, height, width = shape
        if min(height, width) < self.stride:
            raise ValueError(
                f"kernels must start with 1 to {min(height, width)} for input {shape}, got {self.kernels}."
            )
        return self.dim, height // self.stride, width // self.stride

    def cost(self, shape: Shape) -> Cost:
        dim, height, width = self.output(shape)
        size = dim * height * width
        taps = shape[0] * sum(kernel**2 for kernel in self.kernels)
        # The image is the input of all convolutions, and kept once.
        conv = convolution(taps * size, taps * dim + dim, shape[0] * shape[1] * shape[2])
        return conv + elementwise(size * (len(self.kernels) - 1))

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16,), "kernels": ((2,), (2, 4), (3, 5, 9))}

    def build(self, shape: Shape) -> nn.Module:
        self.output(shape)
        return CrossScales(shape[0], self)


class CrossScales(nn.Module):
    """Module of `CrossScale`."""

    def __init__(self, channels: int, config: CrossScale) -> None:
        super().__init__()
        stride = config.stride
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, config.dim, kernel, stride, (kernel - stride) // 2, bias=number == 0)
            for number, kernel in enumerate(config.kernels)
        )

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.convs
        y: Tensor = first(x)
        for conv in others:
            y = y + conv(x)
        return y

"""Pooling as a token mixer, ``(B, C, H, W) -> (B, C, H, W)``, without parameters (2111.11418, 2505.18608)."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer


@spec("pooling")
@dataclass(frozen=True)
class Pooling(TokenMixer):
    """``y = pool(x) - x`` with stride 1: the subtraction undoes the identity that the block's residual adds.

    Args:
        kernel: side of the window, odd; positions outside the grid do not count.
        reduce: ``avg``, or ``max``, which is not low-pass.
        subtract: subtract x; False for plain pooling.
    """

    kernel: int = 3
    reduce: Literal["avg", "max"] = "avg"
    subtract: bool = True

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel of a pooling must be odd, got {self.kernel}. Take 3, 5 or 7.")

    def canonical(self) -> "Pooling":
        return replace(self, reduce="avg") if self.kernel == 1 else self

    def label(self) -> str:
        return f"{self.reduce}pool{self.kernel}" + ("" if self.subtract else " plain")

    def weights(self) -> frozenset[Weights]:
        return frozenset()

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        size = shape[0] * shape[1] * shape[2]
        kept = size if self.reduce == "avg" else 3 * size  # the maximum keeps 64-bit positions besides its input
        return Cost(elementwise_flops=size * (self.kernel**2 + (1 if self.subtract else 0)), activations=kept)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"kernel": (1, 3, 5), "reduce": ("avg", "max"), "subtract": (True, False)}

    def build(self, shape: Shape) -> "Pool":
        return Pool(self)


class Pool(Mixer):
    """Module of `Pooling`."""

    def __init__(self, config: Pooling) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Tensor) -> Tensor:
        kernel, padding = self.config.kernel, self.config.kernel // 2
        if self.config.reduce == "avg":
            # Contiguous on a GPU: many versions of PyTorch give wrong gradients there for padded images that are
            # channels last (pytorch/pytorch#188344).
            pooled = F.avg_pool2d(x.contiguous() if x.is_cuda else x, kernel, 1, padding, count_include_pad=False)
        else:
            pooled = F.max_pool2d(x, kernel, 1, padding)
        return pooled - x if self.config.subtract else pooled

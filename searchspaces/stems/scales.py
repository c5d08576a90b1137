"""A series and its averages, embedded step by step, ``(B, C, variates, T) -> (B, dim, variates, T0 + T1 + ...)``."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, Stem, spec
from searchspaces.costs import Cost
from searchspaces.layers.scales import lengths
from searchspaces.registry import check_least


@spec("scales")
@dataclass(frozen=True)
class ScalesStem(Stem):
    """The stem of TimeMixer (2405.14616): averages of the series, and of each scale a convolution of three steps.

    The convolution is the same for all scales, has no bias, and goes round at the ends.

    Args:
        dim: output channels.
        scales: averages beside the series itself, 0 for none.
        window: steps in an average.
    """

    dim: int
    scales: int = 3
    window: int = 2

    def __post_init__(self) -> None:
        check_least(self, dim=1, scales=0, window=2)

    def label(self) -> str:
        return f"dim {self.dim} scales {self.scales}/{self.window}"

    def output(self, shape: Shape) -> Shape:
        return self.dim, shape[1], sum(lengths(shape[2], self.scales, self.window))

    def cost(self, shape: Shape) -> Cost:
        steps, rows = lengths(shape[2], self.scales, self.window), shape[0] * shape[1]
        weights = 3 * shape[0] * self.dim
        macs = weights * shape[1] * sum(steps)
        averages = Cost(elementwise_flops=rows * self.window * sum(steps[1:]))
        padded = rows * sum(length + 2 for length in steps)
        return averages + Cost(macs, macs, parameters=weights, trainable_parameters=weights, activations=padded)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (8,), "scales": (0, 1, 2) if shape[2] >= 4 else (0,), "window": (2,)}

    def build(self, shape: Shape) -> nn.Module:
        self.output(shape)
        return ScalesEmbedding(shape[0], self)


class ScalesEmbedding(nn.Module):
    """Module of `ScalesStem`."""

    def __init__(self, channels: int, config: ScalesStem) -> None:
        super().__init__()
        self.scales, self.window = config.scales, config.window
        self.conv = nn.Conv2d(channels, config.dim, (1, 3), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for _ in range(self.scales):
            whole = found[-1].shape[3] // self.window * self.window
            # Pooling would keep its input for a gradient that the series does not need.
            found.append(torch.unflatten(found[-1][..., :whole], 3, (-1, self.window)).mean(4))
        return torch.cat([self.conv(torch.cat([y[..., -1:], y, y[..., :1]], 3)) for y in found], 3)

"""Heads: tokens ``(B, C, H, W)`` to features and from them to the outputs of the network, logits or values."""

from dataclasses import dataclass, replace
from typing import Any, get_args

from torch import Tensor, nn

from searchspaces.architecture import Architecture, Head, Shape, spec
from searchspaces.costs import NORM_COSTS, Cost, batch_norm, convolution, elementwise
from searchspaces.layers.norms import Norm, make_norm
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_least


@spec("average")
@dataclass(frozen=True)
class AverageHead(Head):
    """Mean over all positions, with a norm unless it is ``none``.

    Args:
        norm: of every position, before the mean.
        norm_last: of the mean instead.
        start: standard deviation of the classifier's weights at the start, cut off at 2, with biases 0; published for
            SpaRTAN: 0.02. 0: PyTorch's start.
    """

    norm: Norm = "none"
    norm_last: bool = False
    start: float = 0.0

    def __post_init__(self) -> None:
        check_least(self, start=0)

    def canonical(self) -> "AverageHead":
        return replace(self, norm_last=self.norm_last and self.norm != "none")

    def output(self, shape: Shape) -> Shape:
        return shape[0], 1, 1

    def cost(self, shape: Shape) -> Cost:
        positions = shape[1] * shape[2]
        return NORM_COSTS[self.norm](shape[0], 1 if self.norm_last else positions) + elementwise(shape[0] * positions)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"norm": get_args(Norm), "norm_last": (False, True), "start": (0.0, 0.02)}

    def build(self, shape: Shape) -> nn.Module:
        norm, mean = make_norm(self.norm, shape[0]), nn.AdaptiveAvgPool2d(1)
        return nn.Sequential(*((mean, norm) if self.norm_last else (norm, mean)), nn.Flatten())

    def readout(self, features: Shape, outputs: int) -> nn.Module:
        layer = nn.Linear(features[0], outputs)
        if self.start:
            nn.init.trunc_normal_(layer.weight, std=self.start, a=-2, b=2)
            nn.init.zeros_(layer.bias)
        return layer


@spec("expanded")
@dataclass(frozen=True)
class ExpandedHead(Head):
    """1x1 convolution without bias, BatchNorm, SiLU, and the mean over all positions (MobileNets, AFFNet).

    Args:
        dim: features.
    """

    dim: int

    def __post_init__(self) -> None:
        check_least(self, dim=1)

    def output(self, shape: Shape) -> Shape:
        return self.dim, 1, 1

    def cost(self, shape: Shape) -> Cost:
        positions, weights = shape[1] * shape[2], shape[0] * self.dim
        size = self.dim * positions
        conv = convolution(weights * positions, weights, shape[0] * positions)
        return conv + batch_norm(self.dim, positions) + elementwise(2 * size, kept=size)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16, 24)}

    def build(self, shape: Shape) -> nn.Module:
        conv, norm = Conv1x1(shape[0], self.dim, bias=False), nn.BatchNorm2d(self.dim)
        return nn.Sequential(conv, norm, nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@spec("dense")
@dataclass(frozen=True)
class DenseHead(Head):
    """The tokens as they are, after a norm unless it is ``none``; each then becomes a patch of the outputs.

    The last layer is the reverse of a patch embedding: one linear map, the same for all tokens, to the values of a
    patch. With as many tokens as positions it is a 1x1 convolution.
    """

    norm: Norm = "none"

    dense = True
    last = "unembedding"

    def cost(self, shape: Shape) -> Cost:
        return NORM_COSTS[self.norm](shape[0], shape[1] * shape[2])

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"norm": get_args(Norm)}

    def build(self, shape: Shape) -> nn.Module:
        return nn.Sequential(make_norm(self.norm, shape[0]))

    def readout(self, features: Shape, outputs: Shape) -> nn.Module:
        return Unembedding(features, outputs)

    def readout_cost(self, features: Shape, outputs: Shape) -> Cost:
        channels, height, width = features
        made = outputs[0] * _patch(features, outputs)[0] * _patch(features, outputs)[1]
        weights = channels * made
        return convolution(weights * height * width, weights + made, channels * height * width)


class Unembedding(nn.Conv2d):
    """Tokens ``(B, D, h, w)`` -> values ``(B, C, H, W)``, each token a patch of H/h x W/w.

    Raises:
        ValueError: if the tokens do not divide the sides of the outputs.
    """

    def __init__(self, features: Shape, outputs: Shape) -> None:
        patch = _patch(features, outputs)
        super().__init__(features[0], outputs[0] * patch[0] * patch[1], 1)
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.patch == (1, 1):
            return y
        batch, _, rows, columns = y.shape
        high, wide = self.patch
        y = y.view(batch, -1, high, wide, rows, columns).permute(0, 1, 4, 2, 5, 3)  # (B, C, h, high, w, wide)
        return y.reshape(batch, -1, rows * high, columns * wide)


def _patch(features: Shape, outputs: Shape) -> tuple[int, int]:
    (_, rows, columns), (_, height, width) = features, outputs
    if height % rows or width % columns:
        raise ValueError(
            f"tokens must divide the sides of the outputs, got {rows}x{columns} tokens for outputs of "
            f"{height}x{width}. Take a patch or a stride that divides both sides."
        )
    return height // rows, width // columns


def fitted(architecture: Architecture, outputs: int | Shape) -> Architecture:
    """The architecture with other outputs, and with the head that they need."""
    head = architecture.head
    if head.dense == isinstance(outputs, int):
        norm = head.norm if isinstance(head, AverageHead | DenseHead) else "none"
        head = AverageHead(norm) if head.dense else DenseHead(norm)
    return replace(architecture, outputs=outputs, head=head)

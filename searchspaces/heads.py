"""Heads: tokens ``(B, C, H, W)`` to features and from them to the outputs of the network, logits or values."""

from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from searchspaces.architecture import Architecture, Head, Shape, spec
from searchspaces.costs import NORM_COSTS, Cost, batch_norm, convolution, elementwise, linear
from searchspaces.layers.norms import Norm, make_norm
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.layers.scales import lengths_of
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


@dataclass(frozen=True)
class OfTokens(Head):
    """The tokens as they are, after a norm unless it is ``none``; what makes the outputs of them follows.

    Args:
        norm: of every position.
    """

    norm: Norm = "none"

    dense = True

    def cost(self, shape: Shape) -> Cost:
        return NORM_COSTS[self.norm](shape[0], shape[1] * shape[2])

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"norm": get_args(Norm)}

    def build(self, shape: Shape) -> nn.Module:
        return nn.Sequential(make_norm(self.norm, shape[0]))


@spec("dense")
@dataclass(frozen=True)
class DenseHead(OfTokens):
    """The tokens as they are, after a norm unless it is ``none``; each then becomes a patch of the outputs.

    The last layer is the reverse of a patch embedding: one linear map, the same for all tokens, to the values of a
    patch. With as many tokens as positions it is a 1x1 convolution.
    """

    last = "unembedding"

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


@spec("forecast")
@dataclass(frozen=True)
class ForecastHead(OfTokens):
    """The tokens as they are, after a norm unless it is ``none``; each row of them then becomes rows of the outputs.

    The last layer is one linear map from the values of a row of tokens to those of its outputs, the same for all rows:
    of series ``(1, variates, time)`` the flatten head of PatchTSMixer (2306.09364).

    Args:
        reversible: each row of the input has its mean taken away and is divided by its deviation before the stem; the
            outputs of its row are multiplied by that deviation and get the mean again (RevIN without factors of its
            own, Kim et al. 2022; the standard scaling of PatchTSMixer).
    """

    reversible: bool = False

    forecasts = True
    last = "forecast"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {**super().options(shape), "reversible": (False, True)}

    def readout(self, features: Shape, outputs: Shape) -> nn.Module:
        return RowMap(features, outputs)

    def readout_cost(self, features: Shape, outputs: Shape) -> Cost:
        channels, rows, columns = features
        taken, made = channels * columns, outputs[0] * _rows_each(features, outputs) * outputs[2]
        return linear(rows * taken * made, taken * made + made, taken * rows)


@spec("scales_forecast")
@dataclass(frozen=True)
class ScalesHead(Head):
    """The head of TimeMixer (2405.14616): of each scale a linear map to the horizon, added, then one of the channels.

    Args:
        scales, window: of the stem, 0 scales for the series alone.
        reversible: as of `ForecastHead`.
    """

    scales: int
    window: int = 2
    reversible: bool = False

    dense = True
    forecasts = True
    last = "forecast"

    def __post_init__(self) -> None:
        check_least(self, scales=0, window=2)

    def cost(self, shape: Shape) -> Cost:
        return Cost()

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"scales": (0,), "reversible": (False, True)}

    def build(self, shape: Shape) -> nn.Module:
        return nn.Sequential()

    def readout(self, features: Shape, outputs: Shape) -> nn.Module:
        return ScalesMap(features, outputs, lengths_of(features[2], self.scales, self.window))

    def readout_cost(self, features: Shape, outputs: Shape) -> Cost:
        channels, rows, total = features
        steps = lengths_of(total, self.scales, self.window)
        _rows_each(features, (outputs[0], rows, outputs[2]))
        wide, horizon = channels * rows, outputs[2]
        maps = linear(wide * total * horizon, total * horizon + len(steps) * horizon, wide * total)
        last = convolution(outputs[0] * wide * horizon, channels * outputs[0] + outputs[0], wide * horizon)
        return maps + last + elementwise((len(steps) - 1) * wide * horizon)


class ScalesMap(nn.Module):
    """Scales ``(B, D, M, S)`` -> values ``(B, C, M, W)``."""

    def __init__(self, features: Shape, outputs: Shape, steps: list[int]) -> None:
        super().__init__()
        if features[1] != outputs[1]:
            raise ValueError(f"a forecast has the rows of its series, got {features[1]} for {outputs[1]} rows.")
        self.steps = steps
        self.each = nn.ModuleList(nn.Linear(length, outputs[2]) for length in steps)
        self.last = Conv1x1(features[0], outputs[0])

    def forward(self, x: Tensor) -> Tensor:
        found = [scale(one.contiguous()) for scale, one in zip(self.each, torch.split(x, self.steps, 3), strict=True)]
        total = found[0]
        for one in found[1:]:
            total = total + one
        y: Tensor = self.last(total)
        return y


class RowMap(nn.Linear):
    """Tokens ``(B, D, h, w)`` -> values ``(B, C, H, W)``, each row of tokens H/h rows of values.

    Raises:
        ValueError: if the rows of tokens do not divide those of the outputs.
    """

    def __init__(self, features: Shape, outputs: Shape) -> None:
        self.each = _rows_each(features, outputs)
        super().__init__(features[0] * features[2], outputs[0] * self.each * outputs[2])
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        batch, _, rows, _ = x.shape
        y = super().forward(x.transpose(1, 2).flatten(2))  # (B, h, D w) to (B, h, C H/h W)
        channels, height, width = self.outputs
        return y.view(batch, rows, channels, self.each, width).transpose(1, 2).reshape(batch, channels, height, width)


def _rows_each(features: Shape, outputs: Shape) -> int:
    if outputs[1] % features[1]:
        raise ValueError(
            f"rows of tokens must divide the rows of the outputs, got {features[1]} for outputs of {outputs[1]} rows. "
            "Take a patch or a stride that leaves as many."
        )
    return outputs[1] // features[1]


def _patch(features: Shape, outputs: Shape) -> tuple[int, int]:
    (_, rows, columns), (_, height, width) = features, outputs
    if height % rows or width % columns:
        raise ValueError(
            f"tokens must divide the sides of the outputs, got {rows}x{columns} tokens for outputs of "
            f"{height}x{width}. Take a patch or a stride that divides both sides."
        )
    return height // rows, width // columns


def fitted(
    architecture: Architecture, outputs: int | Shape, *, input: Shape | None = None, aligned: bool = True
) -> Architecture:
    """The architecture with other outputs, and with the head that they need.

    Args:
        input: (C, H, W) of another input, if it is to have one.
        aligned: outputs that are no classes stand for the positions of the input; those of forecasts do not, and are
            made of all positions of a row, by a reversible head unless the architecture has one that forecasts.
    """
    head = architecture.head
    values = not isinstance(outputs, int)
    if head.dense != values or (values and head.forecasts == aligned):
        norm = head.norm if isinstance(head, AverageHead | OfTokens) else "none"
        dense = DenseHead(norm) if aligned else ForecastHead(norm, reversible=True)
        head = dense if values else AverageHead(norm)
    return replace(architecture, input=input or architecture.input, outputs=outputs, head=head)

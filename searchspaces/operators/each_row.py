"""A token mixer on each row by itself, ``(B, C, H, W) -> (B, C, H, W)``: along the time of every variate of a series.

With `s6` in it, the time mixing of TSM2 (2403.19888).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pooling import Pooling
from searchspaces.operators.s6 import SelectiveScan
from searchspaces.operators.spatial_fc import SpatialFC
from searchspaces.operators.token_mlp import TokenMLP

TAKEN = (Depthwise, Pooling, SelectiveScan, SpatialFC, TokenMLP)
"""Mixers of which it is known what they compute of their weights alone, once for all rows."""


@spec("each_row")
@dataclass(frozen=True)
class EachRow(TokenMixer):
    """``op`` on the images (C, 1, W) that the rows are, with the same weights for all.

    Args:
        op: the mixer of a row.
    """

    op: TokenMixer = Depthwise()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        if not isinstance(self.op, TAKEN):
            kinds = ", ".join(sorted(kind.kind for kind in TAKEN))
            raise ValueError(f"op of each_row must be one of {kinds}, got {self.op!r}.")

    def canonical(self) -> "EachRow":
        return replace(self, op=self.op.canonical())

    def at(self, shape: Shape) -> "EachRow":
        return replace(self, op=self.op.at((shape[0], 1, shape[2])))

    def weights(self) -> frozenset[Weights]:
        return self.op.weights()

    def label(self) -> str:
        return f"each_row({self.op.label()})"

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, rows, columns = shape
        once = self.op.weight_operations(channels) if isinstance(self.op, SelectiveScan) else 0
        one = self.op.cost((channels, 1, columns), freeze)
        own = Cost(
            elementwise_flops=-(rows - 1) * once,
            parameters=one.parameters,
            trainable_parameters=one.trainable_parameters,
            buffer_bytes=one.buffer_bytes,
            kept_once=one.kept_once,
        )
        return replace(one, parameters=0, trainable_parameters=0, buffer_bytes=0, kept_once=0) * rows + own

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"op": (Depthwise(), Pooling(), SpatialFC(), TokenMLP(), SelectiveScan(states=4, directions=2))}

    def build(self, shape: Shape) -> "RowMixing":
        return RowMixing(shape, self)


class RowMixing(Mixer):
    """Module of `EachRow`."""

    def __init__(self, shape: Shape, config: EachRow) -> None:
        super().__init__()
        self.op = config.op.build((shape[0], 1, shape[2]))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, rows, columns = x.shape
        each = x.transpose(1, 2).reshape(batch * rows, channels, 1, columns)
        y: Tensor = self.op(each).reshape(batch, rows, channels, columns)
        return y.transpose(1, 2)

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.op.spatial_parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.op.channel_parameters()

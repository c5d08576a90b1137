"""Attention over the positions, with four of its matrices or fewer, ``(B, C, H, W) -> (B, C, H, W)``.

Source: 2410.13732 for the variants with fewer matrices. No positions are encoded: every variant commutes with
permutations of the tokens, so that a stem or another block must tell them apart. A collapsed matrix stands for one pair
(W_q W_k^T, W_v W_o), which saves parameters for one head; h heads need h of them, more than ``full`` has.

Scores are computed in full, not by ``scaled_dot_product_attention``: that takes 0.8 of the time for one head (0.35 for
four) on a CPU, but what it keeps for the backward pass differs by device, and on a GPU its gradients are not
reproducible. A grid of up to 256 positions, or its pooled keys, is small enough.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.groups import check_groups
from searchspaces.registry import check_least, check_one_of

Variant = Literal["full", "qk_vo", "qk", "sym", "chol"]

MOST_TOKENS, MOST_KEYS = 256, 64
"""Larger grids are pooled for keys and values, to at most so many, unless a window is given."""


@spec("attention")
@dataclass(frozen=True)
class Attention(TokenMixer):
    """``softmax(s Q K^T) V`` for tokens t (N, C); s = (C / heads)^-1/2, k the pooled tokens.

    Args:
        variant: ``full``: ``softmax(s t Wq (k Wk)^T) k Wv Wo``; ``sym``: the same with Wk = Wq; ``qk_vo``:
            ``softmax(s t Wqk k^T) k Wvo``; ``qk``: ``softmax(s t Wqk k^T) k``; ``chol``: that with Wqk = T T^T, T
            lower triangular.
        heads: attentions, each with its own channels of the values (``qk_vo``: added); must divide the channels.
        pool: side of the windows whose means are the tokens of keys and values, in positions; 0: none on grids of up
            to 256 positions, else the smallest that leaves at most 64.
        bias: offsets after Wo, for the variants that have it; no other map has any.
    """

    variant: Variant = "full"
    heads: int = 1
    pool: int = 0
    bias: bool = False

    def __post_init__(self) -> None:
        check_one_of("variant", self.variant, get_args(Variant))
        check_least(self, heads=1, pool=0)

    def canonical(self) -> "Attention":
        return replace(self, bias=self.bias and self.has_out)

    def at(self, shape: Shape) -> "Attention":
        usual = replace(self.canonical(), pool=0)
        simple = usual if usual.window(shape) == self.window(shape) else self.canonical()
        return replace(simple, heads=1) if self.has_out and _keys(shape, self.window(shape)) == 1 else simple

    @property
    def has_out(self) -> bool:
        """Whether there is a map after the heads."""
        return self.variant in ("full", "sym")

    @property
    def symmetric(self) -> bool:
        """Whether queries and keys are made by the same map."""
        return self.variant in ("sym", "chol")

    def weights(self) -> frozenset[Weights]:
        return frozenset(("spatial",) if self.variant in ("qk", "chol") else ("spatial", "channel"))

    def label(self) -> str:
        heads = f" h{self.heads}" if self.heads > 1 else ""
        bias = " bias" if self.bias else ""
        return f"attention {self.variant}{heads}" + (f" pool{self.pool}" if self.pool else "") + bias

    def window(self, shape: Shape) -> tuple[int, int]:
        """Height and width of the windows of keys and values.

        Raises:
            ValueError: if the heads do not divide the channels, or a window is larger than the grid.
        """
        channels, height, width = shape
        check_groups(self.heads, channels, name="heads")
        if self.pool > min(height, width):
            raise ValueError(f"pool must be at most the sides of the grid, got pool={self.pool} for input {shape}.")
        side = self.pool or 1
        if not self.pool and height * width > MOST_TOKENS:
            side = next(s for s in range(2, height * width) if _keys(shape, (s, s)) <= MOST_KEYS)
        return min(side, height), min(side, width)

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        window, heads = self.window(shape), self.heads
        channels, tokens, keys = shape[0], shape[1] * shape[2], _keys(shape, window)
        size, pooled, square, scores = channels * tokens, channels * keys, channels**2, heads * tokens * keys
        spatial, channel, smaller = freeze != "chans", freeze != "space", window != (1, 1)
        # Widths in multiples of C; the collapsed variants compare with the pooled tokens themselves.
        collapsed, out = self.variant in ("qk_vo", "qk"), self.has_out
        query = 1 if out else heads
        key = query if self.variant == "full" or (self.symmetric and smaller) else 0
        value = {"qk_vo": heads, "qk": 0, "chol": 0}.get(self.variant, 1)
        added = heads if self.variant == "qk_vo" else 1

        qk = heads * (square + channels) // 2 if self.variant == "chol" else query * square
        qk += square if self.variant == "full" else 0
        vo = (value + out) * square + (channels if out and self.bias else 0)
        macs = square * (query * tokens + (key + value) * keys + out * tokens)
        macs += size * keys * ((heads if collapsed or self.variant == "chol" else 1) + added)
        work = query * size + (key * pooled if self.symmetric else 0) + 5 * scores
        work += (pooled * math.prod(window) if smaller else 0) + (added * size if added > 1 else 0)

        # Kept: queries, keys, scores and values; heads of the pooled tokens are copies unless there is one.
        kept = query * size + key * pooled + scores + (value or heads > 1) * pooled
        kept += (heads * pooled if collapsed and heads > 1 else 0) + (size if out and channel else 0)
        mapped = (key and spatial) or (value and channel)
        plain = heads == 1 and not out
        kept += pooled if smaller and (mapped or plain) else 0
        kept += size if smaller or spatial or mapped or plain else 0
        return Cost(
            macs=macs,
            macs_executed=macs,
            elementwise_flops=work,
            parameters=qk + vo,
            trainable_parameters=(qk if spatial else 0) + (vo if channel else 0),
            activations=kept,
            kept_once=heads * square if self.variant == "chol" else 0,
        )

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "variant": get_args(Variant),
            "heads": tuple(h for h in (1, 2, 4, 8) if shape[0] % h == 0),
            "pool": tuple(p for p in (0, 2, 4) if 2 * p <= min(shape[1:])),
            "bias": (False, True),
        }

    def build(self, shape: Shape) -> "Attending":
        return Attending(shape, self)


def _keys(shape: Shape, window: tuple[int, int]) -> int:
    return math.ceil(shape[1] / window[0]) * math.ceil(shape[2] / window[1])


def _linear(inputs: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    """A linear map whose weights start with variance 1 / inputs, and whose offsets start at 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Triangular(nn.Module):
    """``heads`` lower triangular matrices, by their entries that are not zero."""

    places: Tensor

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.channels = channels
        columns, rows = torch.triu_indices(channels, channels)  # of the transposed matrices
        self.register_buffer("places", columns * channels + rows, persistent=False)
        self.entries = nn.Parameter(channels**-0.5 * torch.randn(heads, len(rows)))

    @property
    def weight(self) -> Tensor:
        """The transposed matrices one below the other, as the weight of a linear map."""
        heads, channels = len(self.entries), self.channels
        zeros = self.entries.new_zeros(heads, channels * channels)
        return zeros.scatter(1, self.places.expand(heads, -1), self.entries).view(heads * channels, channels)


class Attending(Mixer):
    """Module of `Attention`."""

    def __init__(self, shape: Shape, config: Attention) -> None:
        super().__init__()
        channels, heads, variant = shape[0], config.heads, config.variant
        self.heads, self.symmetric, self.adds = heads, config.symmetric, variant == "qk_vo"
        self.scale = (channels / heads) ** (-0.25 if config.symmetric else -0.5)  # of queries and keys alike, or not
        window = config.window(shape)
        self.window = None if window == (1, 1) else window
        wide = channels if config.has_out else heads * channels
        self.query = Triangular(channels, heads) if variant == "chol" else _linear(channels, wide)
        self.key = _linear(channels, channels) if variant == "full" else None
        self.value = _linear(channels, wide) if variant in ("full", "sym", "qk_vo") else None
        self.out = _linear(channels, channels, bias=config.bias) if config.has_out else None

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        # Contiguous once: each linear map would copy other rows. No copy if x is channels last.
        tokens = x.flatten(2).transpose(1, 2).contiguous()  # (B, N, C)
        pooled = tokens
        if self.window:
            image = tokens.transpose(1, 2).view(batch, channels, height, width)
            means = F.avg_pool2d(image, self.window, self.window, ceil_mode=True)
            pooled = means.flatten(2).transpose(1, 2).contiguous()  # (B, M, C)
        weight = self.query.weight
        queries = self._per_head(F.linear(tokens, weight) * self.scale)
        keys = queries
        if not self.symmetric:
            # Without a map of their own, the pooled tokens are the keys of every head.
            every = pooled.repeat(1, 1, self.heads) if self.heads > 1 else pooled
            keys = self._per_head(self.key(pooled) if self.key else every)
        elif self.window:
            keys = self._per_head(F.linear(pooled, weight) * self.scale)
        scores = torch.bmm(queries, keys.transpose(1, 2)).softmax(-1)  # (B heads, N, M)
        values = self._per_head(self.value(pooled) if self.value else pooled)
        mixed = torch.bmm(scores, values).view(batch, self.heads, height * width, -1)
        if self.adds and self.heads > 1:
            mixed = mixed.sum(1, keepdim=True)
        y = mixed.transpose(1, 2).flatten(2)  # (B, N, C)
        # Of rows: offsets then cost no pass of their own.
        y = self.out(y.flatten(0, 1)).view_as(y) if self.out else y
        return y.transpose(1, 2).view(batch, channels, height, width)

    def _per_head(self, wide: Tensor) -> Tensor:
        """(B, N, heads d) to (B heads, N, d)."""
        return wide.view(*wide.shape[:2], self.heads, -1).transpose(1, 2).flatten(0, 1)

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return (p for layer in (self.query, self.key) if layer for p in layer.parameters())

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return (p for layer in (self.value, self.out) if layer for p in layer.parameters())

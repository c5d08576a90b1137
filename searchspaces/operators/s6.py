"""Selective state spaces over the grid, ``(B, C, H, W) -> (B, C, H, W)``: the token mixer of MambaMixer (2403.19888).

The tokens are scanned along rows and columns, forward and backward (`searchspaces.layers.scan`); what is written into
the states and how fast they decay depends on the token. The scan is not a matrix product: its decays and sums count as
element-wise operations, only the reading of the states as multiply-accumulates.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost, convolution, elementwise, layer_norm, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.norms import LayerNorm
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.layers.scan import selective_scan, selective_scan_cost
from searchspaces.layers.transforms import full_precision, uncast
from searchspaces.registry import check_least, check_one_of

DIRECTIONS = (1, 2, 4)


@spec("s6")
@dataclass(frozen=True)
class SelectiveScan(TokenMixer):
    """``y = Wout (LN(sum_k scan_k(u)) * SiLU(z))`` with ``u, z = Win x``, u then SiLU(DW(u)), E = expansion C channels.

    Each direction k has ``delta, b, c = Wx u``, step sizes softplus(Wd delta + bias) from delta of rank ceil(C / 16),
    negative decays A and a factor D: ``h_t = exp(step_t A) h_(t-1) + step_t b_t u_t``, then ``c_t h_t + D u_t``.

    Args:
        states: of each channel.
        expansion: inner channels for each channel.
        directions: 1: along the rows; 2: along the rows, forward and backward; 4: along the columns too.
        kernel: side of the depthwise convolution, odd.
    """

    states: int = 16
    expansion: int = 2
    directions: int = 4
    kernel: int = 3

    def __post_init__(self) -> None:
        check_least(self, states=1, expansion=1)
        check_one_of("directions", self.directions, DIRECTIONS)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel of s6 must be odd, got {self.kernel}. Take 3 or 5.")

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        words = [f"x{self.expansion}"] if self.expansion != 2 else []
        words += [f"dw{self.kernel}"] if self.kernel != 3 else []
        return " ".join([f"s6 n{self.states} k{self.directions}", *words])

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, tokens, states, ways = shape[0], shape[1] * shape[2], self.states, self.directions
        inner, rank, taps = self.expansion * channels, math.ceil(channels / 16), self.kernel**2
        size, spatial, channel = inner * tokens, freeze != "chans", freeze != "space"
        read = rank + 2 * states  # numbers that each token decides by
        total = convolution(2 * channels * size, 2 * channels * inner, channels * tokens, trained=channel)
        total += convolution(taps * size, (taps + 1) * inner, size, trained=spatial)
        total += elementwise(2 * size, kept=2 * size)  # SiLU of both halves
        for _ in range(ways):
            total += linear(read * size, read * inner, size, trained=spatial)
            total += linear(rank * size, rank * inner + inner, read * tokens, trained=spatial)
            total += elementwise(size, kept=2 * size)  # step sizes
            total += selective_scan_cost(tokens, inner, states)
        decays = ways * inner * states
        scans = decays + ways * inner
        total += Cost(
            elementwise_flops=(ways - 1) * size + 2 * size + 2 * decays + ways * inner,
            parameters=scans,
            trainable_parameters=scans if spatial else 0,
            activations=size if spatial else ways * (size + read * tokens),
            kept_once=(2 if spatial else 1) * decays + inner,
        )
        total += layer_norm(inner, tokens) + elementwise(size, kept=2 * size)
        return total + convolution(channels * size, channels * inner, size, trained=channel)

    def weight_operations(self, channels: int) -> int:
        """Of the element-wise operations in `cost`, those on weights alone: decays and factors of D, once a pass."""
        scans = self.directions * self.expansion * channels
        return 2 * scans * self.states + scans

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"states": (4, 8, 16), "expansion": (1, 2), "directions": DIRECTIONS, "kernel": (3, 5)}

    def build(self, shape: Shape) -> "Scanning":
        return Scanning(shape[0], self)


class Directions(nn.Module):
    """The scans of all directions, added, with D u: ``(B, H, W, E) -> (B, H, W, E)``."""

    def __init__(self, channels: int, rank: int, config: SelectiveScan) -> None:
        super().__init__()
        ways, states = config.directions, config.states
        self.sizes = [rank, states, states]
        self.read = nn.Parameter(channels**-0.5 * torch.randn(ways, channels, rank + 2 * states))
        self.widen = nn.Parameter(rank**-0.5 * (2 * torch.rand(ways, rank, channels) - 1))
        # Step sizes start between 0.001 and 0.1: the inverse of softplus of logarithmically uniform values.
        steps = torch.exp(math.log(1e-3) + math.log(100) * torch.rand(ways, 1, channels))
        self.bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))
        decays = torch.arange(1, states + 1, dtype=torch.get_default_dtype()).log()
        self.decays = nn.Parameter(decays[None, :, None].repeat(ways, 1, channels))
        self.skip = nn.Parameter(torch.ones(ways, channels))

    def forward(self, u: Tensor) -> Tensor:
        batch, height, width, channels = u.shape
        ways, size = len(self.skip), (batch, height * width)
        forward = [u.flatten(1, 2), u.transpose(1, 2).flatten(1, 2)][: max(1, ways // 2)]  # rows, columns: (B, N, E)
        sequences = torch.stack(forward)
        if ways > 1:
            sequences = torch.cat([sequences, sequences.flip(2)])  # (K, B, N, E)
        read = torch.bmm(sequences.flatten(1, 2), self.read)  # (K, B N, R + 2 S)
        rank, b, c = torch.split(read, self.sizes, 2)
        steps = F.softplus(torch.baddbmm(self.bias, rank, self.widen)).view_as(sequences)
        b, c = (part.view(ways, *size, -1) for part in (b, c))
        y = selective_scan(steps, sequences, b, c, -self.decays.exp())
        if ways > 1:
            y = y[: ways // 2] + y[ways // 2 :].flip(2)
        total: Tensor = u * self.skip.sum(0) + y[0].view_as(u)
        return total + y[1].view(batch, width, height, channels).transpose(1, 2) if ways == 4 else total


class Scanning(Mixer):
    """Module of `SelectiveScan`."""

    def __init__(self, channels: int, config: SelectiveScan) -> None:
        super().__init__()
        inner = config.expansion * channels
        self.inward = Conv1x1(channels, 2 * inner, bias=False)
        self.depthwise = nn.Conv2d(inner, inner, config.kernel, padding=config.kernel // 2, groups=inner)
        self.scans = Directions(inner, math.ceil(channels / 16), config)
        self.norm = LayerNorm(inner, eps=1e-6)
        self.outward = Conv1x1(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        u, z = self.inward(x).chunk(2, 1)
        u = F.silu(self.depthwise(u))
        with uncast(u):
            mixed = self.scans(full_precision(u).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y: Tensor = self.outward(self.norm(mixed) * F.silu(z))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        """The depthwise convolution and all of the scans."""
        return (*self.depthwise.parameters(), *self.scans.parameters())

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return (*self.inward.parameters(), *self.outward.parameters())

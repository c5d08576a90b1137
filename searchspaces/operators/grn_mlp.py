"""Channel MLP with global response normalisation, ``(B, C, H, W) -> (B, C, H, W)``: Strip-MLP's (2307.11458)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, Weights, spec
from searchspaces.costs import Cost, convolution, elementwise, layer_norm
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.mlps import pointwise_mlp_cost
from searchspaces.layers.norms import LayerNorm
from searchspaces.layers.permutations import hidden_units
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.layers.transforms import uncast
from searchspaces.registry import check_odd, check_positive

EPS = 1e-6


@spec("grn_mlp")
@dataclass(frozen=True)
class GrnMlp(ChannelMixer):
    """``W2 GRN(GELU(W1 LN(DW(x))))``; the depthwise filters are spatial parameters.

    GRN(h) = gamma h n + beta + h for every channel, n its norm over the image divided by the mean norm of the channels
    (2301.00808). Both factors start at 0, where it does nothing. As a norm it trains under every freeze pattern.

    Args:
        expansion: hidden channels over channels; published: 3.
        kernel: side of the depthwise filters, odd.
        bias: offsets after the depthwise filters.
    """

    expansion: float = 3.0
    kernel: int = 7
    bias: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "expansion")
        check_odd(self, "kernel")

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def label(self) -> str:
        return f"grn_mlp x{self.expansion:g} dw{self.kernel}" + (" bias" if self.bias else "")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (0.5, 2.0, 3.0, 4.0), "kernel": (3, 5, 7), "bias": (False, True)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions, taps = shape[0], shape[1] * shape[2], self.kernel**2
        hidden, size = hidden_units(channels, self.expansion), channels * positions
        weights = (taps + self.bias) * channels
        filters = convolution(taps * size, weights, size, trained=freeze != "chans")
        # Its norm, its factor for each channel, and one pass over the elements.
        response = elementwise(2 * hidden * positions + 4 * hidden + 1, kept=hidden * positions + 3 * hidden + 1)
        response += Cost(parameters=2 * hidden, trainable_parameters=2 * hidden)
        mlp = pointwise_mlp_cost(shape, hidden, trained=freeze != "space")
        return filters + layer_norm(channels, positions) + mlp + response

    def build(self, shape: Shape) -> "RespondingMlp":
        return RespondingMlp(shape[0], self)


class GlobalResponse(nn.Module):
    """Global response normalisation of ``(B, C, H, W)``; in half precision its norms are sums in float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        exact = torch.float32 if x.element_size() < 4 else x.dtype
        with uncast(x):  # which would copy x
            norms = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=exact)  # (B, C, 1, 1)
        share = norms / (norms.mean(1, keepdim=True) + EPS)
        # One pass over x: gamma x n + beta + x is (1 + gamma n) x + beta.
        return torch.addcmul(self.beta.to(x.dtype), x, (1 + self.gamma * share).to(x.dtype))


class RespondingMlp(Mixer):
    """Module of `GrnMlp`."""

    def __init__(self, channels: int, config: GrnMlp) -> None:
        super().__init__()
        hidden, kernel = hidden_units(channels, config.expansion), config.kernel
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=config.bias)
        self.norm = LayerNorm(channels, eps=1e-6)
        self.expand, self.reduce = Conv1x1(channels, hidden), Conv1x1(hidden, channels)
        self.response = GlobalResponse(hidden)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.reduce(self.response(F.gelu(self.expand(self.norm(self.depthwise(x))))))
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.depthwise.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return [*self.expand.parameters(), *self.reduce.parameters()]

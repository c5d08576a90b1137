"""Channel MLP whose weights are powers of two, ``(B, C, H, W) -> (B, C, H, W)``: ShiftAddViT's (2306.06446).

A product with such a weight is a shift of bits. No device that PyTorch knows has that instruction for floats, so the
shifts count, and take the time of, multiply-accumulates.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.costs import Cost, elementwise, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.permutations import hidden_units
from searchspaces.registry import check_one_of, check_positive

BITS = (2, 3, 4, 5, 6)


@spec("shift_mlp")
@dataclass(frozen=True)
class ShiftMlp(ChannelMixer):
    """``s(W2) GELU(s(W1) x)`` with biases, ``s(w) = sign(w) 2^round(log2 |w|)``.

    The exponents are cut to what the bits hold; the gradient of s(w) passes to w as it is.

    Args:
        expansion: hidden channels over channels.
        bits: of a weight: one for the sign, the others for the exponents 0, -1, ...; published: 5, down to -15.
    """

    expansion: float = 4.0
    bits: int = 5

    def __post_init__(self) -> None:
        check_positive(self, "expansion")
        check_one_of("bits", self.bits, BITS)

    def label(self) -> str:
        return f"shift_mlp x{self.expansion:g} {self.bits} bits"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"expansion": (0.5, 2.0, 4.0), "bits": (3, 4, 5)}

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions, trained = shape[0], shape[1] * shape[2], freeze != "space"
        hidden = hidden_units(channels, self.expansion)
        weights, inner = hidden * channels, hidden * positions
        up = linear(weights * positions, weights + hidden, channels * positions, trained=trained)
        down = linear(weights * positions, weights + channels, inner, trained=trained)
        rounding = Cost(elementwise_flops=2 * 8 * weights, kept_once=2 * weights)
        return up + elementwise(inner, kept=inner) + down + rounding

    def build(self, shape: Shape) -> "Shifting":
        return Shifting(shape[0], self)


class _Power(torch.autograd.Function):
    """The power of two that is nearest to each weight, on a logarithmic scale; its gradient is passed on as it is."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, lowest: int) -> Tensor:
        power = torch.exp2(weight.abs().log2().round().clamp(lowest, 0))
        return torch.where(torch.signbit(weight), -power, power)  # ONNX has no copysign

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def power_of_two(weight: Tensor, bits: int) -> Tensor:
    """Signed powers of two near ``weight`` that fit into so many bits, straight through for the gradient."""
    power: Tensor = _Power.apply(weight, 1 - 2 ** (bits - 1))  # type: ignore[no-untyped-call]
    return power


class Shifting(Mixer):
    """Module of `ShiftMlp`."""

    def __init__(self, channels: int, config: ShiftMlp) -> None:
        super().__init__()
        hidden = hidden_units(channels, config.expansion)
        self.bits = config.bits
        self.up, self.down = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        for layer in (self.up, self.down):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C); no copy if x is channels last
        up, down = (power_of_two(layer.weight, self.bits) for layer in (self.up, self.down))
        hidden = F.gelu(F.linear(rows, up, self.up.bias))
        return F.linear(hidden, down, self.down.bias).permute(0, 3, 1, 2)

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.parameters()

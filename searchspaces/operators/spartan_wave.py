"""SpaRTAN's wave-based channel mixer, ``(B, C, H, W) -> (B, C, H, W)``: a gated product whose channels are waves.

Source: SpaRTAN, 2507.10999, channel mixer; what the paper leaves open follows the released code. W_c is stored as
(N/2, 2) and multiplied in real arithmetic: that exports, takes bfloat16 and, unlike a parameter of five dimensions,
leaves channels-last possible. The 3x3 convolution is the spatial parameter, whatever its groups; the 1x1 convolutions,
W_c and the channel gate are the channel parameters.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, Weights, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.gates import SqueezeExcitation, squeeze_excitation_cost
from searchspaces.layers.initialization import fan_out_normal
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_one_of

Phase = Literal["gelu", "identity", "sincos", "wave_mlp"]
Pairs = Literal["normal", "one", "unit", "off"]
WaveConv = Literal["depthwise", "grouped", "full"]


@spec("spartan_wave")
@dataclass(frozen=True)
class SpartanWave(ChannelMixer):
    """SpaRTAN's channel mixer; its input is normalised by the block. With N = r C::

        i*(b, y, x) = argmax_c X[b, c, y, x]                     over the C inputs; no gradient through the index
        T = phase(Conv1x1(X)),  A = Conv1x1(X)                   C -> N, bias; phase is GELU, the linear approximation
        F = A T + A[i*] T[i*]                                    the gathered map, one channel, is added to all N
        F'[2k] + j F'[2k+1] = W_c[k] (F[2k] + j F[2k+1])         neighbouring channels are real and imaginary part
        Y = Conv1x1(SE(GELU(BN(Conv3x3(F')))))                   N -> C; the gate's hidden width is C // 4

    The index is below C while N > C channels are gathered from: only the first C can be the greatest (released code).

    Args:
        expansion: r, hidden channels over channels, N rounded to even where channels come in pairs; the paper's code
            takes 4 in the early stages, 2 in the late ones.
        phase: from the phase convolution to T: ``gelu``; ``sincos``, the paper's first form in our reading, theta =
            Conv1x1(X), T[2k] = cos theta[2k], T[2k+1] = sin theta[2k+1]; ``identity``; ``wave_mlp``, ReLU(BN(.)),
            Wave-MLP's phase estimator (2111.12294) in place of GELU.
        fmax: add the greatest channel's product to all.
        wc: start of the complex weights: real and imaginary part N(0, 1), 1 + 0j, or a random angle at modulus 1;
            ``off`` for no complex weights.
        conv: the 3x3 convolution's groups: N (``depthwise``), C (``grouped``) or 1 (``full``).
    """

    expansion: float = 2.0
    phase: Phase = "gelu"
    fmax: bool = True
    wc: Pairs = "normal"
    conv: WaveConv = "depthwise"

    def __post_init__(self) -> None:
        check_one_of("phase", self.phase, get_args(Phase))
        check_one_of("wc", self.wc, get_args(Pairs))
        check_one_of("conv", self.conv, get_args(WaveConv))
        if not 2 <= self.expansion < math.inf:
            raise ValueError(f"expansion must be at least 2, got {self.expansion:g}. Usual: 2, 3, 4.")

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    @property
    def paired(self) -> bool:
        """Whether hidden channels come in pairs, so that their number must be even."""
        return self.wc != "off" or self.phase == "sincos"

    def label(self) -> str:
        phase = "" if self.phase == "gelu" else f" {self.phase}"
        fmax = "" if self.fmax else " no fmax"
        wc = {"normal": "", "off": " no wc"}.get(self.wc, f" wc {self.wc}")
        return f"spartan_wave r{self.expansion:g} {self.conv}{phase}{fmax}{wc}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "expansion": (2.0, 3.0, 4.0),
            "phase": get_args(Phase),
            "fmax": (True, False),
            "wc": get_args(Pairs),
            "conv": get_args(WaveConv),
        }

    def hidden(self, channels: int) -> int:
        """N, hidden channels of a mixer of ``channels`` input channels."""
        return 2 * round(self.expansion * channels / 2) if self.paired else round(self.expansion * channels)

    def groups(self, channels: int) -> int:
        """Groups of the 3x3 convolution of a mixer of ``channels`` input channels.

        Raises:
            ValueError: if there are too few channels, or their groups differ in size.
        """
        hidden = self.hidden(channels)
        if channels < 4 or (self.conv == "grouped" and hidden % channels):
            raise ValueError(
                f"spartan_wave needs at least 4 channels, and as many hidden ones in each group of a grouped conv, "
                f"got {channels} channels, {hidden} hidden. Other values of conv take any expansion."
            )
        return {"depthwise": hidden, "grouped": channels, "full": 1}[self.conv]

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        hidden = self.hidden(channels)
        size, weights = hidden * positions, channels * hidden
        spatial, mixing = freeze != "chans", freeze != "space"
        total = convolution(2 * weights * positions, 2 * (weights + hidden), channels * positions, trained=mixing)
        total += elementwise(size, kept=2 * size)  # the product keeps A and T
        if self.phase == "wave_mlp":
            total += batch_norm(hidden, positions) + elementwise(size)
        elif self.phase != "identity":
            total += elementwise(size, kept=size)
        if self.fmax:
            total += elementwise(size + positions, kept=4 * positions)  # the index takes 8 bytes a position
        if self.wc != "off":
            total += elementwise(3 * size, kept=size if mixing else 0)
            total += Cost(parameters=hidden, trainable_parameters=hidden if mixing else 0)
        filters = 9 * hidden * hidden // self.groups(channels)
        total += convolution(filters * positions, filters, size, trained=spatial)
        total += batch_norm(hidden, positions) + elementwise(size, kept=size)
        total += squeeze_excitation_cost(hidden, channels // 4, positions, trained=mixing)
        return total + convolution(weights * positions, weights + channels, size, trained=mixing)

    def build(self, shape: Shape) -> "WaveMixer":
        return WaveMixer(shape[0], self)


class WaveMixer(Mixer):
    """Module of `SpartanWave`."""

    def __init__(self, channels: int, config: SpartanWave) -> None:
        super().__init__()
        hidden = config.hidden(channels)
        self.estimator, self.fmax = config.phase, config.fmax
        self.phase, self.amplitude = Conv1x1(channels, hidden), Conv1x1(channels, hidden)
        self.phase_norm = nn.BatchNorm2d(hidden, eps=1e-6) if config.phase == "wave_mlp" else nn.Identity()
        self.pairs = None if config.wc == "off" else nn.Parameter(complex_weights(config.wc, hidden // 2))
        self.conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=config.groups(channels), bias=False)
        self.norm = nn.BatchNorm2d(hidden, eps=1e-6)
        self.gate = SqueezeExcitation(hidden, channels // 4)
        self.reduce = Conv1x1(hidden, channels)
        fan_out_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.reduce(self.gate(F.gelu(self.norm(self.conv(self.waves(x))))))
        return y

    def waves(self, x: Tensor) -> Tensor:
        """F', the waves before the 3x3 convolution: (B, N, H, W)."""
        a, t = self.amplitude(x), self.phases(self.phase(x))
        waves: Tensor = a * t
        if self.fmax:
            greatest = x.argmax(1, keepdim=True)  # (B, 1, H, W)
            waves = waves + a.gather(1, greatest) * t.gather(1, greatest)
        return waves if self.pairs is None else multiply_pairs(waves, self.pairs)

    def phases(self, theta: Tensor) -> Tensor:
        """T, computed from the output ``theta`` of the phase convolution."""
        if self.estimator == "sincos":
            pairs = torch.stack((theta[:, 0::2].cos(), theta[:, 1::2].sin()), 2)  # (B, N / 2, 2, H, W)
            return pairs.flatten(1, 2)
        if self.estimator == "wave_mlp":
            return F.relu(self.phase_norm(theta))
        return F.gelu(theta) if self.estimator == "gelu" else theta

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.conv.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        pairs = [] if self.pairs is None else [self.pairs]
        layers = (self.phase, self.amplitude, self.gate, self.reduce)
        return [*pairs, *(p for layer in layers for p in layer.parameters())]


def complex_weights(start: Pairs, number: int) -> Tensor:
    """(number, 2): real and imaginary parts of the complex weights at the start of training."""
    if start == "normal":
        return torch.randn(number, 2)
    angle = 2 * math.pi * torch.rand(number) if start == "unit" else torch.zeros(number)
    return torch.stack((angle.cos(), angle.sin()), 1)


def multiply_pairs(x: Tensor, weights: Tensor) -> Tensor:
    """Channels 2k and 2k+1 of (B, 2K, H, W) as real and imaginary part, times complex weight k of (K, 2).

    The result is channels last: the channels of a pair are neighbours in that layout.
    """
    batch, channels, height, width = x.shape
    re, im = x.permute(0, 2, 3, 1).view(batch, height, width, channels // 2, 2).unbind(4)  # (B, H, W, K) each
    a, b = weights[:, 0], weights[:, 1]
    return torch.stack((re * a - im * b, re * b + im * a), 4).flatten(3).permute(0, 3, 1, 2)

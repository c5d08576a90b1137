"""SpaRTAN's spatial mixer as a token mixer, ``(B, C, H, W) -> (B, C, H, W)``: two dilated branches at half width.

Source: SpaRTAN, 2507.10999, spatial mixer; what the paper leaves open follows the released code. Spatial parameters are
the k x k convolutions and g, which weighs the difference from the mean over positions, channel by channel. A full k x k
convolution mixes channels too, but counts as spatial because it is what the paper varies to mix positions. The 1x1
convolutions and the channel gate are the channel parameters.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, Weights, spec
from searchspaces.costs import Cost, batch_norm, convolution, elementwise
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.gates import SqueezeExcitation, squeeze_excitation_cost
from searchspaces.layers.initialization import fan_out_normal
from searchspaces.layers.pointwise import Conv1x1
from searchspaces.registry import check_one_of

Branches = Literal["h", "l", "hl"]
MixerConv = Literal["full", "depthwise"]


@spec("spartan_mixer")
@dataclass(frozen=True)
class SpartanMixer(TokenMixer):
    """SpaRTAN's spatial mixer; its input is normalised by the block. With h = C // 2::

        P  = Conv1x1(X), C -> h                              bias
        Z  = P + g * (P - mean(P))                           feature decomposition, g one factor a channel
        Hf = SE(GELU(BN(Conv(Z))))                           dilation 1
        Lf = SE(GELU(BN(Conv(Conv(Z)))))                     dilated; nothing between the convolutions
        Y  = Conv1x1(concat[Hf, Lf]), -> C                   bias

    Both branches read all of Z. Two 3x3 convolutions of dilation 2 see 9x9 positions, but only those at even offsets:
    the odd ones come through the other branch.

    Args:
        branches: ``h`` (high frequencies, one convolution), ``l`` (low frequencies, dilated stack), or both.
        kernel: side of all k x k convolutions, odd, in positions.
        dilation, l_stack: distance between taps and number of convolutions in the ``l`` branch.
        conv: ``full`` in the early stages of the paper, ``depthwise`` in the late ones.
        fd: feature decomposition, Z instead of P.
        se: width of each branch over the hidden width of its channel gate; 0 for no gate.
    """

    branches: Branches = "hl"
    kernel: int = 3
    dilation: int = 2
    l_stack: int = 2
    conv: MixerConv = "depthwise"
    fd: bool = True
    se: int = 4

    def __post_init__(self) -> None:
        check_one_of("branches", self.branches, get_args(Branches))
        check_one_of("conv", self.conv, get_args(MixerConv))
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd and at least 3, got {self.kernel}. Usual: 3, 5, 7.")
        if min(self.dilation, self.l_stack) < 1 or self.se < 0:
            raise ValueError(
                f"dilation and l_stack must be at least 1 and se at least 0, "
                f"got dilation={self.dilation}, l_stack={self.l_stack}, se={self.se}."
            )

    def weights(self) -> frozenset[Weights]:
        return frozenset({"spatial", "channel"})

    def canonical(self) -> "SpartanMixer":
        # One plain convolution is the same branch by either name.
        single = self.branches == "h" or (self.branches == "l" and self.l_stack == self.dilation == 1)
        return replace(self, branches="h", dilation=2, l_stack=2) if single else self

    def label(self) -> str:
        stack = "" if self.branches == "h" else f" {self.l_stack}xd{self.dilation}"
        fd = "" if self.fd else " no fd"
        se = {4: "", 0: " no se"}.get(self.se, f" se{self.se}")
        return f"spartan_mixer {self.branches} {self.conv}{self.kernel}{stack}{fd}{se}"

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "branches": get_args(Branches),
            "kernel": (3, 5, 7),
            "dilation": (1, 2, 3),
            "l_stack": (1, 2, 3),
            "conv": get_args(MixerConv),
            "fd": (True, False),
            "se": tuple(se for se in (4, 8, 0) if se <= shape[0] // 2),
        }

    def stacks(self) -> tuple[tuple[int, int], ...]:
        """(number of convolutions, dilation) of each branch."""
        return tuple((1, 1) if branch == "h" else (self.l_stack, self.dilation) for branch in self.branches)

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        channels, positions, half = shape[0], shape[1] * shape[2], self._half(shape)
        size, width = half * positions, half * len(self.branches)
        spatial, mixing = freeze != "chans", freeze != "space"
        filters = half * (half if self.conv == "full" else 1) * self.kernel**2
        total = convolution(positions * channels * half, channels * half + half, channels * positions, trained=mixing)
        if self.fd:
            total += elementwise(4 * size, kept=size if spatial else 0)
            total += Cost(parameters=half, trainable_parameters=half if spatial else 0)
        for branch, (stack, _) in enumerate(self.stacks()):
            inputs = size * stack if branch == 0 else size * (stack - 1)  # both branches keep the one Z
            total += convolution(positions * filters * stack, filters * stack, inputs, trained=spatial)
            total += batch_norm(half, positions) + elementwise(size, kept=size)
            if self.se:
                total += squeeze_excitation_cost(half, half // self.se, positions, trained=mixing)
        inputs = width * positions
        return total + convolution(inputs * channels, width * channels + channels, inputs, trained=mixing)

    def build(self, shape: Shape) -> "SpatialMixer":
        self._half(shape)
        return SpatialMixer(shape[0], self)

    def _half(self, shape: Shape) -> int:
        """Channels of a branch.

        Raises:
            ValueError: if they are too few for the gate, with the values of ``se`` that they are enough for.
        """
        half = shape[0] // 2
        if half < max(self.se, 1):
            raise ValueError(
                f"spartan_mixer needs at least {2 * max(self.se, 1)} channels for se={self.se}, got input {shape}. "
                f"se can be 0{f' to {half}' if half else ', with 2 channels or more'}."
            )
        return half


class SpatialMixer(Mixer):
    """Module of `SpartanMixer`."""

    def __init__(self, channels: int, config: SpartanMixer) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = Conv1x1(channels, half)
        self.gain = nn.Parameter(torch.full((half, 1, 1), 1e-5)) if config.fd else None
        self.branches = nn.ModuleList(_branch(half, config, stack, dilation) for stack, dilation in config.stacks())
        self.mix = Conv1x1(half * len(self.branches), channels)
        fan_out_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        z = self.reduce(x)
        if self.gain is not None:
            z = z + self.gain * (z - z.mean((2, 3), keepdim=True))
        outputs = [branch(z) for branch in self.branches]
        y: Tensor = self.mix(torch.cat(outputs, 1) if len(outputs) > 1 else outputs[0])
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        gain = [] if self.gain is None else [self.gain]
        return [*gain, *(p for m in self.branches.modules() if isinstance(m, nn.Conv2d) for p in m.parameters())]

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        gates = [m for m in self.branches.modules() if isinstance(m, SqueezeExcitation)]
        return [p for m in (self.reduce, *gates, self.mix) for p in m.parameters()]


def _branch(width: int, config: SpartanMixer, stack: int, dilation: int) -> nn.Sequential:
    groups, padding = 1 if config.conv == "full" else width, dilation * (config.kernel // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(width, width, config.kernel, padding=padding, dilation=dilation, groups=groups, bias=False)
        for _ in range(stack)
    ]
    layers += [nn.BatchNorm2d(width, eps=1e-6), nn.GELU()]
    return nn.Sequential(*layers, *([SqueezeExcitation(width, width // config.se)] if config.se else []))

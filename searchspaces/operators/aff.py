"""Adaptive frequency filter, ``(B, C, H, W) -> (B, C, H, W)``: factors of the spectrum that the image itself decides.

Source: AFFNet (2307.14008). It adds its input to the output and starts as nearly nothing else; here the block has the
residual, and the filter starts near the identity instead: near zero, softshrink would stop most gradients. Circular
shifts of the image do not shift the output unless the mask reads magnitudes only.

The mask mixes channels to decide over frequencies: all of it counts as spatial.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor, nn

from searchspaces.architecture import Shape, TokenMixer, spec
from searchspaces.costs import Cost
from searchspaces.freezing import Freeze, Mixer
from searchspaces.layers.groups import check_groups, most_groups
from searchspaces.layers.transforms import FrequencyMask, frequency_mask_cost
from searchspaces.registry import check_least, check_one_of

MaskActivation = Literal["relu", "gelu", "silu"]
Reading = Literal["complex", "magnitude"]

USUAL_BLOCKS = 8


@spec("aff")
@dataclass(frozen=True)
class AdaptiveFilter(TokenMixer):
    """``y = irfft2(M * X)``, X = rfft2(x), with a mask M = softshrink(W2 act(W1 X + b1) + b2) of complex maps.

    Args:
        blocks: of the block-diagonal maps; must divide the channels. 0: 8, or less if 8 does not divide them.
        expansion: hidden channels for each channel.
        shrink: threshold of softshrink; 0 for none.
        activation: on real and imaginary parts.
        residual: add x, as published, with a mask that starts near 0 in place of 1.
        reads: what the mask is a function of: X, or its magnitude.
        start: standard deviation of weights and biases at the start; published: 0.02. A frozen mask needs more.
    """

    blocks: int = 0
    expansion: int = 1
    shrink: float = 0.01
    activation: MaskActivation = "relu"
    residual: bool = False
    reads: Reading = "complex"
    start: float = 0.02

    def __post_init__(self) -> None:
        check_least(self, blocks=0, expansion=1, shrink=0, start=1e-6)
        if self.shrink >= 1:
            raise ValueError(f"shrink must be below 1, where the mask starts, got {self.shrink:g}: nothing would pass.")
        check_one_of("activation", self.activation, get_args(MaskActivation))
        check_one_of("reads", self.reads, get_args(Reading))

    def label(self) -> str:
        words = [f"b{self.blocks}"] if self.blocks else []
        words += [f"x{self.expansion}"] if self.expansion > 1 else []
        words += [f"shrink{self.shrink:g}"] if self.shrink != AdaptiveFilter.shrink else []
        words += [self.activation] if self.activation != "relu" else []
        words += ["residual"] if self.residual else []
        words += [self.reads] if self.reads != "complex" else []
        return " ".join(["aff", *words, *([f"start{self.start:g}"] if self.start != AdaptiveFilter.start else [])])

    def count(self, channels: int) -> int:
        """Blocks for so many channels."""
        check_groups(self.blocks or 1, channels, name="blocks")
        return self.blocks or most_groups(channels, USUAL_BLOCKS)

    def at(self, shape: Shape) -> "AdaptiveFilter":
        return replace(self, blocks=0) if self.blocks == most_groups(shape[0], USUAL_BLOCKS) else self

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        return frequency_mask_cost(
            shape,
            self.count(shape[0]),
            expansion=self.expansion,
            shrink=self.shrink,
            activation=self.activation,
            residual=self.residual,
            magnitude=self.reads == "magnitude",
            trained=freeze != "chans",
        )

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "blocks": tuple(b for b in (1, 2, 4, 8, 16) if shape[0] % b == 0),
            "expansion": (1, 2),
            "shrink": (0.0, 0.001, 0.01, 0.05),
            "activation": get_args(MaskActivation),
            "residual": (False, True),
            "reads": get_args(Reading),
            "start": (0.02, 0.1, 0.4),
        }

    def build(self, shape: Shape) -> "Masking":
        return Masking(shape[0], self)


class Masking(Mixer):
    """Module of `AdaptiveFilter`."""

    def __init__(self, channels: int, config: AdaptiveFilter) -> None:
        super().__init__()
        self.mask = FrequencyMask(
            channels,
            config.count(channels),
            expansion=config.expansion,
            shrink=config.shrink,
            activation=config.activation,
            residual=config.residual,
            magnitude=config.reads == "magnitude",
            start=config.start,
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mask(x)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.mask.parameters()

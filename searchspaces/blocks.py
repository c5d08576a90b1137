"""Blocks: how a token mixer and a channel mixer are put together with norms, activations and residuals."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from searchspaces.architecture import Block, ChannelMixer, Shape, TokenMixer, spec
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, freeze
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise


@spec("convmixer")
@dataclass(frozen=True)
class ConvMixerBlock(Block):
    """ConvMixer block: ``x <- x + BN(GELU(token(x)))``, then ``x <- BN(GELU(channel(x)))`` without residual.

    Args:
        token: spatial mixer, published as a depthwise convolution.
        channel: channel mixer, published as a 1x1 convolution.
        freeze: which of the two is trained (2503.16760): ``full``, ``chans``, ``space``.
    """

    token: TokenMixer = Depthwise()  # noqa: RUF009 (frozen)
    channel: ChannelMixer = Pointwise()  # noqa: RUF009
    freeze: Freeze = "full"

    def __post_init__(self) -> None:
        if self.freeze not in FREEZE_PATTERNS:
            raise ValueError(f"freeze must be one of {', '.join(FREEZE_PATTERNS)}, got {self.freeze!r}.")

    def canonical(self) -> "ConvMixerBlock":
        token = self.token.canonical()
        if self.freeze == "chans" and isinstance(token, Depthwise) and token.filters == "identity":
            token = replace(token, dilation=1)  # a frozen centre tap reads the same pixel at any dilation
        return replace(self, token=token, channel=self.channel.canonical())

    def label(self) -> str:
        channel = "" if self.channel == Pointwise() else f" + {self.channel.label()}"
        return f"{self.token.label()}{channel} {self.freeze}"

    def build(self, shape: Shape) -> nn.Module:
        return ConvMixer(shape, self)


class ConvMixer(nn.Module):
    """Module of `ConvMixerBlock`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, shape: Shape, spec: ConvMixerBlock) -> None:
        super().__init__()
        self.token, self.channel = spec.token.build(shape), spec.channel.build(shape)
        self.token_norm, self.channel_norm = nn.BatchNorm2d(shape[0]), nn.BatchNorm2d(shape[0])
        self.activation = nn.GELU()
        freeze(spec.freeze, (self.token, self.channel))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token_norm(self.activation(self.token(x)))
        y: Tensor = self.channel_norm(self.activation(self.channel(x)))
        return y

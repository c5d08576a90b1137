"""ConvMixer block (2201.09792), ``(B, C, H, W) -> (B, C, H, W)``."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from searchspaces.architecture import Block, ChannelMixer, Shape, TokenMixer, spec
from searchspaces.blocks.canonical import canonical_mixing
from searchspaces.costs import Cost, batch_norm, elementwise
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, freeze
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise
from searchspaces.registry import check_one_of


@spec("convmixer")
@dataclass(frozen=True)
class ConvMixerBlock(Block):
    """ConvMixer block: ``x <- x + BN(GELU(token(x)))``, then ``x <- BN(GELU(channel(x)))`` without residual.

    Args:
        token: spatial mixer, published as a depthwise convolution.
        channel: channel mixer, published as a 1x1 convolution.
        freeze: which of the two is trained (2503.16760): ``full``, ``chans``, ``space``.
        freeze_norm: keep the factors and offsets of the norms as they start; their statistics follow the data.
    """

    token: TokenMixer = Depthwise()  # noqa: RUF009 (frozen)
    channel: ChannelMixer = Pointwise()  # noqa: RUF009
    freeze: Freeze = "full"
    freeze_norm: bool = False

    def __post_init__(self) -> None:
        check_one_of("freeze", self.freeze, FREEZE_PATTERNS)
        if self.channel.kind == "identity":
            raise ValueError("channel must not be identity: that half of a ConvMixer block has no residual to carry x.")

    def canonical(self) -> "ConvMixerBlock":
        token, channel, pattern = canonical_mixing(self.token, self.channel, self.freeze)
        return replace(self, token=token, channel=channel, freeze=pattern)

    def cost(self, shape: Shape) -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        size = channels * positions
        activated = elementwise(size, kept=size) + batch_norm(channels, positions, trained=not self.freeze_norm)
        residual = elementwise(size)
        return (
            self.token.cost(shape, self.freeze)
            + activated
            + residual
            + self.channel.cost(shape, self.freeze)
            + activated
        )

    def label(self) -> str:
        channel = "" if self.channel == Pointwise() else f" + {self.channel.label()}"
        norms = " norms" if self.freeze_norm else ""
        return f"{self.token.label()}{channel} {self.freeze}{norms}"

    def build(self, shape: Shape) -> nn.Module:
        return ConvMixer(shape, self)


class ConvMixer(nn.Module):
    """Module of `ConvMixerBlock`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, shape: Shape, config: ConvMixerBlock) -> None:
        super().__init__()
        self.token, self.channel = config.token.build(shape), config.channel.build(shape)
        self.token_norm, self.channel_norm = nn.BatchNorm2d(shape[0]), nn.BatchNorm2d(shape[0])
        self.activation = nn.GELU()
        freeze(config.freeze, (self.token, self.channel))
        if config.freeze_norm:
            self.token_norm.requires_grad_(False)
            self.channel_norm.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token_norm(self.activation(self.token(x)))
        y: Tensor = self.channel_norm(self.activation(self.channel(x)))
        return y

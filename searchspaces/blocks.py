"""Blocks: how a token mixer and a channel mixer are put together with norms, activations and residuals."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args

from torch import Tensor, nn

from searchspaces.architecture import Block, ChannelMixer, Shape, TokenMixer, spec
from searchspaces.costs import NORM_COSTS, Cost, batch_norm, elementwise
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, freeze
from searchspaces.layers import LayerScale, Norm, make_norm
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise

B = TypeVar("B", "ConvMixerBlock", "MetaFormerBlock")


def _canonical(block: B) -> B:
    """``block`` with canonical mixers, ``full`` for a pattern that freezes nothing, no dilation of a frozen delta."""
    token, channel, pattern = block.token.canonical(), block.channel.canonical(), block.freeze
    frozen = {"full": "", "chans": "spatial", "space": "channel"}[pattern]
    if frozen not in token.weights() | channel.weights():
        pattern = "full"
    if pattern == "chans" and isinstance(token, Depthwise) and token.filters == "identity":
        token = replace(token, dilation=1)  # a frozen centre tap reads the same pixel at any dilation
    return replace(block, token=token, channel=channel, freeze=pattern)


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
        if self.freeze not in FREEZE_PATTERNS:
            raise ValueError(f"freeze must be one of {', '.join(FREEZE_PATTERNS)}, got {self.freeze!r}.")
        if self.channel.kind == "identity":
            raise ValueError("channel must not be identity: that half of a ConvMixer block has no residual to carry x.")

    def canonical(self) -> "ConvMixerBlock":
        return _canonical(self)

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
        return f"{self.token.label()}{channel} {self.freeze}" + " norms" * self.freeze_norm

    def build(self, shape: Shape) -> nn.Module:
        return ConvMixer(shape, self)


@spec("metaformer")
@dataclass(frozen=True)
class MetaFormerBlock(Block):
    """MetaFormer block: ``x <- x + s1 token(norm1(x))``, then ``x <- x + s2 channel(norm2(x))`` (2111.11418).

    A sub-layer whose mixer is ``identity`` is left out.

    Args:
        freeze: which parameters of the two mixers are trained: ``full``, ``chans``, ``space`` (2503.16760).
        norm: before each mixer.
        layer_scale: start of the factors s1 and s2, one for each channel; 0 for none. Short trainings need 1 or 1e-2:
            with 1e-5 they rank warm-up, not architectures.
    """

    token: TokenMixer
    channel: ChannelMixer
    freeze: Freeze = "full"
    norm: Norm = "layer"
    layer_scale: float = 0.0

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "token": (Depthwise(), Depthwise(kernel=5, dilation=2)),
            "channel": (Pointwise(),),
            "freeze": FREEZE_PATTERNS,
            "norm": get_args(Norm),
            "layer_scale": (0.0, 1e-2),
        }

    def canonical(self) -> "MetaFormerBlock":
        return _canonical(self)

    def cost(self, shape: Shape) -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        size = channels * positions
        mixers = [mixer for mixer in (self.token, self.channel) if mixer.kind != "identity"]
        around = NORM_COSTS[self.norm](channels, positions) + elementwise(size)
        if self.layer_scale:
            around += Cost(elementwise_flops=size, parameters=channels, trainable_parameters=channels, activations=size)
        return sum((mixer.cost(shape, self.freeze) for mixer in mixers), around * len(mixers))

    def label(self) -> str:
        return f"{self.token.label()} + {self.channel.label()} {self.freeze}"

    def build(self, shape: Shape) -> nn.Module:
        return MetaFormer(shape, self)


class MetaFormer(nn.Module):
    """Module of `MetaFormerBlock`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, shape: Shape, spec: MetaFormerBlock) -> None:
        super().__init__()
        self.token = self._branch(spec.token, shape, spec)
        self.channel = self._branch(spec.channel, shape, spec)

    @staticmethod
    def _branch(mixer: TokenMixer | ChannelMixer, shape: Shape, spec: MetaFormerBlock) -> nn.Sequential | None:
        """Norm, mixer and layer scale; None where nothing is mixed."""
        if mixer.kind == "identity":
            return None
        scale = LayerScale(shape[0], spec.layer_scale) if spec.layer_scale else nn.Identity()
        module = mixer.build(shape)
        freeze(spec.freeze, [module])
        return nn.Sequential(OrderedDict(norm=make_norm(spec.norm, shape[0]), mixer=module, scale=scale))

    def forward(self, x: Tensor) -> Tensor:
        for branch in (self.token, self.channel):
            if branch is not None:
                x = x + branch(x)
        return x


class ConvMixer(nn.Module):
    """Module of `ConvMixerBlock`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, shape: Shape, spec: ConvMixerBlock) -> None:
        super().__init__()
        self.token, self.channel = spec.token.build(shape), spec.channel.build(shape)
        self.token_norm, self.channel_norm = nn.BatchNorm2d(shape[0]), nn.BatchNorm2d(shape[0])
        self.activation = nn.GELU()
        freeze(spec.freeze, (self.token, self.channel))
        if spec.freeze_norm:
            self.token_norm.requires_grad_(False)
            self.channel_norm.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token_norm(self.activation(self.token(x)))
        y: Tensor = self.channel_norm(self.activation(self.channel(x)))
        return y

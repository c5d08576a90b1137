"""MetaFormer block (2111.11418), ``(B, C, H, W) -> (B, C, H, W)``."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast, get_args

from torch import Tensor, nn

from searchspaces.architecture import Block, ChannelMixer, Shape, Stage, TokenMixer, spec
from searchspaces.blocks.canonical import canonical_mixing
from searchspaces.costs import NORM_COSTS, Cost, elementwise
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.layers.drop_path import DropPath
from searchspaces.layers.norms import LayerScale, Norm, make_norm
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise
from searchspaces.registry import check_least


@spec("metaformer")
@dataclass(frozen=True)
class MetaFormerBlock(Block):
    """MetaFormer block: ``x <- x + s1 token(norm1(x))``, then ``x <- x + s2 channel(norm2(x))`` (2111.11418).

    A sub-layer whose mixer is ``identity`` is left out, with its norm.

    Args:
        freeze: which parameters of the two mixers are trained: ``full``, ``chans``, ``space`` (2503.16760).
        norm: kind of the norm before each mixer.
        layer_scale: start of the factors s1 and s2, one for each channel; 0 for no factors. Short trainings need 1 or
            1e-2: with 1e-5 they rank warm-up, not architectures.
        drop_path: probability that an image skips a mixer in training, 0 for never; the others are scaled up to make up
            for it (stochastic depth, 1603.09382).
        freeze_norm: keep the factors and offsets of the norms as they start; their statistics follow the data.
        fused: one residual around both mixers and one norm between them, ``x <- x + s channel(norm(token(x)))``, as in
            MS-MLP (2202.06510); no effect where a mixer is ``identity``.
    """

    token: TokenMixer
    channel: ChannelMixer
    freeze: Freeze = "full"
    norm: Norm = "layer"
    layer_scale: float = 0.0
    drop_path: float = 0.0
    freeze_norm: bool = False
    fused: bool = False

    def __post_init__(self) -> None:
        check_least(self, layer_scale=0)
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path must be at least 0 and below 1, got {self.drop_path}.")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            "token": (Depthwise(), Depthwise(kernel=5, dilation=2)),
            "channel": (Pointwise(),),
            "freeze": FREEZE_PATTERNS,
            "norm": get_args(Norm),
            "layer_scale": (0.0, 1e-2),
            "drop_path": (0.0, 0.2),
            "fused": (False, True),
        }

    def canonical(self) -> Self:
        token, channel, pattern = canonical_mixing(self.token, self.channel, self.freeze)
        freeze_norm = self.freeze_norm and self.norm != "none"
        fused = self.fused and len(self.mixers()) == 2
        return replace(self, token=token, channel=channel, freeze=pattern, freeze_norm=freeze_norm, fused=fused)

    def mixers(self) -> list[TokenMixer | ChannelMixer]:
        """The mixers that mix something, in order."""
        return [mixer for mixer in (self.token, self.channel) if mixer.kind != "identity"]

    def branches(self) -> list[list[TokenMixer | ChannelMixer]]:
        """The mixers of each residual branch."""
        mixers = self.mixers()
        return [mixers] if self.fused and mixers else [[mixer] for mixer in mixers]

    def cost(self, shape: Shape) -> Cost:
        channels, positions = shape[0], shape[1] * shape[2]
        size = channels * positions
        around = NORM_COSTS[self.norm](channels, positions, trained=not self.freeze_norm) + elementwise(size)
        if self.layer_scale:
            around += Cost(elementwise_flops=size, parameters=channels, trainable_parameters=channels, activations=size)
        if self.drop_path:
            around += Cost(activations=1)
        return sum((mixer.cost(shape, self.freeze) for mixer in self.mixers()), around * len(self.branches()))

    def label(self) -> str:
        words = [f"{self.token.label()} + {self.channel.label()} {self.freeze}"]
        words += ["norms"] if self.freeze_norm else []
        words += ["fused"] if self.fused else []
        words += [f"drop {self.drop_path:g}"] if self.drop_path else []
        return " ".join(words)

    def build(self, shape: Shape) -> nn.Module:
        return MetaFormer(shape, self)


def with_rising_drop_path(stages: Sequence[Stage], most: float) -> tuple[Stage, ...]:
    """The stages with ``drop_path = most k / n`` in block k of n, counted from 0, as published networks have it.

    Each block is a stage of its own then; without drop path nothing changes.
    """
    total, found = sum(stage.depth for stage in stages), list[Stage]()
    if not most:
        return tuple(stages)
    for stage in stages:
        for place in range(stage.depth):
            block = replace(cast(MetaFormerBlock, stage.block), drop_path=most * len(found) / total)
            found.append(Stage(block, 1, None if place else stage.downsample))
    return tuple(found)


class MetaFormer(nn.Module):
    """Module of `MetaFormerBlock`, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, shape: Shape, config: MetaFormerBlock) -> None:
        super().__init__()
        fused = len(config.branches()) < len(config.mixers())
        self.token = None if fused else self._branch(config.token, shape, config)
        self.channel = self._branch(config.channel, shape, config, first=config.token if fused else None)

    @staticmethod
    def _branch(
        mixer: TokenMixer | ChannelMixer, shape: Shape, config: MetaFormerBlock, first: TokenMixer | None = None
    ) -> nn.Sequential | None:
        """``first``, norm, mixer and layer scale; None for ``identity``, which mixes nothing."""
        if mixer.kind == "identity":
            return None
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if first:
            layers["first"] = first.build(shape)
        layers["norm"] = make_norm(config.norm, shape[0]).requires_grad_(not config.freeze_norm)
        layers["mixer"] = mixer.build(shape)
        layers["scale"] = LayerScale(shape[0], config.layer_scale) if config.layer_scale else nn.Identity()
        freeze(config.freeze, (module for module in layers.values() if isinstance(module, Mixer)))
        if config.drop_path:
            layers["drop"] = DropPath(config.drop_path)
        return nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        for branch in (self.token, self.channel):
            if branch is not None:
                x = x + branch(x)
        return x

"""TSMixer block (2306.09364), ``(B, C, variates, patches) -> (B, C, variates, patches)``."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, TokenMixer, spec
from searchspaces.blocks.metaformer import MetaFormer, MetaFormerBlock
from searchspaces.operators.axis_mlp import AxisMLP
from searchspaces.operators.gated_mlp import GatedChannelMLP
from searchspaces.operators.identity import NoTokenMixing


@spec("tsmixer")
@dataclass(frozen=True)
class TSMixerBlock(MetaFormerBlock):
    """A MetaFormer block with one residual more: variates are mixed first, then the time, then the channels.

    Args:
        token: mixer of the time.
        variate: mixer of the variates; ``identity`` leaves them to themselves, the mode ``common_channel``.
    """

    token: TokenMixer = AxisMLP()  # noqa: RUF009 (frozen)
    channel: ChannelMixer = GatedChannelMLP()  # noqa: RUF009 (frozen)
    variate: TokenMixer = NoTokenMixing()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fused:
            raise ValueError("fused is for blocks of two mixers; a block that mixes variates too has three residuals.")

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {
            **{name: values for name, values in super().options(shape).items() if name != "fused"},
            "token": (AxisMLP(), NoTokenMixing()),
            "channel": (GatedChannelMLP(gate="sigmoid"),),
            "variate": (NoTokenMixing(), AxisMLP("columns")),
        }

    def canonical(self) -> Self:
        simple, variate = super().canonical(), self.variate.canonical()
        frozen = {"full": "", "chans": "spatial", "space": "channel"}[self.freeze]
        freeze = self.freeze if frozen in variate.weights() else simple.freeze
        return replace(simple, freeze=freeze, variate=variate)

    def mixers(self) -> list[TokenMixer | ChannelMixer]:
        return [mixer for mixer in (self.variate, self.token, self.channel) if mixer.kind != "identity"]

    def branches(self) -> list[list[TokenMixer | ChannelMixer]]:
        return [[mixer] for mixer in self.mixers()]

    def label(self) -> str:
        variate = "" if self.variate.kind == "identity" else f"{self.variate.label()} + "
        return variate + super().label()

    def build(self, shape: Shape) -> nn.Module:
        return TSMixerLayer(shape, self)


class TSMixerLayer(MetaFormer):
    """Module of `TSMixerBlock`."""

    def __init__(self, shape: Shape, config: TSMixerBlock) -> None:
        super().__init__(shape, replace(config, variate=NoTokenMixing()))
        variate = self._branch(config.variate, shape, config)
        self.variate = nn.Sequential(OrderedDict()) if variate is None else variate

    def forward(self, x: Tensor) -> Tensor:
        if len(self.variate):
            x = x + self.variate(x)
        return super().forward(x)

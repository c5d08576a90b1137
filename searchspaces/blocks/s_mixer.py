"""S-Mixer of 2306.01470, one matrix for each mixing, ``(B, C, H, W) -> (B, C, H, W)``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from searchspaces.architecture import Block, Shape, spec
from searchspaces.costs import Cost, elementwise, linear
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.layers.activations import ACTIVATIONS
from searchspaces.layers.permutations import MLP_ACTIVATIONS, MlpActivation
from searchspaces.registry import check_one_of


@spec("s_mixer")
@dataclass(frozen=True)
class SMixerBlock(Block):
    """S-Mixer, ``H = phi(phi(W X) V)``: one matrix for each mixing, no bias, no skip, no norm, gamma = 1.

    Args:
        freeze: ``chans`` freezes W, which mixes tokens, ``space`` V, which mixes channels.
    """

    activation: MlpActivation = "gelu"
    freeze: Freeze = "full"

    def __post_init__(self) -> None:
        check_one_of("activation", self.activation, MLP_ACTIVATIONS)
        check_one_of("freeze", self.freeze, FREEZE_PATTERNS)

    def label(self) -> str:
        return f"s_mixer {self.activation} {self.freeze}"

    def cost(self, shape: Shape) -> Cost:
        channels, tokens = shape[0], shape[1] * shape[2]
        size = channels * tokens
        mix_channels = self.freeze != "space"
        return (
            linear(size * tokens, tokens**2, size, trained=self.freeze != "chans")
            + elementwise(size, kept=size)  # that of ReLU too: V reads a transposed copy of what it keeps
            + linear(size * channels, channels**2, size, trained=mix_channels)
            + elementwise(size, kept=size)
        )

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"activation": MLP_ACTIVATIONS, "freeze": FREEZE_PATTERNS}

    def build(self, shape: Shape) -> "SMixer":
        return SMixer(shape, self)


class SMixer(Mixer):
    """Module of `SMixerBlock`, ``(B, C, H, W) -> (B, C, H, W)``; weights start normal with variance 1 / fan-in."""

    def __init__(self, shape: Shape, config: SMixerBlock) -> None:
        super().__init__()
        channels, tokens = shape[0], shape[1] * shape[2]
        self.w, self.vt = nn.Linear(tokens, tokens, bias=False), nn.Linear(channels, channels, bias=False)
        for layer in (self.w, self.vt):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.activation = ACTIVATIONS[config.activation]()
        freeze(config.freeze, (self,))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.activation(self.w(x.flatten(2).contiguous()))  # (B, C, S), S = H * W
        y: Tensor = self.activation(self.vt(rows.mT)).mT.reshape(x.shape)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.w.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.vt.parameters()

    def factors(self) -> Iterable[Tensor]:
        """W and V^T."""
        return self.w.weight, self.vt.weight

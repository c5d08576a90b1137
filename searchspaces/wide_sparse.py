"""MLP-Mixer seen as a wide and sparse MLP (2306.01470): its arithmetic, S-Mixer, stems that set the tokens, references.

S tokens and C channels make an MLP of width m = S C whose four matrices a block are Kronecker products with an
identity. Their mean number of non-zeros Omega = gamma m (S + C)/2 is the mean number of multiply-accumulates of a
layer; at fixed Omega the width is largest at S = C, where the paper finds the smallest error.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from searchspaces.architecture import Architecture, Block, Shape, Stage, Stem, spec
from searchspaces.blocks import MetaFormerBlock
from searchspaces.costs import Cost, convolution, elementwise, linear
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.heads import AverageHead
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.sparse_mlp import SparseMixing
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.permutations import ACTIVATIONS, Activation, PermutedMLP
from searchspaces.stems import EmbeddingStem


def width(tokens: int, channels: int) -> int:
    """m, units of the network as a wide MLP."""
    return tokens * channels


def connections(tokens: int, channels: int, gamma: float = 1.0, channel_gamma: float | None = None) -> float:
    """Omega, mean non-zeros of the effective matrices of a block: gamma m (S + C)/2.

    Args:
        gamma: expansion of both mixers, or of token mixing if ``channel_gamma`` is given.
    """
    channel_gamma = gamma if channel_gamma is None else channel_gamma
    return width(tokens, channels) * (gamma * tokens + channel_gamma * channels) / 2


def partner(tokens: int, omega: float, gamma: float = 1.0) -> int:
    """C(S; Omega, gamma): channels that give ``tokens`` their ``omega`` connections, rounded; 0 for no channel."""
    return round((-tokens + math.sqrt(tokens**2 + 8 * omega / (gamma * tokens))) / 2)


def density(tokens: int, channels: int) -> float:
    """p, mean density of the effective matrices: (1/S + 1/C)/2."""
    return (1 / tokens + 1 / channels) / 2


def sigma_max(layer: nn.Module) -> tuple[float, ...]:
    """Largest singular value of every effective matrix of a layer or network.

    That of a Kronecker product with an identity, permuted or not, is that of its block: nothing large is formed.

    Raises:
        ValueError: if the layer holds no matrices of this family.
    """
    layers = [module for module in layer.modules() if isinstance(module, PermutedMLP | SparseMixing | SMixer)]
    if not layers:
        raise ValueError(
            f"sigma_max needs a token, channel, raft or sparse MLP or an S-Mixer, got {type(layer).__name__}."
        )
    matrices = [matrix for module in layers for matrix in module.factors()]
    return tuple(float(torch.linalg.matrix_norm(matrix.detach(), ord=2)) for matrix in matrices)


@spec("s_mixer")
@dataclass(frozen=True)
class SMixerBlock(Block):
    """S-Mixer, ``H = phi(phi(W X) V)``: one matrix for each mixing, no bias, no skip, no norm, gamma = 1.

    Args:
        freeze: ``chans`` stops W, which mixes tokens, ``space`` V, which mixes channels.
    """

    activation: Activation = "gelu"
    freeze: Freeze = "full"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}.")
        if self.freeze not in FREEZE_PATTERNS:
            raise ValueError(f"freeze must be one of {', '.join(FREEZE_PATTERNS)}, got {self.freeze!r}.")

    def label(self) -> str:
        return f"s_mixer {self.activation} {self.freeze}"

    def cost(self, shape: Shape) -> Cost:
        channels, tokens = shape[0], shape[1] * shape[2]
        size = channels * tokens
        mix_channels = self.freeze != "space"
        # What V is applied to is the output of an activation: ReLU keeps that already.
        kept = 0 if self.activation == "relu" and mix_channels else size
        return (
            linear(size * tokens, tokens**2, size, trained=self.freeze != "chans")
            + elementwise(size, kept=kept)
            + linear(size * channels, channels**2, size, trained=mix_channels)
            + elementwise(size, kept=size)
        )

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"activation": tuple(ACTIVATIONS), "freeze": FREEZE_PATTERNS}

    def build(self, shape: Shape) -> "SMixer":
        return SMixer(shape, self)


class SMixer(Mixer):
    """Module of `SMixerBlock`, ``(B, C, H, W) -> (B, C, H, W)``; weights start normal with variance 1 / fan-in."""

    def __init__(self, shape: Shape, spec: SMixerBlock) -> None:
        super().__init__()
        channels, tokens = shape[0], shape[1] * shape[2]
        self.w, self.vt = nn.Linear(tokens, tokens, bias=False), nn.Linear(channels, channels, bias=False)
        for layer in (self.w, self.vt):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.activation = ACTIVATIONS[spec.activation]()
        freeze(spec.freeze, (self,))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.activation(self.w(x.flatten(2).contiguous()))  # (B, C, S)
        y: Tensor = self.activation(self.vt(rows.mT)).mT.reshape(x.shape)
        return y

    def spatial_parameters(self) -> Iterable[nn.Parameter]:
        return self.w.parameters()

    def channel_parameters(self) -> Iterable[nn.Parameter]:
        return self.vt.parameters()

    def factors(self) -> Iterable[Tensor]:
        """W and V^T."""
        return self.w.weight, self.vt.weight


@spec("resized")
@dataclass(frozen=True)
class ResizedStem(Stem):
    """Bilinear resize to a square of sqrt(tokens) patches a side, then a linear embedding of every patch.

    The embedding keeps its size as the number of tokens changes; patches that grow instead confound a width sweep.
    Sizes that shrink are averaged (antialiasing): no pixel is skipped.

    Args:
        dim: channels that come out.
        tokens: S, a square.
        patch: side of a patch in pixels of the resized image.
    """

    dim: int
    tokens: int
    patch: int = 4

    def __post_init__(self) -> None:
        if self.tokens < 1 or math.isqrt(self.tokens) ** 2 != self.tokens:
            near = max(math.isqrt(max(self.tokens, 1)), 3)
            squares = ", ".join(str(side**2) for side in range(near - 2, near + 4))
            raise ValueError(f"tokens must be a square, got {self.tokens}. Squares near it: {squares}.")
        if min(self.dim, self.patch) < 1:
            raise ValueError(f"dim and patch must be at least 1, got dim={self.dim}, patch={self.patch}.")

    def label(self) -> str:
        return f"dim {self.dim} resized to {self.tokens} tokens of {self.patch}"

    def output(self, shape: Shape) -> Shape:
        side = math.isqrt(self.tokens)
        return self.dim, side, side

    def cost(self, shape: Shape) -> Cost:
        side, taps = math.isqrt(self.tokens) * self.patch, shape[0] * self.patch**2
        size = shape[0] * side**2
        embedding = convolution(self.tokens * taps * self.dim, self.dim * taps + self.dim, size)
        return embedding + elementwise(0 if shape[1:] == (side, side) else 7 * size)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16,), "tokens": (4, 9, 16, 36), "patch": (1, 2, 4)}

    def build(self, shape: Shape) -> nn.Module:
        return ResizedEmbedding(shape, self)


class ResizedEmbedding(nn.Module):
    """Module of `ResizedStem`."""

    def __init__(self, shape: Shape, spec: ResizedStem) -> None:
        super().__init__()
        side = math.isqrt(spec.tokens) * spec.patch
        self.side = None if shape[1:] == (side, side) else side
        self.conv = nn.Conv2d(shape[0], spec.dim, spec.patch, spec.patch)

    def forward(self, x: Tensor) -> Tensor:
        if self.side is not None:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        y: Tensor = self.conv(x)
        return y


@spec("projected")
@dataclass(frozen=True)
class ProjectedStem(Stem):
    """Fixed random linear map from the patches of the image to ``tokens`` tokens, then a linear embedding.

    The map mixes whole patches, entries normal with variance 1 / patches, drawn once, in the checkpoint, never trained.
    What does not fill a patch at the right and bottom is left out. The tokens come out as one row, (dim, 1, tokens).

    Args:
        dim: channels that come out.
        tokens: S, any number.
        patch: side of a patch in pixels.
    """

    dim: int
    tokens: int
    patch: int = 4

    def __post_init__(self) -> None:
        if min(self.dim, self.tokens, self.patch) < 1:
            raise ValueError(f"dim, tokens and patch must be at least 1, got {self.dim}, {self.tokens}, {self.patch}.")

    def label(self) -> str:
        return f"dim {self.dim} projected to {self.tokens} tokens of {self.patch}"

    def output(self, shape: Shape) -> Shape:
        if self.patch > min(shape[1:]):
            raise ValueError(f"patch must be 1 to {min(shape[1:])} for input {shape}, got {self.patch}.")
        return self.dim, 1, self.tokens

    def cost(self, shape: Shape) -> Cost:
        self.output(shape)
        taps, patches = shape[0] * self.patch**2, (shape[1] // self.patch) * (shape[2] // self.patch)
        fixed = taps * patches * self.tokens
        embedding = convolution(self.tokens * taps * self.dim, self.dim * taps + self.dim, taps * self.tokens)
        return embedding + Cost(macs=fixed, macs_executed=fixed, buffer_bytes=4 * self.tokens * patches)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {"dim": (16,), "tokens": (3, 16, 40), "patch": tuple(p for p in (1, 2, 3) if p <= min(shape[1:]))}

    def build(self, shape: Shape) -> nn.Module:
        self.output(shape)
        return ProjectedEmbedding(shape, self)


class ProjectedEmbedding(nn.Module):
    """Module of `ProjectedStem`."""

    projection: Tensor

    def __init__(self, shape: Shape, spec: ProjectedStem) -> None:
        super().__init__()
        self.patch, self.grid = spec.patch, (shape[1] // spec.patch, shape[2] // spec.patch)
        patches = self.grid[0] * self.grid[1]
        self.register_buffer("projection", torch.randn(spec.tokens, patches) / patches**0.5)
        self.conv = nn.Conv2d(shape[0] * spec.patch**2, spec.dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        (rows, columns), p = self.grid, self.patch
        x = x[:, :, : rows * p, : columns * p].reshape(-1, x.shape[1], rows, p, columns, p)
        patches = x.permute(0, 1, 3, 5, 2, 4).reshape(x.shape[0], -1, rows * columns)
        y: Tensor = self.conv(F.linear(patches, self.projection).unsqueeze(2))
        return y


def _mixer(dim: int, depth: int) -> Architecture:
    """MLP-Mixer of 2105.01601 for ImageNet, patch 16; hidden sizes dim/2 and 4 dim."""
    block = MetaFormerBlock(TokenMLP(hidden=dim // 2), ChannelMLP(hidden=4 * dim), norm="layer")
    stem = EmbeddingStem(dim, kernel=16, stride=16)
    return Architecture((3, 224, 224), 1000, stem, (Stage(block, depth),), AverageHead(norm="layer"))


def mixer_s16() -> Architecture:
    """Mixer-S/16: 18,528,264 parameters, 3,776,958,464 MACs."""
    return _mixer(512, 8)


def mixer_b16() -> Architecture:
    """Mixer-B/16: 59,880,472 parameters, 12,601,767,936 MACs."""
    return _mixer(768, 12)

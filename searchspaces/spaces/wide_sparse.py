"""Wide and sparse MLPs at equal numbers of connections (2306.01470): Mixer, RP-Mixer, SW-MLP and S-Mixer.

A candidate picks a budget Omega/gamma and its tokens S; its channels are then C(S; Omega, gamma), so that the mixing
layers of all candidates of a budget take the same multiply-accumulates and differ in width m = S C and density.

An SW-MLP stores dense matrices of gamma m^2 weights: its budgets are a choice of their own, ``sw.omega``, that ends at
2^15, where m is at most 1024 (4 gamma MiB a matrix). ``omega`` names both choices at once.
A pick of more tokens than its budget can pay with MIN_CHANNELS channels falls back to the largest square that it can.
"""

from collections.abc import Callable
from typing import cast

from searchspaces.architecture import Architecture, Block, Shape, Stage, Stem
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.s_mixer import SMixerBlock
from searchspaces.connections import partner
from searchspaces.heads import AverageHead
from searchspaces.layers.permutations import MLP_ACTIVATIONS, MlpActivation, Permutation
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.sparse_mlp import SparseChannelMLP, SparseMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.space import Choice, Picks, SearchSpace, search_space
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import divisors
from searchspaces.stems.projected import ProjectedStem
from searchspaces.stems.resized import ResizedStem

KINDS = ("mixer", "rp_mixer", "sw_mlp", "s_mixer")
SQUARES = tuple(side**2 for side in range(2, 33))
MIN_CHANNELS = 4


class Numbers:
    """Container of the numbers from ``low`` to ``high``."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@search_space("wide_sparse")
def wide_sparse(input: Shape, classes: int) -> SearchSpace:
    """Networks of the permuted-Kronecker family for images ``input`` = (C, H, W)."""
    side = min(input[1:])
    patches = range(1, min(side, 32) + 1)
    choices = (
        Choice("kind", KINDS, KINDS, "Mixer, its permutations at random, its unstructured control, or S-Mixer"),
        Choice("omega", (2**12, 2**15), range(2**6, 2**24 + 1), "connections of a layer for gamma 1, Omega/gamma"),
        Choice("sw.omega", (2**10, 2**12), range(2**6, 2**15 + 1), "the same for SW-MLPs, whose matrices are dense"),
        Choice("tokens", (4, 16, 25, 36, 64), SQUARES, "S, a square; the channels follow from the budget"),
        Choice("gamma", (1.0, 2.0), Numbers(0.25, 8), "expansion of token and channel mixing; S-Mixer has 1"),
        Choice("depth", (2, 4, 8), range(1, 65), "number of blocks"),
        Choice(
            "permutation",
            ("random", "random_inverse"),
            ("random", "random_inverse", "identity"),
            "J1 and J2 of RP-Mixer: independent, inverse to each other, or none",
        ),
        Choice("source", ("resize", "project"), ("resize", "patch", "project"), "how the image becomes S tokens"),
        Choice("patch", (2 if side < 16 else 4,), patches, "side of a patch in pixels, of resize and project"),
        Choice("activation", MLP_ACTIVATIONS, MLP_ACTIVATIONS, "of the mixing layers"),
    )

    def to_architecture(picks: Picks) -> Architecture:
        omega = int(picks["sw.omega" if picks["kind"] == "sw_mlp" else "omega"])
        stem = _stem(input, str(picks["source"]), int(picks["tokens"]), int(picks["patch"]), omega)
        stages = (Stage(_block(picks), int(picks["depth"])),)
        return Architecture(input, classes, stem, stages, AverageHead(norm="layer"))

    return SearchSpace("wide_sparse", choices, to_architecture)


def _block(picks: Picks) -> Block:
    """The block of the kind that is picked; picks that it does not use make no difference."""
    gamma, activation = float(picks["gamma"]), cast(MlpActivation, picks["activation"])
    if picks["kind"] == "s_mixer":
        return SMixerBlock(activation)
    if picks["kind"] == "sw_mlp":
        sparse = SparseMLP(expansion=gamma, activation=activation)
        return MetaFormerBlock(sparse, SparseChannelMLP(expansion=gamma, activation=activation), norm="layer")
    random = picks["kind"] == "rp_mixer"
    permutation = cast(Permutation, picks["permutation"] if random else "commutation")
    token = TokenMLP(gamma, activation=activation, permutation=permutation)
    return MetaFormerBlock(token, ChannelMLP(gamma, activation=activation, permutation=permutation), norm="layer")


def _stem(input: Shape, source: str, tokens: int, patch: int, omega: int) -> Stem:
    """The stem with ``tokens`` tokens, or the nearest number that the source and the budget allow."""

    def affordable(number: int) -> bool:
        return partner(number, omega) >= MIN_CHANNELS

    # Of the patches that tile the image, the one whose number of tokens is nearest to the pick; if none is large
    # enough, the image is resized.
    grids = {side: input[1] * input[2] // side**2 for side in divisors(input)}
    sides = [side for side, positions in grids.items() if affordable(positions)]
    if source == "patch" and sides:
        side = min(sides, key=lambda side: (abs(grids[side] - tokens), -side))
        return EmbeddingStem(partner(grids[side], omega), kernel=side, stride=side)
    tokens = max(square for square in SQUARES if square <= tokens and affordable(square))
    stem: Callable[[int, int, int], Stem] = ProjectedStem if source == "project" else ResizedStem
    return stem(partner(tokens, omega), tokens, patch)

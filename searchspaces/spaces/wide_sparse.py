"""Wide and sparse MLPs at equal numbers of connections (2306.01470): Mixer, RP-Mixer, SW-MLP and S-Mixer.

A candidate picks a pair of S tokens and C channels that keeps a budget Omega/gamma (`searchspaces.splits`), so that the
mixing layers of all candidates of a budget take the same multiply-accumulates and differ in width m = S C and density.

An SW-MLP stores dense matrices of gamma m^2 weights: its pairs are a choice of their own, ``sw.split``, whose budgets
end at 2^15, where m is at most 1024 (4 gamma MiB a matrix). ``split`` names both choices at once.
"""

from collections.abc import Callable
from typing import cast

from searchspaces.architecture import Architecture, Block, Shape, Stage, Stem, Value
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.s_mixer import SMixerBlock
from searchspaces.heads import AverageHead
from searchspaces.layers.permutations import MLP_ACTIVATIONS, MlpActivation, Permutation
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.sparse_mlp import SparseChannelMLP, SparseMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.space import Choice, Numbers, Picks, SearchSpace, search_space
from searchspaces.splits import Budgets, Split, Splits
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import divisors
from searchspaces.stems.projected import ProjectedStem
from searchspaces.stems.resized import ResizedStem

KINDS = ("mixer", "rp_mixer", "sw_mlp", "s_mixer")
LARGEST_SW = 2**15
"""Largest budget of an SW-MLP, whose matrices are dense."""


@search_space("wide_sparse")
def wide_sparse(
    input: Shape, classes: int, *, omega: Budgets = (2**12, 2**15), sw_omega: Budgets = (2**10, 2**12)
) -> SearchSpace:
    """Networks of the permuted-Kronecker family for images ``input`` = (C, H, W).

    Args:
        omega: budgets, connections of a layer for gamma 1, Omega/gamma; ``split`` has the pairs that keep them.
        sw_omega: the same for SW-MLPs, at most 2^15.

    Raises:
        ValueError: if a budget is out of range.
    """
    side = min(input[1:])
    patches = range(1, min(side, 32) + 1)
    splits, sparse = Splits(omega), Splits(sw_omega, largest=LARGEST_SW)
    choices = (
        Choice("kind", KINDS, KINDS, "Mixer, its permutations at random, its unstructured control, or S-Mixer"),
        Choice("split", splits.usual(), splits, "S tokens x C channels, by Omega / gamma"),
        Choice("sw.split", sparse.usual(), sparse, "the same for SW-MLPs, whose matrices are dense"),
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

    def split(picks: Picks) -> Split:
        return sparse[picks["sw.split"]] if picks["kind"] == "sw_mlp" else splits[picks["split"]]

    def to_architecture(picks: Picks) -> Architecture:
        stem = _stem(input, str(picks["source"]), split(picks), picks)
        stages = (Stage(_block(picks), int(picks["depth"])),)
        return Architecture(input, classes, stem, stages, AverageHead(norm="layer"))

    def facts(picks: Picks) -> dict[str, Value]:
        return split(picks).facts()

    gone = "S and C are one choice, split: give the budgets as omega and sw_omega in [space], the pairs as split."
    moved = {"tokens": gone, "omega": gone, "sw.omega": gone}
    return SearchSpace("wide_sparse", choices, to_architecture, facts=facts, moved=moved)


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


def _stem(input: Shape, source: str, split: Split, picks: Picks) -> Stem:
    """The stem that makes the tokens and channels of a pair.

    Raises:
        ValueError: if the image cannot be cut into as many patches, with the numbers that it can be cut into.
    """
    if source == "patch":
        sides = {input[1] * input[2] // side**2: side for side in divisors(input)}
        if split.tokens not in sides:
            raise ValueError(
                f"tokens cut into patches must tile the image, got {split.tokens} for input {input}. "
                f"Allowed: {', '.join(map(str, sorted(sides)))}; or source = resize or project."
            )
        return EmbeddingStem(split.channels, kernel=sides[split.tokens], stride=sides[split.tokens])
    stem: Callable[[int, int, int], Stem] = ProjectedStem if source == "project" else ResizedStem
    return stem(split.channels, split.tokens, int(picks["patch"]))

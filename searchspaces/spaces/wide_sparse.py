"""Wide and sparse MLPs at equal numbers of connections (2306.01470): Mixer, RP-Mixer, SW-MLP, Monarch, S-Mixer.

A candidate picks a pair of S tokens and C channels that keeps a budget Omega/gamma (`searchspaces.splits`), so that the
mixing layers of all candidates of a budget take the same multiply-accumulates and differ in width m = S C and density.
"""

from collections.abc import Callable
from typing import Any, cast

from searchspaces.architecture import Architecture, Shape, Stage, Stem, Value
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.blocks.s_mixer import SMixerBlock
from searchspaces.connections import density
from searchspaces.heads import AverageHead
from searchspaces.layers.permutations import MLP_ACTIVATIONS, MlpActivation, Permutation
from searchspaces.layers.sparse import MASKS
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.sparse_mlp import SparseChannelMLP, SparseMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.patterns import Patterns, takes_first
from searchspaces.space import Choice, Numbers, Picks, SearchSpace, search_space
from searchspaces.splits import Budgets, Ratios, Split, Splits
from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.patch import divisors
from searchspaces.stems.projected import ProjectedStem
from searchspaces.stems.resized import ResizedStem

KINDS = ("mixer", "rp_mixer", "sw_mlp", "monarch", "s_mixer")


@search_space("wide_sparse")
def wide_sparse(input: Shape, classes: int, *, omega: Budgets = (2**12, 2**15), ratios: Ratios = 1.0) -> SearchSpace:
    """Networks of the permuted-Kronecker family for images ``input`` = (C, H, W).

    Args:
        omega: budgets, connections of a layer for gamma 1, Omega/gamma; ``split`` has the pairs that keep them.
        ratios: expansions of channel mixing for that of token mixing, gamma; a pair of ``split`` keeps its budget with
            one of them.

    Raises:
        ValueError: if a budget or ratio is out of range.
    """
    side = min(input[1:])
    patches = range(1, min(side, 32) + 1)
    splits = Splits(omega, ratios=ratios)
    choices = (
        Choice("kind", KINDS, KINDS, "Mixer, with permutations at random, unstructured, with unshared blocks, S-Mixer"),
        Choice("split", splits.usual(), splits, "S tokens x C channels, by Omega / gamma; :R where ratios are"),
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
    more = (
        Choice("pattern", ("uniform",), Patterns(without=("own",)), "which blocks (A) of RP-Mixer are random"),
        Choice("sw.density", (1.0,), Numbers(1e-3, 1e3), "connections of SW-MLP, for each of a mixer"),
        Choice("sw.mask", (MASKS[0],), MASKS, "which connections SW-MLP has: a number, by chance, or by fan-in"),
    )

    def to_architecture(picks: Picks) -> Architecture:
        split = splits[picks["split"]]
        stem = _stem(input, str(picks["source"]), split, picks)
        return Architecture(input, classes, stem, _stages(picks, split), AverageHead(norm="layer"))

    def facts(picks: Picks) -> dict[str, Value]:
        split = splits[picks["split"]]
        share = float(picks.get("sw.density", 1.0)) if picks["kind"] == "sw_mlp" else 1.0
        return {**split.facts(), "omega": share * split.omega}

    gone = "S and C are one choice, split: give the budgets as omega in [space], the pairs as split."
    moved = dict.fromkeys(("tokens", "omega", "sw.omega", "sw.split"), gone)
    return SearchSpace("wide_sparse", choices, to_architecture, more, facts, moved)


def _stages(picks: Picks, split: Split) -> tuple[Stage, ...]:
    """The blocks of the kind that is picked; picks that it does not use make no difference.

    Raises:
        ValueError: if the kind cannot have the pair of tokens and channels, or that density.
    """
    depth, kind = int(picks["depth"]), picks["kind"]
    gamma, activation = float(picks["gamma"]), cast(MlpActivation, picks["activation"])
    channel_gamma = gamma * split.ratio
    if kind == "s_mixer":
        if split.ratio != 1:
            raise ValueError(f"S-Mixer has no expansions, so split must have no ratio, got {split}.")
        return (Stage(SMixerBlock(activation), depth),)
    if kind == "sw_mlp":
        return (Stage(_sparse_block(picks, split, gamma, channel_gamma), depth),)

    def block(permutation: Permutation) -> MetaFormerBlock:
        fields: dict[str, Any] = {"activation": activation, "permutation": permutation, "shared": kind != "monarch"}
        return MetaFormerBlock(TokenMLP(gamma, **fields), ChannelMLP(channel_gamma, **fields), norm="layer")

    if kind != "rp_mixer":
        return (Stage(block("commutation"), depth),)
    pattern, random = str(picks.get("pattern", "uniform")), cast(Permutation, picks["permutation"])
    permutations = [random if takes_first(pattern, place + 1) else "commutation" for place in range(depth)]
    return tuple(Stage(block(permutation)) for permutation in permutations)


def _sparse_block(picks: Picks, split: Split, gamma: float, channel_gamma: float) -> MetaFormerBlock:
    usual, share = density(split.tokens, split.channels, split.ratio), float(picks.get("sw.density", 1.0))
    if share * usual > 1:
        raise ValueError(f"sw.density must be at most {1 / usual:g} with split {split}, got {share:g}.")
    fields: dict[str, Any] = {
        "activation": cast(MlpActivation, picks["activation"]),
        "density": None if share == split.ratio == 1 else share * usual,
        "mask": picks.get("sw.mask", MASKS[0]),
    }
    token, channel = SparseMLP(expansion=gamma, **fields), SparseChannelMLP(expansion=channel_gamma, **fields)
    return MetaFormerBlock(token, channel, norm="layer")


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

"""Published networks by name, one family in each file; tests compare them with their published counts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from searchspaces.architecture import Architecture
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.known import (
    affnet,
    asm_rh,
    convmixer,
    mlps,
    ms_mlp,
    poolformer,
    raft_mlp,
    resnet,
    series,
    spartan,
    strip_mlp,
)
from searchspaces.known.small import SURROGATES
from searchspaces.registry import brief, lookup

KNOWN: dict[str, Callable[[], Architecture]] = {
    name: make
    for family in (convmixer, poolformer, spartan, mlps, raft_mlp, ms_mlp, strip_mlp, affnet, asm_rh, resnet, series)
    for name, make in family.NETWORKS.items()
}

OPTION = "freeze"
"""What can be said of a known network besides its name."""


def known_network(text: str) -> Architecture:
    """The network of ``NAME`` or ``NAME,freeze=PATTERN``, which freezes a kind of mixing in all blocks.

    Raises:
        ValueError: if there is no such name, option or pattern.

    Example: ``known_network("mixer_s16,freeze=chans")``.
    """
    name, *options = text.split(",")
    network = lookup(KNOWN, "known network", name)()
    if not options:
        return network
    option, _, pattern = options[0].partition("=")
    if len(options) > 1 or option != OPTION or pattern not in FREEZE_PATTERNS:
        patterns = ", ".join(f"{OPTION}={pattern}" for pattern in FREEZE_PATTERNS)
        raise ValueError(f"after the name {name}, a known network takes one of {patterns}, got {brief(text)}.")
    return frozen(network, pattern)


def frozen(architecture: Architecture, pattern: Freeze) -> Architecture:
    """The network with ``pattern`` in all of its blocks."""
    changes: dict[str, Any] = {OPTION: pattern}  # every kind of block has this field, but `Block` itself has none
    stages = [replace(stage, block=replace(stage.block, **changes)) for stage in architecture.stages]
    return replace(architecture, stages=tuple(stages))


__all__ = ["KNOWN", "OPTION", "SURROGATES", "frozen", "known_network"]

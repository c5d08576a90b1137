"""The way back from a network to the picks of a space that make it."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from searchspaces.architecture import Architecture, Value
from searchspaces.space import SearchSpace

STARTS, SWEEPS = 24, 8
"""Random assignments from which picks are changed one after the other, and how often each of them is gone through."""
TOLD = 3
"""Differences that a message names."""


def picks_of(space: SearchSpace, architecture: Architecture) -> dict[str, Value]:
    """Picks that make a network, of whatever input and number of classes; choices without effect have any option.

    Every choice in turn takes the option that leaves the fewest differences, from several random starts.

    Raises:
        ValueError: if none are found, with what the nearest network of the space has instead.
    """
    wanted = _facts(architecture.canonical())
    best: tuple[int, dict[str, Value]] | None = None
    for start in range(STARTS):
        found = _descend(space, space.first if not start else space.draw(random.Random(start)), wanted)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
        if best is not None and not best[0]:
            return best[1]
    if best is None:
        raise ValueError("no network of the space can be built to compare it with.")
    has = _facts(space.decode(best[1]))
    lacks, instead = (
        ", ".join(f"{name} {value}" for name, value in list(a - b)[:TOLD]) for a, b in ((wanted, has), (has, wanted))
    )
    raise ValueError(
        f"no picks of the space make it: it has {lacks or 'less'}, the nearest network {instead or 'not'}."
    )


def _descend(
    space: SearchSpace, picks: dict[str, Value], wanted: "Counter[tuple[str, str]]"
) -> tuple[int, dict[str, Value]] | None:
    """The fewest differences that are reached by changing one pick after the other; None if nothing can be built."""
    least = _distance(space, picks, wanted)
    for _ in range(SWEEPS):
        before = least
        for choice in space.choices:
            if choice.name not in space.used(picks):
                continue
            for option in choice.options:
                tried = {**picks, choice.name: option}
                distance = _distance(space, tried, wanted)
                if distance is not None and (least is None or distance < least):
                    least, picks = distance, tried
        if least == before or not least:
            break
    return None if least is None else (least, picks)


def _distance(space: SearchSpace, picks: dict[str, Value], wanted: "Counter[tuple[str, str]]") -> int | None:
    network = space.network(picks)
    if network is None:
        return None
    has = _facts(network)
    return (wanted - has).total() + (has - wanted).total()


def _facts(architecture: Architecture) -> "Counter[tuple[str, str]]":
    """What a network is made of: every field of every node, by the place of the node and its name."""
    document = architecture.to_json()
    return Counter(_flat({name: document[name] for name in ("stem", "stages", "head")}, ""))


def _flat(node: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _flat(value, f"{place}.{name}" if place else name)
    elif isinstance(node, list):
        for number, value in enumerate(node, 1):
            yield from _flat(value, f"{place} {number}")
    else:
        yield place, str(node)

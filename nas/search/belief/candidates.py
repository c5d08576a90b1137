"""Where to look for the next network: changes of good ones, crossovers of neighbours, random draws."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from searchspaces import Value

Picks = dict[str, Value]
Options = Mapping[str, Sequence[Value]]
"""What can be picked for each choice."""
T = TypeVar("T")

RANDOM, MUTATED = 0.2, 0.55
"""Shares of candidates; the others are crossovers."""
MOST_CHANGES = 6
MUTATED_TOO = 0.4
"""Share of the crossovers that are changed once more."""
TRIES = 20
"""Draws for each candidate that is wanted before one is content with fewer."""


def drawn(options: Options, generator: random.Random) -> Picks:
    """Uniformly random picks."""
    return {name: generator.choice(values) for name, values in options.items()}


def changed(picks: Mapping[str, Value], options: Options, generator: random.Random, changes: int = 1) -> Picks:
    """The picks with that many choices changed to another option; fewer where there are no more."""
    open_choices = [name for name, values in options.items() if len(values) > 1]
    made = dict(picks)
    for name in generator.sample(open_choices, min(changes, len(open_choices))):
        made[name] = generator.choice([value for value in options[name] if value != made[name]])
    return made


def geometric(generator: random.Random) -> int:
    """How many choices to change: 2 in the mean, at most `MOST_CHANGES`."""
    changes = 1
    while changes < MOST_CHANGES and generator.random() < 0.5:
        changes += 1
    return changes


def crossed(one: Mapping[str, Value], other: Mapping[str, Value], generator: random.Random) -> Picks:
    """Each pick from one of two."""
    return {name: generator.choice((value, other[name])) for name, value in one.items()}


def proposals(
    parents: Sequence[Mapping[str, Value]], options: Options, generator: random.Random
) -> Callable[[], Picks]:
    """A source of candidates.

    Args:
        parents: good picks, sorted by their cost, so that neighbours are alike in it.
    """

    def propose() -> Picks:
        kind = generator.random()
        if not parents or kind < RANDOM:
            return drawn(options, generator)
        place = generator.randrange(len(parents))
        if kind < RANDOM + MUTATED or len(parents) == 1:
            return changed(parents[place], options, generator, geometric(generator))
        other = place + 1 if place == 0 or (place + 1 < len(parents) and generator.random() < 0.5) else place - 1
        child = crossed(parents[place], parents[other], generator)
        return changed(child, options, generator) if generator.random() < MUTATED_TOO else child

    return propose


def collect(propose: Callable[[], Picks], look: Callable[[Picks], T | None], wanted: int) -> list[T]:
    """What ``look`` makes of the first ``wanted`` proposals of which it makes anything."""
    found: list[T] = []
    for _ in range(TRIES * wanted):
        if len(found) == wanted:
            break
        if (seen := look(propose())) is not None:
            found.append(seen)
    return found

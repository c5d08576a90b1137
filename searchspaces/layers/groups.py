"""Groups of channels."""

import math


def check_groups(groups: int, channels: int, *, name: str = "groups") -> None:
    """Makes sure that the channels can be cut into ``groups`` groups of equal size; ``name`` is that of the field.

    Raises:
        ValueError: with the numbers that divide the channels.
    """
    if groups < 1 or channels % groups:
        allowed = [g for g in range(1, channels + 1) if channels % g == 0]
        raise ValueError(
            f"{name} must divide the channels, got {name}={groups} for {channels} channels. "
            f"Allowed: {', '.join(map(str, allowed))}."
        )


def most_groups(channels: int, most: int) -> int:
    """Number of groups that divides the channels, ``most`` if that does, for ``most`` a power of two."""
    return math.gcd(channels, most)

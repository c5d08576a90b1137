"""Which of two kinds of blocks, A and B, stands where: patterns over the stages or the blocks of a network.

Source: 2510.11602, where one dynamic layer in four is as good as all of them. ``first(2)`` of pooling and attention is
MetaFormer's ppaa (2210.13452), of full and depthwise convolutions SpaRTAN's hybrid placement (2507.10999).
"""

import re

PATTERNS = {
    "own": "every stage has picks of its own",
    "uniform": "A everywhere",
    "alternate": "A, B, A, B, ...",
    "first": "first(k): A in the first k places, B in the rest",
    "every": "every(k): A in each k-th place, B elsewhere",
    "only": "only(k): A in the k-th place, B elsewhere",
}
"""Name of each pattern -> what it means."""

NUMBERED = ("first", "every", "only")
"""Patterns that take a number."""


def parse_pattern(pattern: object) -> tuple[str, int]:
    """Name and number of a pattern, ``"first(2)"`` -> ``("first", 2)``; the number is 0 where it takes none.

    Raises:
        ValueError: if it is none.
    """
    match = re.fullmatch(r"([a-z]+)(?:\(([1-9]\d*)\))?", str(pattern))
    if match is None or match[1] not in PATTERNS or (match[1] in NUMBERED) != bool(match[2]):
        raise ValueError(f"pattern must be one of {Patterns()}, got {pattern!r}.")
    return match[1], int(match[2] or 0)


def takes_first(pattern: str, place: int) -> bool:
    """Whether A stands at ``place``, counted from 1.

    Example: ``[takes_first("every(4)", n) for n in range(1, 9)]`` is true for 4 and 8.
    """
    name, number = parse_pattern(pattern)
    if name == "uniform":
        return True
    if name == "alternate":
        return place % 2 == 1
    return {"first": place <= number, "every": place % number == 0, "only": place == number}[name]


class Patterns:
    """Container of the patterns.

    Args:
        without: names of those that make no sense where it is used.
    """

    def __init__(self, *, without: tuple[str, ...] = ()) -> None:
        self.names = [name for name in PATTERNS if name not in without]

    def __contains__(self, value: object) -> bool:
        try:
            name, _ = parse_pattern(value)
        except ValueError:
            return False
        return name in self.names and isinstance(value, str)

    def __str__(self) -> str:
        return ", ".join(f"{name}(K)" if name in NUMBERED else name for name in self.names)

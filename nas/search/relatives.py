"""From whose weights a trial may begin: the complete trial that shares most layers with it, as far as these are kept.

A pure function of the log and of the weights that are there. Nearness is the share of the parameters that can be
copied, not how alike two networks look: a network of another width is near to a person and gives nothing. Networks
that share little (`LEAST`) begin from scratch: a few copied layers between fresh ones would only blur what is compared.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nas.problem import network_of
from nas.store.records import TrialRecord
from searchspaces import Architecture
from searchspaces.inheritance import Layout

LEAST = 0.2
"""Share of its parameters that a network must get from a relative; with less it begins from scratch."""


@dataclass(frozen=True)
class Origin:
    """What a training begins with.

    Args:
        trial: number of the relative; None from scratch.
        share: of the parameters that are copied; from scratch, what the nearest relative would have given.
    """

    trial: int | None
    share: float


class Relatives:
    """The trained networks of a study that others may begin with."""

    def __init__(self) -> None:
        self._trained: dict[int, TrialRecord] = {}
        self._layouts: dict[str, Layout] = {}

    def add(self, record: TrialRecord) -> None:
        """A trial has ended; only what is complete has weights to give."""
        if record.status == "complete":
            self._trained[record.number] = record

    def remove(self, number: int) -> None:
        """The weights of a trial turned out to be lost."""
        self._trained.pop(number, None)

    def nearest(self, architecture: Architecture, has_weights: Callable[[int], bool]) -> Origin:
        """The trial that gives most to a network; of equal ones the first.

        Args:
            has_weights: whether the weights of a trial are kept; asked for the nearest only.
        """
        mine = self._layout(architecture.key, lambda: architecture)
        shares = [(self._share(mine, record), record.number) for record in self._trained.values()]
        for share, number in sorted(shares, key=lambda pair: (-pair[0], pair[1])):
            if share < LEAST:
                return Origin(None, share)
            if has_weights(number):
                return Origin(number, share)
        return Origin(None, 0.0)

    def _share(self, mine: Layout, record: TrialRecord) -> float:
        return round(mine.shared(self._layout(record.key, lambda: network_of(record))), 4)

    def _layout(self, key: str, decoded: Callable[[], Architecture]) -> Layout:
        if key not in self._layouts:
            self._layouts[key] = Layout.of(decoded())
        return self._layouts[key]

"""Who trains on: asynchronous successive halving over lengths of training. A pure function of what has ended.

Every network begins on a short rung. A rung lets networks on to the next as many times as keeps both equally dear: with
epochs 3 and 9 every third, by the rank of what was measured. A sampler that believes says itself who goes on, and when.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nas.results.pareto import non_dominated
from nas.settings import RungSettings
from nas.store.records import TrialRecord
from objectives import Goal, Objective, to_minimise


class Rungs:
    """Networks by the length of their trainings.

    Args:
        settings: None where every network is trained whole, which is one rung.
    """

    def __init__(self, settings: RungSettings | None) -> None:
        self.settings = settings
        self.epochs = settings.epochs if settings else [0]
        self.shares = settings.shares if settings else [1.0]
        self.lengths = settings.lengths if settings else [0.0]
        """In epochs of all training samples."""
        self._ended: list[dict[str, TrialRecord]] = [{} for _ in self.epochs]
        """For each rung its networks by key."""
        self._let_on: list[set[str]] = [set() for _ in self.epochs]
        """Keys of the networks that went on from each rung."""
        self._begun = [0] * len(self.epochs)
        """New networks on each rung."""

    @property
    def last(self) -> int:
        """Number of the rung of whole trainings."""
        return len(self.epochs) - 1

    @property
    def continued(self) -> bool:
        """Whether a longer training goes on from the shorter one of the network."""
        return self.settings is not None and self.settings.form == "continued"

    def of(self, record: TrialRecord) -> int:
        """Number of the rung that a trial was on."""
        if record.status == "complete" or self.settings is None:
            return self.last
        return self.at(record.fidelity)

    def at(self, fidelity: Mapping[str, float]) -> int:
        """Number of the rung of a training; any that is on none counts as a whole one."""
        there: list[tuple[float, float]] = list(zip(self.epochs, self.shares, strict=True))
        one = fidelity.get("epochs", 0), fidelity.get("data", 1)
        return there.index(one) if one in there else self.last

    def taken(self, rung: int, *, promoted: bool = False) -> float:
        """Epochs of a training on a rung; of one that goes on from the rung below those that are added."""
        return self.lengths[rung] - (self.lengths[rung - 1] if promoted and self.continued else 0)

    def ahead(self, rung: int) -> float:
        """Epochs from the end of a training on a rung to that of a whole one."""
        return sum(self.taken(above, promoted=True) for above in range(rung + 1, len(self.lengths)))

    def whole_way(self) -> float:
        """Epochs from the beginning of the next new network to the end of its whole training."""
        return self.taken(self.first()) + self.ahead(self.first())

    def due(self) -> dict[int, int]:
        """How many networks of each rung may still go on, where that keeps the rungs equally dear."""
        found = {}
        for rung in range(self.last):
            may = len(self._ended[rung]) * self.lengths[rung] // self.lengths[rung + 1]
            found[rung] = max(0, int(may) - len(self._let_on[rung]))
        return found

    def begin(self, rung: int, key: str, *, promoted: bool) -> None:
        """A network is being trained on a rung, whether it is new there or was let on from the one below."""
        if promoted:
            self._let_on[rung - 1].add(key)
        else:
            self._begun[rung] += 1

    def end(self, record: TrialRecord) -> None:
        """A trial has ended; what failed goes no further."""
        if record.status in ("complete", "truncated"):
            self._ended[self.of(record)][record.key] = record

    def first(self) -> int:
        """Rung of the next new network: with several brackets, the one that has spent least of its equal share."""
        if self.settings is None or self.settings.brackets == 1:
            return 0
        spent = [n * self.lengths[i] * (len(self.lengths) - i) for i, n in enumerate(self._begun)]
        return int(np.argmin(spent[: self.settings.brackets]))

    def waiting(self, *, all_of_them: bool = False) -> Iterator[tuple[int, list[TrialRecord]]]:
        """Rungs from the last but one down, with the networks of which one may go on now.

        Args:
            all_of_them: whatever was let on already, because there are no new networks.
        """
        due = self.due()
        for rung in reversed(range(self.last)):
            left = [record for key, record in self._ended[rung].items() if key not in self._let_on[rung]]
            if left and (all_of_them or due[rung]):
                yield rung, left

    def ranks(self, rung: int, records: Sequence[TrialRecord], goals: Mapping[str, Goal | Objective]) -> np.ndarray:
        """(n,) for each trial of a rung 1 if no network of the rung dominates it, 1/2 if only these do, and so on."""
        peers = list(self._ended[rung].values())
        costs = np.array([[to_minimise(goal, peer.measured[n]) for n, goal in goals.items()] for peer in peers])
        found, left, rank = np.zeros(len(peers)), np.arange(len(peers)), 1
        while len(left):
            first = non_dominated(costs[left])
            found[left[first]], left, rank = 1 / rank, left[~first], rank + 1
        place = {peer.number: i for i, peer in enumerate(peers)}
        return found[[place[record.number] for record in records]]

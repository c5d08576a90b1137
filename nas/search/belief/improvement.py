"""Expected improvement of the hypervolume by a network whose costs are known and whose other values are believed.

Everything here minimises. The space below the reference point is cut along the coordinates of the front; a new point
dominates of each free cell a box, whose expected size is a product over the objectives, as these are independent.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from nas.results.pareto import non_dominated

CELLS = 64_000
"""Most cells of the grid, which bounds the cuts of each objective: 40 for three, 16 for four."""
CUTS = 64
"""Most cuts of an objective."""


class Improvement:
    """The part of the space that a front leaves free.

    Args:
        front: (f, m) costs, dominated ones among them or not; may be empty.
        reference: (m,) reference point.
    """

    def __init__(self, front: np.ndarray, reference: np.ndarray) -> None:
        m = len(reference)
        most = max(2, min(CUTS, round(CELLS ** (1 / m))))
        inside = front[(front < reference).all(1)] if len(front) else np.empty((0, m))
        inside = inside[non_dominated(inside)]
        self.cuts = [_thinned(np.unique(inside[:, i]), most - 1) for i in range(m)]
        self.cuts = [np.append(cuts, limit) for cuts, limit in zip(self.cuts, reference, strict=True)]
        self._inside = inside

    @cached_property
    def free(self) -> np.ndarray:
        """(cuts of each objective, ...) booleans: which cells below the cuts are not dominated."""
        shape = tuple(map(len, self.cuts))
        dominated = np.zeros(shape, dtype=bool)
        lower = [np.concatenate([[-np.inf], cuts[:-1]]) for cuts in self.cuts]
        for point in self._inside:  # a cell is dominated where its lower corner is
            first = tuple(slice(int(np.searchsorted(low, x)), None) for low, x in zip(lower, point, strict=True))
            dominated[first] = True
        return ~dominated

    def expected(self, outcomes: Sequence[np.ndarray], chances: Sequence[np.ndarray]) -> np.ndarray:
        """(n,) expected growth of the hypervolume.

        Args:
            outcomes: for each objective (n, q) costs that each point may turn out to have; q = 1 for a known one.
            chances: for each objective (q,) how likely each of them is.
        """
        gains = [
            np.diff(np.maximum(cuts - y[:, :, None], 0).transpose(0, 2, 1) @ p, axis=1, prepend=0.0)
            for cuts, y, p in zip(self.cuts, outcomes, chances, strict=True)
        ]
        left: np.ndarray = np.tensordot(
            gains[-1], self.free.astype(float), axes=(1, self.free.ndim - 1)
        )  # (n, other axes)
        for gain in reversed(gains[:-1]):
            left = np.einsum("n...k,nk->n...", left, gain)
        return left


def _thinned(values: np.ndarray, most: int) -> np.ndarray:
    """At most that many of the sorted values, evenly by rank, the first and last among them."""
    if len(values) <= most:
        return values
    kept: np.ndarray = values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]
    return kept

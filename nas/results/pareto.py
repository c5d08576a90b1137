"""Pareto fronts, hypervolume and picks. Everything here minimises: rows are costs, smaller is better.

The hypervolume is exact for any number of objectives (WFG: the volume of each point less the part that the others
dominate already), which beats slicing from four objectives on. Rejected: Optuna's, which is private.
"""

import numpy as np


def non_dominated(costs: np.ndarray) -> np.ndarray:
    """(n,) booleans: which rows of ``costs`` (n, m) no other row dominates.

    A row dominates another if it is nowhere larger and somewhere smaller; equal rows do not dominate each other.

    The first row in lexicographic order is on the front, as only a row before it could dominate it; what it dominates
    leaves, and so on with the next one that is left: as many steps as the front has members, not as there are rows.

    Raises:
        ValueError: if a cost is NaN.
    """
    if np.isnan(costs).any():
        raise ValueError("costs must not be NaN.")
    keep = np.zeros(len(costs), dtype=bool)
    left = np.lexsort(costs.T[::-1])
    while len(left):
        row = costs[left[0]]
        keep[left[(costs[left] == row).all(1)]] = True
        left = left[(costs[left] < row).any(1)]
    return keep


def hypervolume(costs: np.ndarray, reference: np.ndarray) -> float:
    """Volume dominated by ``costs`` and bounded by ``reference``; larger is better.

    Args:
        costs: (n, m), minimised, finite. Rows beyond ``reference`` in any objective add nothing.
        reference: (m,), worse than every point of interest in each objective.

    Raises:
        ValueError: if the shapes disagree or a cost is NaN.

    Source: While, Bradstreet, Barone 2012 (WFG).
    """
    if costs.ndim != 2 or reference.shape != costs.shape[1:]:
        raise ValueError(f"costs (n, m) need a reference (m,), got {costs.shape} and {reference.shape}.")
    if np.isnan(costs).any() or np.isnan(reference).any():
        raise ValueError("costs and reference must not be NaN.")
    inside = costs[(costs < reference).all(1)]
    return _wfg(_front(inside), reference)


def _front(costs: np.ndarray) -> np.ndarray:
    """Non-dominated rows without repeats, sorted by the last objective, worst first."""
    front: np.ndarray = costs[non_dominated(costs)]
    front = front[np.lexsort(front.T)[::-1]]
    new = np.ones(len(front), dtype=bool)
    new[1:] = (front[1:] != front[:-1]).any(axis=1)
    return front[new]


def _wfg(points: np.ndarray, reference: np.ndarray) -> float:
    """Volume of ``points``, which are inside the reference; sorted as `_front` does from three objectives on."""
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - points[:, 0].min())
    if points.shape[1] == 2:
        x, y = points[np.lexsort((points[:, 1], points[:, 0]))].T
        ceilings = np.minimum.accumulate(np.concatenate([reference[1:], y]))[:-1]
        return float(((reference[0] - x) * np.maximum(ceilings - y, 0)).sum())
    total = 0.0
    for i, point in enumerate(points):
        # Later points are no worse in the last objective, so what they cover of this one's box has its full depth.
        rest = np.maximum(points[i + 1 :, :-1], point[:-1])
        covered = _wfg(rest if points.shape[1] == 3 else _front(rest), reference[:-1])
        total += (float(np.prod(reference[:-1] - point[:-1])) - covered) * float(reference[-1] - point[-1])
    return total


def knee(costs: np.ndarray) -> int:
    """Row of the knee: farthest towards the ideal point from the hyperplane through the extremes of the front.

    Each objective is scaled to [0, 1] between the best and the worst of the front; the distance is then largest where
    the sum is smallest. Ties go to the first row.

    Raises:
        ValueError: if there are no rows.

    Source: Das 1999.
    """
    if len(costs) == 0:
        raise ValueError("an empty front has no knee.")
    front = np.flatnonzero(non_dominated(costs))
    ideal, nadir = costs[front].min(0), costs[front].max(0)
    scaled = (costs[front] - ideal) / np.where(nadir > ideal, nadir - ideal, 1.0)
    return int(front[np.argmin(scaled.sum(1))])

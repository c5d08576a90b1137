"""A Gaussian process over measured networks: rows of features in groups, one weight for each group.

Covariance, before it is multiplied by v: ``r (B + own nugget where networks are the same) + O where fidelities are the
same + (1 - own) nugget where a measurement meets itself``, with ``B = (1 - a) exp(-sum_g w_g d_g) + a <x, x'>_w / mean
trace``, d_g the squared distance in group g, ``r = exp(-w_f (f - f')^2)`` for fidelities f from 0 to 1, and O a
constant (`OFFSET`), since how much better all are at one fidelity than at another is not known. So a short training
informs of a long one, and two trainings of one network share all but the luck of a seed. The weights w, the share a of
the linear part, the nugget and the share ``own`` of it that is the network's, not luck, are those of the largest
posterior; v and the mean have closed forms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

STEPS = 30
"""Of the search for the largest posterior."""
NUGGET, LINEAR, OWN, FIDELITY = (-4.0, 1.5), (-1.0, 1.5), (0.0, 1.0), (-1.5, 1.0)
"""Mean and standard deviation of the priors of the nugget's logarithm, of the logits of the linear share and of the
network's share of the nugget, and of the logarithm of the fidelity's weight."""
SPREAD = 1.2
"""Standard deviation of the prior of a weight's logarithm."""
OFFSET = 1.0
"""Variance of the mean of a fidelity, as a multiple of v."""
UNSEEN = -1
"""Number of every network that was not measured."""
OTHERS = 4
"""Hyperparameters beside the weights."""


@dataclass(frozen=True)
class Points:
    """Measurements, or networks to be predicted.

    Args:
        rows: (n, columns) features.
        fidelities: (n,) from 0 for the shortest training to 1 for a whole one.
        networks: (n,) numbers; equal for measurements of one network.
    """

    rows: np.ndarray
    fidelities: np.ndarray
    networks: np.ndarray

    @classmethod
    def whole(cls, rows: np.ndarray, networks: Sequence[int] | np.ndarray | None = None) -> "Points":
        """Whole trainings; of networks that were not measured, unless their numbers are given."""
        return cls(rows, np.ones(len(rows)), np.array(networks if networks is not None else [UNSEEN] * len(rows)))

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Kernel:
    """Hyperparameters.

    Args:
        log_weights: (groups,) logarithms of the weights.
        log_nugget: logarithm of what the features do not say, as a multiple of v.
        logit_linear: logit of the share of the linear part.
        logit_own: logit of the network's share of the nugget.
        log_fidelity: logarithm of the fidelity's weight.
    """

    log_weights: np.ndarray
    log_nugget: float = NUGGET[0]
    logit_linear: float = LINEAR[0]
    logit_own: float = OWN[0]
    log_fidelity: float = FIDELITY[0]

    @classmethod
    def prior(cls, groups: int) -> "Kernel":
        """That of the largest prior."""
        return cls(np.full(groups, np.log(2 / max(4, groups))))

    @classmethod
    def at(cls, point: np.ndarray) -> "Kernel":
        """From all hyperparameters in a row."""
        return cls(point[:-OTHERS], *map(float, point[-OTHERS:]))

    @property
    def point(self) -> np.ndarray:
        """All hyperparameters in a row."""
        others = (self.log_nugget, self.logit_linear, self.logit_own, self.log_fidelity)
        return np.array([*self.log_weights, *others])

    @property
    def linear(self) -> float:
        """Share of the linear part."""
        return _share(self.logit_linear)

    @property
    def own(self) -> float:
        """Share of the nugget that is the network's own."""
        return _share(self.logit_own)

    @property
    def nugget(self) -> float:
        """Variance of what the features do not say, as a multiple of v."""
        return float(np.exp(self.log_nugget))


def _share(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def learn(points: Points, groups: np.ndarray, values: np.ndarray) -> Kernel:
    """Hyperparameters of the largest posterior that is found from the prior's in `STEPS` steps.

    Args:
        points: n measurements.
        groups: (columns,) group of each column, numbered from 0.
        values: (n,) standardised.
    """
    prior = Kernel.prior(int(groups.max(initial=-1)) + 1)
    centre = prior.point
    spread = np.array([*np.full(len(prior.log_weights), SPREAD), *(p[1] for p in (NUGGET, LINEAR, OWN, FIDELITY))])

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        evidence, gradient = _negative_evidence(points, groups, values, Kernel.at(point))
        off = (point - centre) / spread
        return evidence + 0.5 * float(off @ off), gradient + off / spread

    weights = [(c - 5 * SPREAD, c + 5 * SPREAD) for c in prior.log_weights]
    bounds = [*weights, (-10.0, 2.0), (-7.0, 5.0), (-5.0, 5.0), (-7.0, 4.0)]
    return Kernel.at(minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x)


def _negative_evidence(
    points: Points, groups: np.ndarray, values: np.ndarray, kernel: Kernel
) -> tuple[float, np.ndarray]:
    """Minus the logarithm of the likelihood, with v at its best, and its gradient by the hyperparameters."""
    rows, n, weights, share = points.rows, len(points), np.exp(kernel.log_weights)[groups], kernel.linear
    radial = np.exp(-_distances(rows, rows, weights))
    product = (rows * weights) @ rows.T
    trace = max(1e-12, float(np.trace(product)) / n)
    linear = product / trace
    near, offset = _fidelity(points, points, kernel)
    same = near * (points.networks[:, None] == points.networks)
    identity = np.eye(n)
    features = near * ((1 - share) * radial + share * linear)
    nugget = kernel.own * same + (1 - kernel.own) * identity
    factor = cho_factor(features + offset + kernel.nugget * nugget + 1e-8 * identity, lower=True)
    solved = cho_solve(factor, values)
    fit = max(1e-12, float(values @ solved))
    evidence = 0.5 * n * np.log(fit / n) + float(np.log(np.diag(factor[0])).sum())
    slope = cho_solve(factor, identity) - (n / fit) * np.outer(solved, solved)  # of the evidence, twice, by each entry
    by_features = slope * near
    pull = by_features * radial * (1 - share)
    squares = rows * rows
    by_column = -weights * 2 * (pull.sum(1) @ squares - ((pull @ rows) * rows).sum(0))
    by_column += share * weights * ((by_features @ rows) * rows).sum(0) / trace
    by_column -= share * weights * squares.mean(0) * float((by_features * linear).sum()) / trace
    apart = (points.fidelities[:, None] - points.fidelities) ** 2
    gradient = np.empty(len(kernel.log_weights) + OTHERS)
    gradient[:-OTHERS] = 0.5 * np.bincount(groups, by_column, minlength=len(kernel.log_weights))
    gradient[-4] = 0.5 * kernel.nugget * float((slope * nugget).sum())
    gradient[-3] = 0.5 * share * (1 - share) * float((by_features * (linear - radial)).sum())
    gradient[-2] = 0.5 * kernel.nugget * kernel.own * (1 - kernel.own) * float((slope * (same - identity)).sum())
    within = features + kernel.nugget * kernel.own * same
    gradient[-1] = -0.5 * np.exp(kernel.log_fidelity) * float((slope * apart * within).sum())
    return evidence, gradient


def _fidelity(points: Points, others: Points, kernel: Kernel) -> tuple[np.ndarray | float, np.ndarray | float]:
    """(n, m) correlations of fidelities, and covariances of their means; plain numbers where there is only one."""
    if (points.fidelities == 1).all() and (others.fidelities == 1).all():
        return 1.0, 0.0
    apart = (points.fidelities[:, None] - others.fidelities) ** 2
    return np.exp(-np.exp(kernel.log_fidelity) * apart), OFFSET * (apart == 0)


def _distances(rows: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, m) weighted squared distances."""
    left, right = rows * np.sqrt(weights), others * np.sqrt(weights)
    found: np.ndarray = (left * left).sum(1)[:, None] + (right * right).sum(1)[None] - 2 * left @ right.T
    return found.clip(min=0)


class Process:
    """What a kernel and measured values say about other networks.

    Args:
        points: n measurements.
        values: (n,) what was measured, standardised.
    """

    def __init__(self, kernel: Kernel, groups: np.ndarray, points: Points, values: np.ndarray) -> None:
        self.kernel, self.points, self.values = kernel, points, values
        self._weights = np.exp(kernel.log_weights)[groups]
        self._trace = max(1e-12, float((points.rows * points.rows).mean(0) @ self._weights))
        self._luck = (1 - kernel.own) * kernel.nugget + 1e-8
        self._factor = cho_factor(self._covariance(points) + self._luck * np.eye(len(points)), lower=True)
        self._solved = cho_solve(self._factor, values)
        self._scale = max(1e-6, float(values @ self._solved) / len(points))

    def _covariance(self, points: Points) -> np.ndarray:
        """(n, measurements) of what points are in truth with what was measured."""
        share, known = self.kernel.linear, self.points
        radial = np.exp(-_distances(points.rows, known.rows, self._weights))
        made: np.ndarray = (1 - share) * radial
        made += share * ((points.rows * self._weights) @ known.rows.T) / self._trace
        made += self.kernel.own * self.kernel.nugget * (points.networks[:, None] == known.networks)
        near, offset = _fidelity(points, known, self.kernel)
        made *= near
        made += offset
        return made

    @property
    def luck(self) -> float:
        """Standard deviation of a measurement around the truth."""
        return float(np.sqrt(self._scale * self._luck))

    @property
    def smoothed(self) -> np.ndarray:
        """(n,) means of the measured points, which take no covariance any more."""
        smoothed: np.ndarray = self.values - self._luck * self._solved
        return smoothed

    def mean(self, points: Points) -> np.ndarray:
        """(n,) means alone, in half the time."""
        found: np.ndarray = self._covariance(points) @ self._solved
        return found

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """(n,) means and standard deviations of what a noiseless measurement would give."""
        cross = self._covariance(points)
        share, squares = self.kernel.linear, points.rows * points.rows
        alone = (1 - share) + share * squares @ self._weights / self._trace
        # What a network that was never measured has of its own is not counted: no other can inform of it.
        alone += self.kernel.own * self.kernel.nugget * np.isin(points.networks, self.points.networks)
        if not (self.points.fidelities == 1).all():
            alone += OFFSET
        explained = solve_triangular(self._factor[0], cross.T, lower=True)
        variance = self._scale * np.maximum(alone - (explained * explained).sum(0), 1e-10)
        return cross @ self._solved, np.sqrt(variance)


def subset(order: Sequence[int], most: int, generator: np.random.Generator) -> list[int]:
    """At most ``most`` of the numbers, ascending: the first half of them from the front of ``order``, others drawn.

    A number keeps its lot while others are added, so that a generator of the same seed draws nearly the same again.
    """
    if len(order) <= most:
        return sorted(order)
    best, rest = list(order[: most // 2]), list(order[most // 2 :])
    lots = generator.random(max(order) + 1)
    return sorted([*best, *sorted(rest, key=lambda number: lots[number])[: most - len(best)]])

"""A Gaussian process over rows of features in groups, one weight for each group.

Covariance: ``v ((1 - a) exp(-sum_g w_g d_g) + a <x, x'>_w / mean trace + nugget where a row meets itself)``, where d_g
is the squared distance in group g. The weights w, the share a of the linear part and the nugget are those of the
largest posterior; v and the mean have closed forms. Two measurements of one network share all but the nugget, which is
their noise and what the features do not say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

STEPS = 30
"""Of the search for the largest posterior."""
NUGGET, LINEAR = (-4.0, 1.5), (-1.0, 1.5)
"""Mean and standard deviation of the priors of the nugget's logarithm and of the linear share's logit."""
SPREAD = 1.2
"""Standard deviation of the prior of a weight's logarithm."""


@dataclass(frozen=True)
class Kernel:
    """Hyperparameters.

    Args:
        log_weights: (groups,) logarithms of the weights.
        log_nugget: logarithm of the noise's variance, as a multiple of v.
        logit_linear: logit of the share of the linear part.
    """

    log_weights: np.ndarray
    log_nugget: float
    logit_linear: float

    @classmethod
    def prior(cls, groups: int) -> "Kernel":
        """That of the largest prior."""
        return cls(np.full(groups, np.log(2 / max(4, groups))), NUGGET[0], LINEAR[0])

    @property
    def linear(self) -> float:
        """Share of the linear part."""
        return float(1 / (1 + np.exp(-self.logit_linear)))

    @property
    def nugget(self) -> float:
        """Variance of the noise, as a multiple of v."""
        return float(np.exp(self.log_nugget))


def learn(rows: np.ndarray, groups: np.ndarray, values: np.ndarray) -> Kernel:
    """Hyperparameters of the largest posterior that is found from the prior's in `STEPS` steps.

    Args:
        rows: (n, columns).
        groups: (columns,) group of each column, numbered from 0.
        values: (n,) standardised.
    """
    prior = Kernel.prior(int(groups.max(initial=-1)) + 1)
    start = np.array([*prior.log_weights, prior.log_nugget, prior.logit_linear])
    centre = start.copy()
    spread = np.array([*np.full(len(prior.log_weights), SPREAD), NUGGET[1], LINEAR[1]])

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        kernel = Kernel(point[:-2], point[-2], point[-1])
        evidence, gradient = _negative_evidence(rows, groups, values, kernel)
        off = (point - centre) / spread
        return evidence + 0.5 * float(off @ off), gradient + off / spread

    bounds = [*[(c - 5 * SPREAD, c + 5 * SPREAD) for c in prior.log_weights], (-10.0, 2.0), (-7.0, 5.0)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x
    return Kernel(found[:-2], float(found[-2]), float(found[-1]))


def _negative_evidence(
    rows: np.ndarray, groups: np.ndarray, values: np.ndarray, kernel: Kernel
) -> tuple[float, np.ndarray]:
    """Minus the logarithm of the likelihood, with v at its best, and its gradient by the hyperparameters."""
    n, weights, share = len(rows), np.exp(kernel.log_weights)[groups], kernel.linear
    radial = np.exp(-_distances(rows, rows, weights))
    product = (rows * weights) @ rows.T
    trace = max(1e-12, float(np.trace(product)) / n)
    linear = product / trace
    factor = cho_factor((1 - share) * radial + share * linear + (kernel.nugget + 1e-8) * np.eye(n), lower=True)
    solved = cho_solve(factor, values)
    fit = max(1e-12, float(values @ solved))
    evidence = 0.5 * n * np.log(fit / n) + float(np.log(np.diag(factor[0])).sum())
    slope = cho_solve(factor, np.eye(n)) - (n / fit) * np.outer(solved, solved)  # of the evidence, twice, by each entry
    pull = slope * radial * (1 - share)
    squares = rows * rows
    by_column = -weights * 2 * (pull.sum(1) @ squares - ((pull @ rows) * rows).sum(0))
    by_column += share * weights * ((slope @ rows) * rows).sum(0) / trace
    by_column -= share * weights * squares.mean(0) * float((slope * linear).sum()) / trace
    gradient = np.empty(len(kernel.log_weights) + 2)
    gradient[:-2] = 0.5 * np.bincount(groups, by_column, minlength=len(kernel.log_weights))
    gradient[-2] = 0.5 * kernel.nugget * float(np.trace(slope))
    gradient[-1] = 0.5 * share * (1 - share) * float((slope * (linear - radial)).sum())
    return evidence, gradient


def _distances(rows: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, m) weighted squared distances."""
    left, right = rows * np.sqrt(weights), others * np.sqrt(weights)
    found: np.ndarray = (left * left).sum(1)[:, None] + (right * right).sum(1)[None] - 2 * left @ right.T
    return found.clip(min=0)


class Process:
    """What a kernel and measured values say about other rows.

    Args:
        rows: (n, columns) that were measured; the same row may stand there several times.
        values: (n,) what was measured, standardised.
    """

    def __init__(self, kernel: Kernel, groups: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
        self.kernel, self.rows, self.values = kernel, rows, values
        self._weights = np.exp(kernel.log_weights)[groups]
        self._trace = max(1e-12, float((rows * rows).mean(0) @ self._weights))
        covariance = self._covariance(rows, rows) + (kernel.nugget + 1e-8) * np.eye(len(rows))
        self._factor = cho_factor(covariance, lower=True)
        self._solved = cho_solve(self._factor, values)
        self._scale = max(1e-6, float(values @ self._solved) / len(rows))

    def _covariance(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        share = self.kernel.linear
        radial = np.exp(-_distances(rows, others, self._weights))
        made: np.ndarray = (1 - share) * radial + share * ((rows * self._weights) @ others.T) / self._trace
        return made

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) means and standard deviations of what a noiseless measurement would give."""
        cross = self._covariance(rows, self.rows)
        share = self.kernel.linear
        own = (1 - share) + share * (rows * rows) @ self._weights / self._trace
        explained = solve_triangular(self._factor[0], cross.T, lower=True)
        variance = self._scale * np.maximum(own - (explained * explained).sum(0), 1e-10)
        return cross @ self._solved, np.sqrt(variance)


def subset(order: Sequence[int], most: int, generator: np.random.Generator) -> list[int]:
    """At most ``most`` of the numbers, ascending: the first half of them from the front of ``order``, others drawn."""
    if len(order) <= most:
        return sorted(order)
    best, rest = list(order[: most // 2]), np.array(order[most // 2 :])
    drawn = generator.choice(rest, most - len(best), replace=False)
    return sorted([*best, *map(int, drawn)])

"""How sure a front is: what replicates of its members, with other seeds, say of it. Pure functions of what is recorded.

A front of one training each is made of the lucky: its members were chosen for their values, so those are too good on
average. A replicate is not chosen for its value, so the mean of a trial's replicates is right on average, and its own
value counts only while it has none. The noise of a seed is pooled over the trials until one has enough replicates of
its own. Where it is not known at all yet, it is the error that a value states of itself. Whether a trial is on the
front is drawn from these distributions many times, with the errors of objectives correlated as those of replicates are.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nas.results.pareto import hypervolume, non_dominated
from nas.store.confirmations import Protocol, Replicate
from nas.store.records import TrialRecord
from objectives import Estimate, Goal, to_minimise

ENOUGH = 6
"""Replicates from which on a trial's own standard deviation counts, not that of all."""
DRAWS = 1_000
NEAR = (3.0, 2.0, 1.0, 0.5, 0.0)
"""Standard deviations by which a trial may miss the front and still be a near miss: the first with at most `MOST`."""
MOST = 400
"""Trials that are drawn; a thousand draws of so many take a second."""
LEVEL = 0.9
"""Of intervals."""


@dataclass(frozen=True)
class Confirmation:
    """What is known of the trials of a study by one protocol.

    Args:
        protocol: of the replicates; of the values of the search too, if it is that of the search.
        goals: of the front, by name.
        reference: (m,) reference point in costs.
        records: the trials that may be on the front, n of them.
        means, errors: (n, m) costs and their standard errors.
        counts: (n,) replicates; 0 where a value of the search stands in.
        freedom: (n, m) degrees of freedom of the errors; infinite where they are not estimated.
        correlation: (m, m) of the errors of one training.
        flags: trial -> objective -> words, of the replicates.
        once: objectives that were measured of the trials alone, afterwards: their values are those of one seed.
    """

    protocol: Protocol
    goals: Mapping[str, Goal]
    reference: np.ndarray
    records: Sequence[TrialRecord]
    means: np.ndarray
    errors: np.ndarray
    counts: np.ndarray
    freedom: np.ndarray
    correlation: np.ndarray
    flags: Mapping[int, Mapping[str, Sequence[str]]]
    once: Collection[str] = ()

    @cached_property
    def rows(self) -> dict[int, int]:
        """Trial -> row."""
        return {record.number: row for row, record in enumerate(self.records)}

    @cached_property
    def draws(self) -> np.ndarray:
        """(DRAWS, n, m) costs as they may be in truth."""
        random = np.random.default_rng(0)
        normal = random.standard_normal((DRAWS, *self.means.shape)) @ np.linalg.cholesky(self.correlation).T
        freedom = np.maximum(self.freedom, 3)  # with fewer, single draws would be anywhere
        pooled = self.counts < ENOUGH
        chi = np.ones_like(normal)
        for column in range(self.means.shape[1]):
            for own in (False, True):
                rows = np.flatnonzero(pooled != own)
                if len(rows) and np.isfinite(df := float(freedom[rows[0], column])):
                    shape = (DRAWS, len(rows)) if own else (DRAWS, 1)
                    chi[:, rows, column] = random.chisquare(freedom[rows, column] if own else df, shape) / df
                    if own:
                        chi[:, rows, column] *= df / freedom[rows, column]
        return self.means + self.errors * normal / np.sqrt(chi)

    @cached_property
    def members(self) -> np.ndarray:
        """(DRAWS, n) booleans: which trials are on the front of each draw.

        Only the pairs are compared of which one is no worse than the other in some draw, for each objective.
        """
        draws = np.ascontiguousarray(self.draws.transpose(2, 1, 0))  # (m, n, DRAWS)
        possible = (draws.min(2)[:, None, :] <= draws.max(2)[:, :, None]).all(0)  # [beaten, by]
        np.fill_diagonal(possible, False)
        found = np.ones((len(self.records), DRAWS), dtype=bool)
        for row in np.flatnonzero(possible.any(1)):
            others = np.flatnonzero(possible[row])
            no_worse = np.ones((len(others), DRAWS), dtype=bool)
            better = ~no_worse
            for column in draws:
                no_worse &= column[others] <= column[row]
                better |= column[others] < column[row]
            found[row] = ~(no_worse & better).any(0)
        return found.T

    @cached_property
    def chances(self) -> np.ndarray:
        """(n,) probabilities of being on the front."""
        chances: np.ndarray = self.members.mean(0)
        return chances

    def chance(self, number: int) -> float:
        """Probability that a trial is on the front; 0 of one that is far from it."""
        return float(self.chances[self.rows[number]]) if number in self.rows else 0.0

    @cached_property
    def front(self) -> list[TrialRecord]:
        """The trials that are on the front more likely than not, by the first objective, best first."""
        rows = np.flatnonzero(self.chances >= 0.5)
        return [self.records[i] for i in rows[np.lexsort(self.means[rows].T[::-1])].tolist()]

    def cost(self, number: int) -> np.ndarray | None:
        """(m,) mean costs of a trial; None of one that is far from the front."""
        return self.means[self.rows[number]] if number in self.rows else None

    def count(self, number: int) -> int:
        """Replicates of a trial."""
        return int(self.counts[self.rows[number]]) if number in self.rows else 0

    def value(self, number: int, name: str) -> Estimate | None:
        """Mean of an objective over the replicates of a trial, in its own unit; None if it was not measured of any.

        The mean is the geometric one where values are compared by their logarithm.
        """
        if not (n := self.count(number)) or name in self.once:
            return None
        row, column = self.rows[number], list(self.goals).index(name)
        mean, error = float(self.means[row, column]), float(self.errors[row, column])
        value = from_cost(self.goals[name], mean)
        error *= value * np.log(10) if self.goals[name].scale == "count" else 1
        return Estimate(value, standard_error=error, n=n, kind="replicates")

    def interval(self, number: int, name: str) -> tuple[float, float] | None:
        """Interval of level `LEVEL` for the mean over all seeds, by Student's t; None where `value` is."""
        if self.value(number, name) is None:
            return None
        from scipy.stats import t

        row, column = self.rows[number], list(self.goals).index(name)
        mean, error = self.means[row, column], self.errors[row, column]
        reach = error * float(t.ppf(0.5 + LEVEL / 2, self.freedom[row, column])) if error else 0.0
        low, high = sorted(from_cost(self.goals[name], float(mean + sign * reach)) for sign in (-1, 1))
        return (max(low, 0.0), min(high, 1.0)) if self.goals[name].scale == "fraction" else (low, high)

    @cached_property
    def hypervolume(self) -> float:
        """Of the means of the members of the front."""
        return hypervolume(self.means[[self.rows[r.number] for r in self.front]], self.reference)

    @cached_property
    def hypervolume_interval(self) -> tuple[float, float]:
        """Interval of level `LEVEL` for the true hypervolume of these members.

        The basic one of the bootstrap: noise enlarges a hypervolume, of the means and of each draw, so the draws lie
        as far above the means as these above the truth. Their own quantiles held 11 of 16 truths where noise is large.
        """
        rows = [self.rows[record.number] for record in self.front]
        volumes = [hypervolume(draw[rows], self.reference) for draw in self.draws[:: max(1, DRAWS // 200)]]
        low, high = np.quantile(volumes, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
        return max(0.0, float(2 * self.hypervolume - high)), float(2 * self.hypervolume - low)

    def ranks(self, name: str) -> dict[int, tuple[int, int]]:
        """Trial with replicates -> its rank among them by ``name``, best first, in the search and by its replicates."""
        rows = np.flatnonzero(self.counts)
        column, goal = list(self.goals).index(name), self.goals[name]
        before = np.array([to_minimise(goal, self.records[row].measured[name]) for row in rows.tolist()])
        places = [1 + np.searchsorted(np.sort(values), values) for values in (before, self.means[rows, column])]
        return {self.records[row].number: (int(a), int(b)) for row, a, b in zip(rows.tolist(), *places, strict=True)}

    def shift(self, name: str) -> dict[str, float | None]:
        """Kendall's tau between search and replicates, and by how much the search was too good, in the value's unit.

        ``tau`` is None for fewer than two trials, or if all are the same.
        """
        from scipy.stats import kendalltau

        ranks = self.ranks(name)
        pairs = [(r.measured[name], float(v)) for r in self.records if (v := self.value(r.number, name)) is not None]
        tau = float(kendalltau(*zip(*ranks.values(), strict=True)).statistic) if len(ranks) > 1 else np.nan
        sign = 1 if self.goals[name].direction == "maximize" else -1
        optimism = float(np.mean([sign * (search - mean) for search, mean in pairs])) if pairs else None
        return {"tau": None if np.isnan(tau) else tau, "optimism": optimism}

    def figures(self, number: int) -> dict[str, Any]:
        """What is known of a trial, as JSON."""
        values: dict[str, Any] = {}
        for name in self.goals:
            value, interval = self.value(number, name), self.interval(number, name)
            if value is None or interval is None:
                continue
            before, after = self.ranks(name)[number]
            values[name] = {"mean": float(value), "standard_error": value.standard_error, "interval": list(interval)}
            values[name] |= {"rank_in_search": before, "rank": after}
        return {"replicates": self.count(number), "on_front": self.chance(number), "values": values}

    def summary(self) -> dict[str, Any]:
        """What is known of the front as a whole, as JSON."""
        return {
            "epochs": self.protocol.epochs,
            "attack": self.protocol.attack,
            "split": self.protocol.split,
            "replicates": int(self.counts.sum()),
            "trials": int((self.counts > 0).sum()),
            "hypervolume_interval": list(self.hypervolume_interval),
            "shift": {name: self.shift(name) for name in self.goals},
        }

    def notes(self, number: int) -> list[str]:
        """What is known of a trial, in a line for each objective that has noise and one for the front."""
        lines = []
        for name in self.goals:
            value, interval = self.value(number, name), self.interval(number, name)
            if value is not None and interval is not None and value.standard_error:
                trainings = "1 training with another seed" if value.n == 1 else f"{value.n} trainings with other seeds"
                lines.append(
                    f"{name} of {trainings} ({self.protocol}): {value:.4g} ± "
                    f"{value.standard_error:.2g}, {LEVEL:.0%} interval {interval[0]:.4g} to {interval[1]:.4g}"
                )
        return [*lines, f"on the front with a probability of {self.chance(number):.2f}"]


def from_cost(goal: Goal, cost: float) -> float:
    """The value of a cost; what `to_minimise` undoes."""
    value = cost if goal.direction == "minimize" else -cost if goal.scale == "count" else 1 - cost
    if goal.scale == "count":
        value = 10 ** min(max(value, -300.0), 300.0)  # an interval may leave what a float holds
    return float(f"{value:.12g}")  # 0.1, not 0.09999999999999998


def confirm(
    records: Sequence[TrialRecord],
    replicates: Sequence[Replicate],
    protocol: Protocol,
    *,
    goals: Mapping[str, Goal],
    reference: np.ndarray,
    searched: Protocol,
    once: Collection[str] = (),
) -> Confirmation:
    """What the replicates of a protocol say of complete trials.

    Args:
        records: the complete trials.
        goals: of the front, by name.
        searched: protocol of the search; by another one, only trials with replicates can be compared.
        once: goals that were measured of the trials alone; their replicates have the same values.
    """
    of_protocol = [r for r in replicates if r.protocol == protocol and r.record.status == "complete"]
    costs = {
        record.number: np.array([[to_minimise(goal, record.measured[name]) for name, goal in goals.items()]])
        for record in records
    }
    again: dict[int, list[list[float]]] = {}
    flags: dict[int, dict[str, list[str]]] = {}
    for one in of_protocol:
        row = [to_minimise(goal, one.record.measured[name]) for name, goal in goals.items()]
        again.setdefault(one.trial, []).append(row)
        for name, words in one.record.flags.items():
            flags.setdefault(one.trial, {})[name] = sorted({*flags.get(one.trial, {}).get(name, []), *words})
    arrays = {number: np.array(rows) for number, rows in again.items()}
    noise = _Noise.of(list(arrays.values()), len(goals))
    if protocol != searched:
        records = [record for record in records if record.number in arrays]
    means = np.array([(arrays.get(r.number, costs[r.number])).mean(0) for r in records]).reshape(-1, len(goals))
    counts = np.array([len(arrays.get(r.number, ())) for r in records], dtype=int)
    stated = np.array([_stated(r, goals) for r in records]).reshape(-1, len(goals))
    deviations = noise.deviations(arrays, records, stated)
    errors = deviations / np.sqrt(np.maximum(counts, 1))[:, None]
    near = (_near(means, errors, by) | (counts > 0) for by in NEAR)
    kept = np.flatnonzero(
        next((found for found in near if found.sum() <= MOST), non_dominated(means) | (counts > 0))
    ).tolist()
    return Confirmation(
        protocol=protocol,
        goals=goals,
        reference=reference,
        records=[records[i] for i in kept],
        means=means[kept],
        errors=errors[kept],
        counts=counts[kept],
        freedom=noise.freedom(counts)[kept],
        correlation=noise.correlation,
        flags=flags,
        once=once,
    )


@dataclass(frozen=True)
class _Noise:
    """What one seed changes: pooled (m,) deviations with their degrees of freedom, and their correlation."""

    pooled: np.ndarray
    df: int
    correlation: np.ndarray

    @classmethod
    def of(cls, groups: Sequence[np.ndarray], m: int) -> "_Noise":
        """From the (k, m) replicates of each trial."""
        residuals = [group - group.mean(0) for group in groups if len(group) > 1]
        df = sum(len(group) - 1 for group in residuals)
        if not df:
            return cls(np.zeros(m), 0, np.eye(m))
        stacked = np.concatenate(residuals)
        covariance = stacked.T @ stacked / df
        deviations = np.sqrt(np.diag(covariance))
        correlation = np.eye(m)
        if df > 2 * m:
            scale = np.where(deviations > 0, deviations, 1.0)
            correlation = covariance / np.outer(scale, scale)
            correlation = 0.95 * correlation + 0.05 * np.eye(m)  # of full rank, also where a cost has no noise
            np.fill_diagonal(correlation, 1.0)
        return cls(deviations, df, correlation)

    def deviations(
        self, groups: Mapping[int, np.ndarray], records: Sequence[TrialRecord], stated: np.ndarray
    ) -> np.ndarray:
        """(n, m) standard deviations of one training of each trial."""
        found = np.tile(self.pooled, (len(records), 1)) if self.df else stated.copy()
        for row, record in enumerate(records):
            group = groups.get(record.number, np.empty((0, 0)))
            if len(group) >= ENOUGH:
                found[row] = group.std(0, ddof=1)
        return found

    def freedom(self, counts: np.ndarray) -> np.ndarray:
        """(n, m) degrees of freedom of `deviations`."""
        df = np.where(counts >= ENOUGH, counts - 1, self.df if self.df else np.inf)
        return np.repeat(df[:, None].astype(float), len(self.pooled), axis=1)


def _stated(record: TrialRecord, goals: Mapping[str, Goal]) -> list[float]:
    """The standard errors of its costs that a record states itself; 0 where it states none."""
    errors = []
    for name, goal in goals.items():
        error = record.spread.get(name, {}).get("standard_error") or 0.0
        errors.append(error / (record.measured[name] * np.log(10)) if goal.scale == "count" else error)
    return errors


def _near(means: np.ndarray, errors: np.ndarray, by: float) -> np.ndarray:
    """(n,) booleans: which trials would be on the front if they were ``by`` errors better, all others as much worse."""
    if not len(means):
        return np.zeros(0, dtype=bool)
    worst, best = means + by * errors, means - by * errors
    front = worst[non_dominated(worst)]
    return np.array([not ((front <= row).all(1) & (front < row).any(1)).any() for row in best], dtype=bool)


def next_trial(
    state: Confirmation, *, seeds: int, running: Sequence[int] = (), barred: Sequence[int] = ()
) -> int | None:
    """The trial whose replicate says most about who is on the front; None if nothing is in doubt.

    First every member of the front, as it stands, gets ``seeds`` replicates. Then it is the trial whose value explains
    most of the variance of all memberships, near misses and what might dominate them included, times the share of its
    own variance that one more replicate removes.

    Args:
        running: trials of the replicates that have not ended.
        barred: trials that get no more.
    """
    counts = state.counts + np.array([list(running).count(r.number) for r in state.records], dtype=int)
    open_ = np.array([r.number not in barred for r in state.records], dtype=bool)
    lacking = np.flatnonzero((state.chances >= 0.5) & (counts < seeds) & open_)
    if len(lacking):
        return state.records[int(lacking[np.argmin(counts[lacking])])].number
    members = state.members - state.chances
    doubt = members.var(0)
    spread = state.draws.std(0)
    scaled = (state.draws - state.draws.mean(0)) / np.where(spread > 0, spread, 1.0)  # (DRAWS, n, m)
    n, m = state.means.shape
    explained = (members.T @ scaled.reshape(DRAWS, n * m) / DRAWS) ** 2 - doubt[:, None] / DRAWS
    score = np.maximum(explained, 0).sum(0).reshape(n, m).sum(1) / (counts + 1) * open_
    if not score.size or doubt.sum() < 0.01 or score.max() <= 0:
        return None
    return state.records[int(np.argmax(score))].number

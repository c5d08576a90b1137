"""`nas explain`: which choices decide an objective, and what an option does at equal cost.

Both are read off the same few thousand assignments, drawn evenly over the space and within the bounds of the study. For
what shapes decide, the network of each is priced, so that no trial is needed; anything else is what a forest, fitted to
the trials, predicts for it, and how well it predicts trials that it has not seen stands beside. That proposals crowd
where the sampler saw fit is no matter then.

A choice that a network does not read has no option there. Its share is its first-order one: the variance between the
means of its options among the assignments that read it, times the share of those, over the variance of all. So a choice
that is rarely read cannot take the credit of the choice that decides whether it is.

Rejected: Optuna's importances. They take inactive options for real ones: for a study of 80 trials they rank first a
choice that was in effect in two of them; and they take low values for good whatever the direction. Sobol points instead
of a Latin hypercube: with two dozen choices some of them are tied to each other (a choice without effect had 3.6 % of
the variance of MACs).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nas.errors import WrongInputError
from nas.pricing import price
from nas.results.study import Study
from nas.store.records import TrialRecord
from objectives import OBJECTIVES, Goal
from objectives.costs import Count
from searchspaces import SearchSpace, Value

POINTS = 4096
"""Assignments; all of a space that has no more."""
LEAST = 30
"""Trials from which on a forest is fitted, if that is enough for the choices: two for each that is open."""
WORST = 0.1
"""Share of the variance of unseen trials that a forest has to predict to be of use."""
TREES = 100
FITTED = 1000
"""Trials that a forest is fitted to, drawn among more: ten thousand would take minutes and say little more."""
GOOD = 0.25
"""Share of the assignments that counts as good."""
BINS = 20
"""Of equal cost."""
FEW = 5
"""Assignments with an option below which nothing is said of it."""


@dataclass(frozen=True)
class Points:
    """Assignments spread over a space, those of which no network can be made or that exceed a bound left out.

    Args:
        choices: those with several options.
        picks: (n, k) numbers of options.
        read: (n, k) booleans: whether the network reads the choice.
        costs: name -> (n,) values of what shapes decide.
    """

    choices: Mapping[str, Sequence[Value]]
    picks: np.ndarray
    read: np.ndarray
    costs: Mapping[str, np.ndarray]

    def shares(self, values: np.ndarray, among: np.ndarray | None = None) -> dict[str, float]:
        """Choice -> its first-order share of the variance of ``values`` (n,), free of what chance alone would give.

        Args:
            among: (n,) booleans: the assignments that count; all unless given.
        """
        kept = np.ones(len(values), dtype=bool) if among is None else among
        total = float(values[kept].var())
        found = {}
        for column, (name, options) in enumerate(self.choices.items()):
            rows = kept & self.read[:, column]
            if total <= 1e-24 or rows.sum() < 2 * FEW:
                found[name] = 0.0
                continue
            y, pick = values[rows], self.picks[rows, column]
            counts = np.bincount(pick, minlength=len(options))
            present = counts > 0
            sums = np.bincount(pick, y, len(options))
            between = float((sums[present] ** 2 / counts[present]).sum() - y.sum() ** 2 / len(y))
            within = float((y**2).sum() - (sums[present] ** 2 / counts[present]).sum())
            groups = int(present.sum())
            if len(y) < self.size:  # of a sample, the means of options without effect differ too
                between -= (groups - 1) * within / max(1, len(y) - groups)
            found[name] = max(0.0, between / len(y)) / total * float(rows.sum() / kept.sum())
        return found

    @property
    def size(self) -> int:
        """Assignments of the whole space, or more than there are here."""
        return math.prod(map(len, self.choices.values()))

    def effects(self, values: np.ndarray, cost: np.ndarray | None = None) -> dict[str, dict[Value, float]]:
        """Choice -> option -> how much its assignments lie above all that read the choice, in the unit of ``values``.

        Args:
            cost: (n,); given, assignments are compared with those of about the same cost only.
        """
        if cost is not None:
            edges = np.quantile(cost, np.linspace(0, 1, BINS + 1)[1:-1])
            bins = np.searchsorted(edges, cost, side="right")
            means = np.bincount(bins, values, BINS) / np.maximum(np.bincount(bins, minlength=BINS), 1)
            values = values - means[bins]
        found: dict[str, dict[Value, float]] = {}
        for column, (name, options) in enumerate(self.choices.items()):
            rows = self.read[:, column]
            if not rows.any():
                continue
            mean = float(values[rows].mean())
            chosen = {o: rows & (self.picks[:, column] == i) for i, o in enumerate(options)}
            found[name] = {o: float(values[at].mean()) - mean for o, at in chosen.items() if at.sum() >= FEW}
        return found

    @cached_property
    def active(self) -> dict[str, float]:
        """Choice -> share of the assignments that read it."""
        return dict(zip(self.choices, self.read.mean(0).tolist(), strict=True))


def points(space: SearchSpace, costs: Mapping[str, str], bounds: Mapping[str, float], most: int = POINTS) -> Points:
    """Assignments spread over a space.

    Args:
        costs: name -> field of what an architecture costs in all.
        bounds: largest value of each cost.
    """
    choices = {choice.name: choice.options for choice in space.choices if len(choice.options) > 1}
    fixed = space.first
    picks, read, values = [], [], []
    for row in _spread([len(options) for options in choices.values()], most):
        assignment = {**fixed, **{n: o[i] for (n, o), i in zip(choices.items(), row.tolist(), strict=True)}}
        if (network := space.network(assignment)) is None:
            continue
        try:
            counts = price(network).counts
        except ValueError:
            continue
        found = {name: float(getattr(counts, field)) for name, field in costs.items()}
        if any(found[name] > bound for name, bound in bounds.items() if name in found):
            continue
        used = space.used(assignment)
        picks.append(row)
        read.append([name in used for name in choices])
        values.append(list(found.values()))
    shape = (len(picks), len(choices))
    table = np.array(values, dtype=float).reshape(len(picks), len(costs))
    columns = {name: table[:, i] for i, name in enumerate(costs)}
    return Points(choices, np.array(picks, dtype=int).reshape(shape), np.array(read, bool).reshape(shape), columns)


def _spread(sizes: Sequence[int], most: int) -> np.ndarray:
    """(n, k) numbers of options: all assignments, or a Latin hypercube, which has every option equally often."""
    if (every := math.prod(sizes)) <= most:
        return np.stack(np.unravel_index(np.arange(every), tuple(sizes) or (1,)), axis=1)[:, : len(sizes)]
    random = np.random.default_rng(0)
    return np.stack([random.permutation(np.arange(most) % size) for size in sizes], axis=1)


def explain(study: Study, most: int = POINTS) -> dict[str, Any]:
    """What decides the objectives of a study, as JSON.

    Returns:
        ``choices``: share of the networks that read each. ``objectives``: for each of them ``source`` (``priced`` or
        ``forest``), shares of the variance of all assignments (``shares``) and of the best quarter (``good``), the
        effect of every option as such (``effects``) and at equal ``cost`` (``at_equal_cost``); of a forest also
        ``trials``, and ``quality``: the share of the variance of unseen trials that it predicts. Where it says nothing,
        ``refused`` says how many trials it takes.

    Raises:
        WrongInputError: if the study leaves no choice open.
    """
    kinds = {name: OBJECTIVES.get(_kind(study, name)) for name in (*study.objectives, *study.settings.bounds)}
    costs = {name: kind.field for name, kind in kinds.items() if kind is not None and issubclass(kind, Count)}
    spread = points(study.space, costs, study.settings.bounds, most)
    if not spread.choices or not len(spread.picks):
        raise WrongInputError(f"{study.directory} leaves no choice open, so that there is nothing to explain.")
    cost = next((name for name in study.objectives if name in costs), None)
    found = {}
    for name, goal in study.objectives.items():
        if name in costs:
            found[name] = {"source": "priced", **_figures(spread, np.log10(spread.costs[name]), goal, None)}
        else:
            found[name] = _by_forest(study, name, spread, None if cost is None else np.log10(spread.costs[cost]))
    return {
        "assignments": len(spread.picks),
        "choices": spread.active,
        "cost": cost,
        "objectives": found,
    }


def _kind(study: Study, name: str) -> str:
    """The kind of an objective, by the study's name for it."""
    return str(study.settings.objective.get(name, {}).get("kind", name))


def _figures(spread: Points, values: np.ndarray, goal: Goal, cost: np.ndarray | None) -> dict[str, Any]:
    """Shares and effects of values over the assignments, counts by their log10."""
    better = values if goal.direction == "maximize" else -values
    good = better >= np.quantile(better, 1 - GOOD)

    def named(effects: Mapping[str, Mapping[Value, float]]) -> dict[str, dict[str, float]]:
        return {name: {str(option): value for option, value in of.items()} for name, of in effects.items()}

    figures: dict[str, Any] = {"shares": spread.shares(values), "good": spread.shares(values, good)}
    figures["effects"] = named(spread.effects(values))
    if cost is not None:
        figures["at_equal_cost"] = named(spread.effects(values, cost))
    return figures


def _by_forest(study: Study, name: str, spread: Points, cost: np.ndarray | None) -> dict[str, Any]:
    """What a forest says that was fitted to the complete trials."""
    records, goal = study.complete, study.objectives[name]
    need = max(LEAST, 2 * len(spread.choices))
    if len(records) < need:
        return {"source": "forest", "trials": len(records), "refused": f"{need - len(records)} more complete trials"}
    if len(records) > FITTED:
        records = [records[i] for i in np.random.default_rng(0).permutation(len(records))[:FITTED]]
    values = np.array([study.value(record, name) for record in records])
    values = np.log10(values) if goal.scale == "count" else values
    predict, quality = _forest(_trial_features(study, records, spread), values)
    stated = {"source": "forest", "trials": len(records), "quality": quality}
    if quality < WORST:
        return {**stated, "refused": f"about {len(records)} more complete trials"}
    return {**stated, **_figures(spread, predict(_features(spread, spread.picks, spread.read)), goal, cost)}


def _trial_features(study: Study, records: Sequence[TrialRecord], spread: Points) -> np.ndarray:
    """Features of trials, as those of assignments."""
    picks = np.zeros((len(records), len(spread.choices)), dtype=int)
    read = np.zeros(picks.shape, dtype=bool)
    for row, record in enumerate(records):
        used = study.used(record)
        for column, (name, options) in enumerate(spread.choices.items()):
            if name in used and record.picks.get(name) in options:
                picks[row, column], read[row, column] = list(options).index(record.picks[name]), True
    return _features(spread, picks, read)


def _features(spread: Points, picks: np.ndarray, read: np.ndarray) -> np.ndarray:
    """(n, f): for each option 1 where it is picked and read, else 0; for choices of numbers their rank as well."""
    columns = []
    for column, options in enumerate(spread.choices.values()):
        columns += [(picks[:, column] == i) & read[:, column] for i in range(len(options))]
        if not any(isinstance(option, str) for option in options):
            columns.append(np.where(read[:, column], 1 + np.argsort(np.argsort(options))[picks[:, column]], 0))
    return np.stack(columns, axis=1).astype(np.float32)


def _forest(features: np.ndarray, values: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """What predicts values from features, and the share of the variance of unseen trials that it predicts.

    Each tree is fitted to a draw with repeats; a trial is unseen for the third of the trees whose draw it is not in
    (out of bag, Breiman 2001), so that no second forest is fitted to know how good the first one is.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(
        TREES, min_samples_leaf=2, max_features=0.4, bootstrap=True, oob_score=True, random_state=0
    ).fit(features, values)
    return lambda asked: np.asarray(forest.predict(asked)), float(forest.oob_score_) if np.ptp(values) else 0.0

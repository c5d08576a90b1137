"""What paired seeds say of the arms of an ablation: differences with intervals, and verdicts on what was expected.

Everything is taken within a seed first, because what a seed changes is much the same in all arms. Intervals are
Student's t at 95 %, p-values of a family are corrected by Holm 1979, effects are Hedges' g of the paired differences.
Values are of the images that were measured: another choice of images is no part of an interval. Rejected: Wilcoxon's
test, which cannot reach 5 % with fewer than six seeds.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from scipy import stats

from searchspaces.registry import unknown

LEVEL = 0.95
ENOUGH = 3
"""Seeds without which there is no verdict."""
MOST = 10_000
"""Seeds up to which it is looked for how many would decide."""

Relation = Literal["above", "below", "not above", "not below", "within"]
Verdict = Literal["supported", "not supported", "opposite", "undecided"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
TERM = re.compile(r"(?:(\d+\.?\d*|\.\d+)\*)?([A-Za-z_][\w.()]*)")

Values = Mapping[str, Mapping[int, float]]
"""Arm -> seed -> value, of one measure."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms, by their names."""

    weights: Mapping[str, float]

    @classmethod
    def parse(cls, text: str, arms: Sequence[str]) -> Self:
        """The sum that is written as ``full``, ``full - chans`` or ``0.9*full``; ``0`` for none.

        Raises:
            ValueError: if it is no such sum, or an arm is unknown.
        """
        weights: dict[str, float] = {}
        words = text.split()
        if words == ["0"]:
            return cls({})
        for place, word in enumerate(["+", *words]):
            if place % 2 == 0:
                sign = {"+": 1.0, "-": -1.0}.get(word)
                continue
            term = TERM.fullmatch(word)
            if sign is None or term is None:
                raise ValueError(f"it must be arms joined by ' + ' and ' - ', as 0.9*full - chans, got {text!r}.")
            if term[2] not in arms:
                raise ValueError(unknown("arm", term[2], arms))
            weights[term[2]] = weights.get(term[2], 0.0) + sign * float(term[1] or 1)
        if len(words) % 2 == 0:
            raise ValueError(f"it must be arms joined by ' + ' and ' - ', as 0.9*full - chans, got {text!r}.")
        return cls(weights)

    def __sub__(self, other: "Contrast") -> "Contrast":
        names = [*self.weights, *(name for name in other.weights if name not in self.weights)]
        return Contrast({name: self.weights.get(name, 0.0) - other.weights.get(name, 0.0) for name in names})

    def of(self, values: Values) -> np.ndarray:
        """(n,) its value for every seed for which all of its arms have one, in the order of the seeds."""
        seeds = sorted(set.intersection(*(set(values[arm]) for arm in self.weights))) if self.weights else []
        return np.array([sum(w * values[arm][seed] for arm, w in self.weights.items()) for seed in seeds])


@dataclass(frozen=True)
class Sample:
    """The mean of values of several seeds.

    Args:
        n: seeds.
        deviation: of one seed, at least what rounding makes of it.
    """

    n: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: np.ndarray, step: float = 0.0) -> Self:
        """From (n,) values that are multiples of ``step``, as a share of 300 images is of 1/300; 0 for any number.

        Three equal shares do not say that a fourth one would be equal: rounding alone has a deviation of step/sqrt 12.
        """
        if not len(values):
            return cls(0, math.nan, math.nan)
        deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        return cls(len(values), float(values.mean()), max(deviation, step / math.sqrt(12)))

    @property
    def error(self) -> float:
        """Standard error of the mean; NaN of fewer than two seeds."""
        return self.deviation / math.sqrt(self.n) if self.n > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float] | None:
        """That of the mean at `LEVEL`; None of fewer than two seeds."""
        if self.n < 2:
            return None
        half = float(stats.t.ppf(0.5 + LEVEL / 2, self.n - 1)) * self.error
        return self.mean - half, self.mean + half

    def above(self, border: float) -> float:
        """Probability of a mean as large or larger if the true one were ``border``; 1 where nothing is known."""
        if self.n < 2 or math.isinf(border):
            return 1.0 if self.n < 2 or border > 0 else 0.0
        if self.error == 0:
            return float(self.mean <= border)
        return float(stats.t.sf((self.mean - border) / self.error, self.n - 1))

    def below(self, border: float) -> float:
        """Probability of a mean as small or smaller if the true one were ``border``."""
        return Sample(self.n, -self.mean, self.deviation).above(-border)

    @property
    def p(self) -> float:
        """Two-sided p-value of no difference from zero."""
        return min(1.0, 2 * min(self.above(0.0), self.below(0.0)))

    @property
    def effect(self) -> float | None:
        """Hedges' g: the mean in deviations, corrected for few seeds."""
        if self.n < 2 or self.deviation == 0:
            return None
        return self.mean / self.deviation * (1 - 3 / (4 * (self.n - 1) - 1))


@dataclass(frozen=True)
class Compared:
    """One arm against another.

    Args:
        holm: p-value, corrected for all comparisons of the ablation.
    """

    arm: str
    than: str
    measure: str
    difference: Sample
    holm: float = 1.0

    @property
    def different(self) -> bool:
        """Whether the arms differ by more than chance makes them."""
        return self.holm < 1 - LEVEL


@dataclass(frozen=True)
class Expectation:
    """What is expected: a sum of arms beside another, by a measure.

    Args:
        relation: ``above`` and ``below``: by more than the margin; ``not above``, ``not below``: by no more than it;
            ``within`` it either way.
    """

    arm: str
    relation: Relation
    than: str
    margin: float
    measure: str

    def __str__(self) -> str:
        if self.relation == "within":
            return f"{self.measure}: {self.arm} within {self.margin:g} of {self.than}"
        by = f" by more than {self.margin:g}" if self.margin else ""
        return f"{self.measure}: {self.arm} {self.relation} {self.than}{by}"

    @property
    def region(self) -> tuple[float, float]:
        """Borders between which the difference is expected."""
        m = self.margin
        return {
            "above": (m, math.inf),
            "below": (-math.inf, -m),
            "not above": (-math.inf, m),
            "not below": (-m, math.inf),
            "within": (-m, m),
        }[self.relation]


@dataclass(frozen=True)
class Judged:
    """What the values say of an expectation.

    Args:
        seeds: with which an undecided one would be decided, were means and deviations as they are; None if that takes
            more than `MOST`, or it is decided.
    """

    expectation: Expectation
    difference: Sample
    verdict: Verdict
    p: float
    seeds: int | None = None


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for there being several (Holm 1979), in their order.

    Example: ``holm([0.01, 0.04, 0.03])`` is ``[0.03, 0.06, 0.06]``.
    """
    adjusted, largest = [1.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted


def compared(
    values: Mapping[str, Values], pairs: Sequence[tuple[str, str]], steps: Mapping[str, float]
) -> list[Compared]:
    """Every pair of arms by every measure; the correction is for all of them.

    Args:
        values: by measure.
        steps: of a measure, as `Sample.of` takes it.
    """
    found = [
        Compared(arm, than, measure, _difference(Contrast({arm: 1.0, than: -1.0}), of_arms, steps.get(measure, 0.0)))
        for measure, of_arms in values.items()
        for arm, than in pairs
    ]
    adjusted = holm([one.difference.p for one in found])
    return [Compared(one.arm, one.than, one.measure, one.difference, p) for one, p in zip(found, adjusted, strict=True)]


def judged(
    values: Mapping[str, Values], expectations: Sequence[Expectation], steps: Mapping[str, float]
) -> list[Judged]:
    """A verdict on every expectation; p-values are corrected for all of them.

    ``supported``: all of the interval of the difference is where it was expected; ``not supported``: none of it is;
    ``opposite``: none of it is, and the difference has the other sign; ``undecided``: some of it is.
    """
    differences, found = [], []
    for one in expectations:
        of_arms = values[one.measure]
        contrast = Contrast.parse(one.arm, list(of_arms)) - Contrast.parse(one.than, list(of_arms))
        differences.append(_difference(contrast, of_arms, steps.get(one.measure, 0.0)))
    inside = [_inside(one, d) for one, d in zip(expectations, differences, strict=True)]
    outside = [_outside(one, d) for one, d in zip(expectations, differences, strict=True)]
    adjusted = holm(list(map(min, inside, outside)))
    rows = zip(expectations, differences, inside, outside, adjusted, strict=True)
    for one, difference, p_inside, p_outside, p in rows:
        verdict: Verdict = "undecided"
        if p < 1 - LEVEL and difference.n >= ENOUGH:
            verdict = "supported" if p_inside <= p_outside else "not supported"
        if verdict == "not supported" and _is_opposite(one, difference):
            verdict = "opposite"
        seeds = _deciding(one, difference, len(expectations)) if verdict == "undecided" else None
        found.append(Judged(one, difference, verdict, p, seeds))
    return found


def _difference(contrast: Contrast, values: Values, step: float) -> Sample:
    size = math.sqrt(sum(weight**2 for weight in contrast.weights.values()))
    return Sample.of(contrast.of(values), step * size)


def _inside(expectation: Expectation, difference: Sample) -> float:
    """p-value of lying outside where it is expected; twice that of one side, to go with the interval."""
    low, high = expectation.region
    return min(1.0, 2 * max(difference.above(low), difference.below(high)))


def _outside(expectation: Expectation, difference: Sample) -> float:
    """p-value of lying where it is expected."""
    low, high = expectation.region
    return min(1.0, 2 * min(difference.below(low), difference.above(high)))


def _is_opposite(expectation: Expectation, difference: Sample) -> bool:
    """Whether a difference that was to have a sign has the other one."""
    if expectation.relation == "above":
        return 2 * difference.below(0.0) < 1 - LEVEL
    return expectation.relation == "below" and 2 * difference.above(0.0) < 1 - LEVEL


def _deciding(expectation: Expectation, difference: Sample, family: int) -> int | None:
    """Seeds with which the interval would end before the nearest border."""
    if difference.n < 2:
        return ENOUGH
    distance = min(abs(difference.mean - border) for border in expectation.region)
    seeds = np.arange(ENOUGH, MOST + 1)
    half = stats.t.ppf(1 - (1 - LEVEL) / 2 / family, seeds - 1) * difference.deviation / np.sqrt(seeds)
    enough = np.flatnonzero(half < distance)
    return max(int(seeds[enough[0]]), difference.n + 1) if len(enough) else None

"""Rules that choose from the members of a front, and what each gives up: the one place where ``--pick`` is read.

Objectives are compared by their costs (`objectives.to_minimise`), each scaled to [0, 1] between the best and the worst
of what there is to choose from, so that a rule does not depend on units.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nas.errors import WrongInputError, user_input
from nas.results.pareto import knee
from nas.store.records import TrialRecord, brief
from objectives import Goal, as_value, to_minimise
from searchspaces.registry import unknown

RULES = {
    "knee": "knee",
    "trial": "trial:NUMBER",
    "best": "best:OBJECTIVE",
    "one-se": "one-se:OBJECTIVE[,COST]",
    "weights": "weights:OBJECTIVE=WEIGHT,...",
    "nearest": "nearest:OBJECTIVE=VALUE,...",
    "front": "front",
}
"""Kind of rule -> how it is written."""


@dataclass(frozen=True)
class Rule:
    """A rule as it was read.

    Args:
        kind: of `RULES`.
        names: objectives that it names.
        numbers: behind them: weights, or values to be near to; of ``trial`` the number.
    """

    kind: str
    names: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()


def trial_number(text: str) -> int | None:
    """The number of a trial that ``text`` states; None if it states none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


def parse_rule(text: str, objectives: Sequence[str]) -> Rule:
    """The rule that ``text`` states.

    Raises:
        ValueError: if it states none, or names an objective that there is not.
    """
    kind, colon, argument = text.partition(":")
    if kind == "trial" and (number := trial_number(argument)) is not None:
        return Rule(kind, (), (number,))
    if kind not in RULES or kind == "trial" or (":" in RULES[kind]) != bool(argument) or bool(colon) != bool(argument):
        raise ValueError(f"unknown pick {brief(text)}. Known: {', '.join(RULES.values())}.")
    names, numbers = [], []
    for word in argument.split(",") if argument else ():
        name, equals, number_text = word.rpartition("=") if kind in ("weights", "nearest") else (word, "=", "0")
        value = _finite(number_text)
        if not equals or value is None or (kind == "weights" and value < 0):
            raise ValueError(f"pick {brief(text)} needs the form {RULES[kind]}, with numbers from 0 on.")
        if name not in objectives:
            raise ValueError(f"{kind}: {unknown('objective', name, objectives)}")
        names.append(name)
        numbers.append(value)
    if len(set(names)) < len(names) or len(names) > {"best": 1, "one-se": 2}.get(kind, math.inf):
        raise ValueError(f"pick {brief(text)} names too many objectives: it needs the form {RULES[kind]}.")
    if kind == "weights" and not any(numbers):
        raise ValueError(f"pick {brief(text)} needs a weight above 0.")
    return Rule(kind, tuple(names), tuple(numbers))


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Picked:
    """What a rule chose.

    Args:
        record: the member.
        why: why this one, in a sentence.
        neighbours: objective -> the member nearest to it, in scaled costs, of those that are better in the objective;
            those without a better one are left out.
    """

    record: TrialRecord
    why: str
    neighbours: Mapping[str, TrialRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class Members:
    """What there is to choose from: n trials, at least one, with m objectives.

    Args:
        values, errors: (n, m) in the unit of each objective; an error that is not known is NaN.
    """

    records: Sequence[TrialRecord]
    goals: Mapping[str, Goal]
    values: np.ndarray
    errors: np.ndarray

    @cached_property
    def names(self) -> list[str]:
        """Of the objectives."""
        return list(self.goals)

    @cached_property
    def costs(self) -> np.ndarray:
        """(n, m), to be minimised."""
        columns = [
            [to_minimise(goal, value) for value in self.values[:, j].tolist()]
            for j, goal in enumerate(self.goals.values())
        ]
        return np.array(columns).T.reshape(self.values.shape)

    @cached_property
    def scaled(self) -> np.ndarray:
        """(n, m) costs from 0, the best of the members, to 1, the worst; 0 where all are equal."""
        return self._scale(self.costs)

    def _scale(self, costs: np.ndarray) -> np.ndarray:
        best, worst = self.costs.min(0), self.costs.max(0)
        scaled: np.ndarray = (costs - best) / np.where(worst > best, worst - best, 1.0)
        return scaled

    def pick(self, rule: Rule) -> Picked:
        """The member that a rule other than ``trial`` and ``front`` names; of equals, the one that is better elsewhere.

        Raises:
            WrongInputError: if what the rule needs is not known.
        """
        row, why = {
            "knee": self._knee,
            "best": self._best,
            "weights": self._weights,
            "one-se": self._one_se,
            "nearest": self._nearest,
        }[rule.kind](rule)
        return Picked(self.records[row], why, self.neighbours(row))

    def neighbours(self, row: int) -> dict[str, TrialRecord]:
        """See `Picked`."""
        distances = np.linalg.norm(self.scaled - self.scaled[row], axis=1)
        found = {}
        for column, name in enumerate(self.names):
            better = np.flatnonzero(self.costs[:, column] < self.costs[row, column])
            if len(better):
                found[name] = self.records[better[np.argmin(distances[better])]]
        return found

    def _least(self, figures: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Rows by a figure of each, ties by the sum of the scaled costs."""
        among = np.arange(len(self.records)) if rows is None else rows
        order: np.ndarray = among[np.lexsort((self.scaled[among].sum(1), figures[among]))]
        return order

    def _runner_up(self, order: np.ndarray, figures: np.ndarray) -> str:
        return f"; next trial {self.records[order[1]].number}, {figures[order[1]]:.4g}" if len(order) > 1 else ""

    def _knee(self, rule: Rule) -> tuple[int, str]:
        row = knee(self.costs)
        shares = ", ".join(f"{name} {share:.2f}" for name, share in zip(self.names, self.scaled[row], strict=True))
        return row, (
            f"of {self._many()} it is nearest to the best of all objectives together (the knee): on the way from the "
            f"best to the worst of them, 0 to 1, it stands at {shares}"
        )

    def _best(self, rule: Rule) -> tuple[int, str]:
        column = self.names.index(rule.names[0])
        order = self._least(self.costs[:, column])
        values = self.values[:, column]
        best = f"the best {rule.names[0]} of {self._many()}, {values[order[0]]:.4g}"
        return int(order[0]), best + self._runner_up(order, values)

    def _weights(self, rule: Rule) -> tuple[int, str]:
        columns = [self.names.index(name) for name in rule.names]
        sums = self.scaled[:, columns] @ np.array(rule.numbers)
        order = self._least(sums)
        terms = " + ".join(
            f"{weight:g} x {name} {share:.2f}"
            for name, weight, share in zip(rule.names, rule.numbers, self.scaled[order[0], columns], strict=True)
        )
        return int(order[0]), (
            f"the least weighted sum of {self._many()}, each objective from 0, the best of them, to 1, the worst: "
            f"{terms} = {sums[order[0]]:.4g}{self._runner_up(order, sums)}"
        )

    def _one_se(self, rule: Rule) -> tuple[int, str]:
        name, column = rule.names[0], self.names.index(rule.names[0])
        cost = rule.names[1] if len(rule.names) > 1 else self._cheapness(name)
        best = int(self._least(self.costs[:, column])[0])
        value, error = self.values[best, column], self.errors[best, column]
        if np.isnan(error):
            raise WrongInputError(
                f"one-se: the standard error of {name} of trial {self.records[best].number} is not known. "
                "nas confirm finds it; or pick by another rule."
            )
        sign = 1 if self.goals[name].direction == "maximize" else -1
        bound = value - sign * error
        rows = np.flatnonzero(sign * (self.values[:, column] - bound) >= -1e-12 * abs(bound))
        row = int(self._least(self.costs[:, self.names.index(cost)], rows)[0])
        return row, (
            f"the least {cost} of the {len(rows)} of {self._many()} whose {name} is within one standard error of the "
            f"best, {value:.4g} of trial {self.records[best].number} {'less' if sign > 0 else 'plus'} {error:.2g}"
        )

    def _cheapness(self, name: str) -> str:
        """The objective that says what is cheap, if the rule does not."""
        for other, goal in self.goals.items():
            if other != name and (goal.direction, goal.scale) == ("minimize", "count"):
                return other
        raise WrongInputError(
            f"one-se:{name} needs to know what is cheap, as no objective is a cost: one-se:{name},COST."
        )

    def _nearest(self, rule: Rule) -> tuple[int, str]:
        columns = [self.names.index(name) for name in rule.names]
        aims = np.zeros(len(self.names))
        with user_input("nearest"):
            for column, name, number in zip(columns, rule.names, rule.numbers, strict=True):
                aims[column] = to_minimise(self.goals[name], as_value(name, self.goals[name], number))
        distances = np.linalg.norm((self.scaled - self._scale(aims[None]))[:, columns], axis=1)
        order = self._least(distances)
        wanted = ", ".join(f"{name} {number:g}" for name, number in zip(rule.names, rule.numbers, strict=True))
        return int(order[0]), (
            f"of {self._many()} the nearest to {wanted}: {distances[order[0]]:.4g} away, in ranges of the members"
            f"{self._runner_up(order, distances)}"
        )

    def _many(self) -> str:
        return f"{len(self.records)} members" if len(self.records) > 1 else "1 member"

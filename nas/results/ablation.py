"""What the runs of an ablation say: values of the arms, differences, verdicts, as data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from nas.results.contrasts import Compared, Judged, Sample, compared, judged
from nas.results.design import Design
from nas.store.ablations import Run
from nas.store.records import TrialRecord
from objectives import Goal


@dataclass(frozen=True)
class Ablation:
    """The runs of a design, and what they say.

    Args:
        runs: record of every seed of every arm that was trained, by arm and number of the seed.
        samples: values of every arm, by measure and arm.
        pairs: each arm beside the baseline, by every measure.
        verdicts: on what was expected.
    """

    design: Design
    runs: Mapping[str, Mapping[int, TrialRecord]]
    samples: Mapping[str, Mapping[str, Sample]]
    pairs: Sequence[Compared]
    verdicts: Sequence[Judged]

    @classmethod
    def of(cls, design: Design, entries: Sequence[Run]) -> Self:
        """From all runs that were recorded; those of other recipes are left out, the last of one recipe counts."""
        known = {run.recipe: run.record for run in entries}
        split = design.plan.split
        runs = {
            name: {
                replicate: known[recipe]
                for replicate in range(design.plan.seeds)
                if (recipe := arm.recipe(design.seed(replicate), split)) in known
            }
            for name, arm in design.arms.items()
        }
        values = {measure: {arm: _values(of, measure) for arm, of in runs.items()} for measure in design.measures}
        steps = {measure: _step(runs, measure) for measure in design.measures}
        samples = {
            measure: {arm: Sample.of(np.array(list(found.values())), steps[measure]) for arm, found in of_arms.items()}
            for measure, of_arms in values.items()
        }
        base = design.baseline
        pairs = compared(values, [(arm, base) for arm in design.arms if arm != base], steps)
        return cls(design, runs, samples, pairs, judged(values, design.expectations, steps))

    @property
    def missing(self) -> int:
        """Runs that the design asks for and that are not made."""
        return len(self.design.arms) * self.design.plan.seeds - sum(map(len, self.runs.values()))

    @property
    def failed(self) -> list[str]:
        """Runs that failed, each in a line."""
        return [
            f"{arm}, seed {number}: {record.failure}: {record.reason}"
            for arm, of in self.runs.items()
            for number, record in of.items()
            if record.failure
        ]

    def goal(self, measure: str) -> Goal:
        """What the values of a measure mean."""
        return Goal.of(next(iter(self.design.arms.values())).objectives[measure])

    def seconds(self, arm: str) -> float:
        """Mean wall time of a run of an arm; NaN of none."""
        found = [sum(record.seconds.values()) for record in self.runs[arm].values() if not record.failure]
        return float(np.mean(found)) if found else math.nan

    def figures(self) -> dict[str, Any]:
        """All of it as JSON."""
        design = self.design
        return {
            "name": design.settings.name,
            "claim": None if design.plan.claim is None else vars(design.plan.claim),
            "data": design.settings.data.label,
            "split": design.plan.split,
            "seeds": design.plan.seeds,
            "baseline": design.baseline,
            "arms": {name: self._arm(name) for name in design.arms},
            "comparisons": [
                {"arm": one.arm, "than": one.than, "measure": one.measure}
                | _sample(one.difference)
                | {"effect": one.difference.effect, "p": one.difference.p, "holm": one.holm, "different": one.different}
                for one in self.pairs
            ],
            "expectations": [
                {"expected": str(one.expectation), **vars(one.expectation)}
                | _sample(one.difference)
                | {
                    "effect": one.difference.effect,
                    "p": one.p,
                    "verdict": one.verdict,
                    "seeds_that_would_decide": one.seeds,
                }
                for one in self.verdicts
            ],
            "failed": self.failed,
            "missing": self.missing,
        }

    def _arm(self, name: str) -> dict[str, Any]:
        arm, seconds = self.design.arms[name], self.seconds(name)
        values = {
            measure: _sample(self.samples[measure][name]) | {"values": list(_values(self.runs[name], measure).values())}
            for measure in self.design.measures
        }
        known = {"network": arm.architecture.key, "costs": arm.costs, "picks": arm.picks}
        return known | {"seconds": None if math.isnan(seconds) else seconds, "measured": values}


def _values(runs: Mapping[int, TrialRecord], measure: str) -> dict[int, float]:
    return {number: record.measured[measure] for number, record in runs.items() if record.status == "complete"}


def _step(runs: Mapping[str, Mapping[int, TrialRecord]], measure: str) -> float:
    """Of what the values of a measure are multiples: one image in n, where they are shares of images."""
    spreads = [record.spread.get(measure, {}) for of in runs.values() for record in of.values()]
    counts = [spread["n"] for spread in spreads if spread.get("kind") == "binomial" and spread.get("n")]
    return 1 / min(counts) if counts else 0.0


def _sample(sample: Sample) -> dict[str, Any]:
    """A sample as JSON, which has no NaN."""
    figures = {"mean": sample.mean, "deviation": sample.deviation}
    return {
        "n": sample.n,
        **{name: None if math.isnan(value) else value for name, value in figures.items()},
        "interval": None if sample.interval is None else list(sample.interval),
    }

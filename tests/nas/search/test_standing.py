"""Running counts, front and hypervolume are those that the records give when they are looked at together."""

from dataclasses import replace

import numpy as np
import pytest

from nas.results.pareto import hypervolume, non_dominated
from nas.search.standing import Standing
from nas.store.records import TrialRecord
from objectives import OBJECTIVES, to_minimise

OBJECTIVES_OF = {"accuracy": OBJECTIVES["accuracy"](), "robust_accuracy": OBJECTIVES["robust_accuracy"]()}
OBJECTIVES_OF["macs"] = OBJECTIVES["macs"]()
REFERENCE = np.array([1.0, 1.0, 6.0])


def record(number: int, values: tuple[float, float, float]) -> TrialRecord:
    measured = dict(zip(OBJECTIVES_OF, values, strict=True))
    return TrialRecord(number, "complete", {}, {}, str(number), 0, measured=measured)


def records(count: int, seed: int) -> list[TrialRecord]:
    generator = np.random.default_rng(seed)
    fractions = np.round(generator.random((count, 2)), 1)  # with equal values among them
    counts = 10 ** generator.uniform(3, 6.5, count)  # some beyond the reference point
    return [record(i, (a, b, c)) for i, ((a, b), c) in enumerate(zip(fractions.tolist(), counts, strict=True))]


@pytest.mark.parametrize("asked_every", [1, 7, 100])
@pytest.mark.parametrize("seed", range(3))
def test_the_front_and_its_hypervolume_at_every_moment(asked_every: int, seed: int) -> None:
    standing, added = Standing(OBJECTIVES_OF, REFERENCE), []
    for trial in records(150, seed):
        standing.add(trial)
        added.append(trial)
        if len(added) % asked_every == 0:
            costs = np.array([[to_minimise(o, r.measured[n]) for n, o in OBJECTIVES_OF.items()] for r in added])
            front = {r.number for r, on in zip(added, non_dominated(costs), strict=True) if on}
            assert {r.number for r in standing.front} == front
            assert standing.hypervolume == pytest.approx(hypervolume(costs, REFERENCE), rel=1e-9)


def test_counts_and_what_came_in_a_row() -> None:
    standing = Standing(OBJECTIVES_OF, REFERENCE)
    good = record(0, (0.5, 0.5, 1e4))
    bug = replace(good, status="failed", failure="bug", error="Traceback: x", measured={})
    for trial in (good, bug, bug, replace(good, status="infeasible"), replace(good, status="duplicate")):
        standing.add(trial)
    assert (standing.ended, standing.same_bug, len(standing.barren)) == (3, 2, 2)
    assert dict(standing.counts) == {"complete": 1, "failed": 2, "infeasible": 1, "duplicate": 1}
    standing.add(replace(bug, error="Traceback: y"))
    assert (standing.same_bug, len(standing.barren)) == (1, 0)
    standing.add(replace(bug, failure="timeout", error="Traceback: y"))
    assert standing.same_bug == 0


def test_progress_is_a_change_of_the_front() -> None:
    standing = Standing(OBJECTIVES_OF, REFERENCE)
    stale = []
    for values in ((0.5, 0.5, 1e4), (0.4, 0.4, 1e4), (0.5, 0.5, 1e4), (0.9, 0.9, 1e4), (0.90001, 0.9, 1e4)):
        standing.add(record(0, values))
        stale.append(standing.stale)
    assert stale == [0, 1, 2, 0, 0]


TRACEBACK = """Traceback (most recent call last):
  File "/a/nas/trial.py", line 181, in run_trial
    plan.trainer.train(model)
  File "/a/mine.py", line {line}, in train
    raise {kind}("x")
           ^^^^^^
{kind}: {text}
and a second line
"""


def test_the_same_failure_is_the_same_exception_at_the_same_place_whatever_it_says() -> None:
    standing = Standing(OBJECTIVES_OF, REFERENCE)
    counted = []
    for line, kind, text in (
        (7, "ValueError", "seed 1"),
        (7, "ValueError", "seed 2"),
        (7, "KeyError", "seed 3"),
        (8, "KeyError", "seed 3"),
        (8, "KeyError", "seed 4"),
    ):
        error = TRACEBACK.format(line=line, kind=kind, text=text)
        standing.add(replace(record(0, (0.5, 0.5, 1e4)), status="failed", failure="bug", error=error, measured={}))
        assert standing.last is not None
        assert standing.last.reason == f"{kind}: {text}"
        counted.append(standing.same_bug)
    assert counted == [1, 2, 1, 1, 2]

"""How good the fronts are that samplers find, by the number of trained networks.

    python studies/benchmarks/search_quality.py [--problems NAME ...] [--samplers NAME ...] [--seeds N] [--trials N]
                                                [--flight N]

Every search is one of this project's own, with its ledger, bounds, keys and log, but networks are looked up instead of
trained. The figure is the hypervolume of all networks that were trained, in error, error under attack and the logarithm
of MACs, as a share of the true front's. With ``--flight 8`` eight are trained at a time, for random durations.

Problems: the three data sets of NAS-Bench-201 with robustness (see `cells.py`).
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import cells
import landscapes
import lookup
import numpy as np

from nas.problem import Problem
from nas.results.pareto import hypervolume, non_dominated
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import settings_of
from nas.store.history import History
from nas.trial import TrialPlan
from objectives import to_minimise

AT = (25, 50, 100, 200, 400, 1000)
"""Numbers of trials at which fronts are compared."""
SAMPLERS = ("front", "evolution", "tpe", "nsga2", "random")


@dataclass(frozen=True)
class Task:
    """A problem whose answers are known.

    Args:
        study: its tables.
        truth: what training a network gives, by objective.
        best: hypervolume of the true front below the reference point of the problem.
    """

    study: dict[str, Any]
    truth: Callable[[dict[str, Any]], dict[str, float]]
    reference: np.ndarray
    best: float


@cache
def nb201(data: cells.Data) -> Task:
    """NAS-Bench-201 on one data set."""
    costs = cells.all_costs(data)
    costs[:, 2] = np.log10(costs[:, 2])
    reference = np.array([1.01, 1.01, costs[:, 2].max() + 0.01])
    study = {
        **lookup.OBJECTIVES,
        "space": {"kind": "nb201", "data": data},
        "reference": {"macs": 10 ** float(reference[2])},
    }
    return Task(study, cells.truth, reference, hypervolume(costs[non_dominated(costs)], reference))


@cache
def landscape(name: str) -> Task:
    """A space that is made up."""
    costs = landscapes.LANDSCAPES[name]().costs()
    costs[:, 2] = np.log10(costs[:, 2])
    reference = np.array([1.01, 1.01, costs[:, 2].max() + 0.01])
    study = {**lookup.OBJECTIVES, "space": {"kind": name}, "reference": {"macs": 10 ** float(reference[2])}}
    best = hypervolume(costs[non_dominated(costs)], reference)
    return Task(study, partial(landscapes.truth, name), reference, best)


PROBLEMS: dict[str, Callable[[], Task]] = {
    "cifar10": lambda: nb201("cifar10"),
    "cifar100": lambda: nb201("cifar100"),
    "imagenet16": lambda: nb201("ImageNet16-120"),
    "branches": lambda: landscape("branches"),
    "cheap_end": lambda: landscape("cheap_end"),
}


def searched(task: Task, sampler: str, seed: int, trials: int, flight: int) -> tuple[list[float], float, float]:
    """Share of the true hypervolume at each number of trials, CPU seconds a trial, share of proposals redrawn."""
    table = {**task.study, "name": "quality", "seed": seed, "trials": trials, "search": {"sampler": sampler}}
    table["data"] = {"name": "digits", "limit": 100}
    problem, clock = Problem.of(settings_of(table)), random.Random(seed)
    running: list[tuple[float, int, TrialPlan]] = []
    now, rows, spent = 0.0, list[list[float]](), 0.0
    with tempfile.TemporaryDirectory() as folder, History(Path(folder)) as history:
        ledger = Ledger(problem, open_sampler(problem), history)
        while len(rows) < trials and not ledger.end:
            while len(running) < flight and ledger.missing > 0 and not ledger.end:
                started = time.process_time()
                plan = ledger.propose()
                spent += time.process_time() - started
                if plan is not None:
                    running.append((now + clock.lognormvariate(0, 0.5), plan.number, plan))
            if not running:
                break
            running.sort()
            now, _, plan = running.pop(0)
            measured = plan.measured | task.truth(plan.architecture)
            started = time.process_time()
            ledger.book(plan.record("complete", measured=measured))
            spent += time.process_time() - started
            rows.append([to_minimise(problem.objectives[n], measured[n]) for n in problem.settings.objectives])
        redrawn = ledger.standing.redrawn / len(history.records)
    shares = [hypervolume(np.array(rows[:n]), task.reference) / task.best for n in AT if n <= trials]
    return shares, spent / trials, redrawn


def row(name: str, figures: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {name} | {' | '.join(figures)} |"


def main() -> None:
    """Prints a table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--flight", type=int, default=1)
    options = parser.parse_args()
    for name in options.problems:
        task = PROBLEMS[name]()
        at = [n for n in AT if n <= options.trials]
        print(f"\n{name}, {options.seeds} seeds, {options.flight} in flight: median (lower quartile, worst)\n")
        print(row("sampler", [*map(str, at), "ms a trial", "redrawn"]))
        print(row("---", ["---"] * (len(at) + 2)))
        for sampler in options.samplers:
            found = [searched(task, sampler, seed, options.trials, options.flight) for seed in range(options.seeds)]
            shares = np.array([each[0] for each in found])
            figures = [f"{np.median(c):.3f} ({np.quantile(c, 0.25):.3f}, {c.min():.3f})" for c in shares.T]
            figures += [f"{1000 * np.mean([each[1] for each in found]):.0f}"]
            figures += [f"{np.mean([each[2] for each in found]):.0%}"]
            print(row(sampler, figures), flush=True)


if __name__ == "__main__":
    main()

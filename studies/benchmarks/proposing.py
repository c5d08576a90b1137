"""What a proposal costs, by the number of trials that a sampler has learned from, in the whole `mixing` on digits.

    python studies/benchmarks/proposing.py [--samplers NAME ...] [--at N ...] [--asks N] [--plot PNG]
    python studies/benchmarks/proposing.py --workers 8 [--trials N]

Trials of random networks are recorded with values that follow from their costs, and learned from as a search that goes
on learns from its log; then so many proposals are made and booked one after the other, with everything that the ledger
does: decoding, pricing, checks, the log. Milliseconds of CPU of one proposal; the first, for which `front` learns its
hyperparameters anew, apart. It does so whenever the trials are 15 % more.

With ``--workers`` networks are trained on digits, 2 epochs each, with so many workers of Ray: for how much of the time
of all workers, once the first trial has ended, one of them was free because a proposal was not ready.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from unittest.mock import patch

import lookup
import tomli_w

import nas
from nas.problem import Problem
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import SearchSettings, settings_of
from nas.store.history import History
from nas.trial import TrialPlan

STUDY = {
    **lookup.OBJECTIVES,
    "name": "proposing",
    "space": {"kind": "mixing"},
    "data": {"name": "digits", "limit": 100},
}


def values(plan: TrialPlan, generator: random.Random) -> dict[str, float]:
    """Made-up values, better for what costs more."""
    size = plan.measured["macs"]
    share = size / (size + 1e5)
    found = {"accuracy": 0.5 + 0.5 * share, "robust": 0.6 * share}
    return plan.measured | {name: min(1.0, value * generator.uniform(0.7, 1)) for name, value in found.items()}


def searching(problem: Problem, sampler: str, trials: int) -> Problem:
    """The problem with another sampler, for so many trials."""
    return replace(problem, settings=replace(problem.settings, trials=trials, search=SearchSettings(sampler)))


def record(problem: Problem, trials: int, folder: Path) -> None:
    """Writes the log of a random search."""
    generator, drawn = random.Random(trials), searching(problem, "random", trials)
    with History(folder) as history:
        ledger = Ledger(drawn, open_sampler(drawn), history)
        while ledger.standing.ended < trials:
            if (plan := ledger.propose()) is not None:
                ledger.book(plan.record("complete", measured=values(plan, generator)))


def measured(problem: Problem, asks: int, folder: Path) -> tuple[float, float]:
    """CPU milliseconds of the first proposal after the trials of a log, and of those after it."""
    spent, generator = list[float](), random.Random(0)
    with History(folder) as history:
        ledger = Ledger(problem, open_sampler(problem), history)
        while len(spent) <= asks:
            started = time.process_time()
            plan = ledger.propose()
            took = time.process_time() - started
            if plan is not None:
                found = plan.record("complete", measured=values(plan, generator))
                started = time.process_time()
                ledger.book(found)
                spent.append(1000 * (took + time.process_time() - started))
    return spent[0], mean(spent[1:])


def waited(workers: int, trials: int, folder: Path) -> tuple[float, float, float]:
    """Shares of the workers' time for which they waited for a proposal and were busy; seconds that this is about.

    These are the seconds from the first end of a trial, when all workers have long begun, to the last proposal.
    """
    table = {
        **STUDY,
        "objectives": ["accuracy", "macs"],
        "objective": {},
        "trials": trials,
        "bounds": {"macs": 1e6},
        "data": {"name": "digits"},
        "training": {"epochs": 2},
        "execution": {"workers": workers},
    }
    free, propose = list[tuple[float, float]](), Ledger.propose

    def timed(ledger: Ledger) -> TrialPlan | None:
        idle, started = workers - len(ledger.pending), time.perf_counter()
        plan = propose(ledger)
        free.append((time.time(), idle * (time.perf_counter() - started)))
        return plan

    (folder / "study.toml").write_text(tomli_w.dumps(table))
    with patch.object(Ledger, "propose", timed):
        study = nas.search(folder / "study.toml", out=folder / "run")
    begun, last = min(r.ended for r in study.records if r.ended is not None), free[-1][0]
    lost = sum(seconds for at, seconds in free if begun < at <= last)
    busy = sum(sum(r.seconds.values()) for r in study.records if r.ended is not None and begun < r.ended <= last)
    return lost / (workers * (last - begun)), busy / (workers * (last - begun)), last - begun


def plot(found: dict[str, list[float]], at: Sequence[int], path: Path) -> None:
    """Draws the milliseconds of a proposal by the number of trials."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 3.5))
    for sampler, took in found.items():
        axis.loglog(at[: len(took)], took, marker="o", label=sampler)
    axis.set(xlabel="trials", ylabel="CPU ms of a proposal")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> None:
    """Prints the table, and draws it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=["front", "evolution", "tpe", "nsga2"])
    parser.add_argument("--at", nargs="+", type=int, default=[100, 300, 1000, 2000, 5000])
    parser.add_argument("--asks", type=int, default=10)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    if options.workers:
        with tempfile.TemporaryDirectory() as folder:
            lost, busy, seconds = waited(options.workers, options.trials, Path(folder))
        print(f"{options.trials} trials, {options.workers} workers, {seconds:.0f} s:")
        print(f"waited for a proposal {lost:.2%} of their time, trained and measured {busy:.0%}")
        return
    problem, found = Problem.of(settings_of(STUDY)), dict[str, list[tuple[float, float]]]()
    with tempfile.TemporaryDirectory() as folder:
        for told in options.at:
            log = Path(folder) / f"{told} trials"
            log.mkdir()
            record(problem, told, log)
            for sampler in options.samplers:
                own = shutil.copytree(log, log.with_suffix(f".{sampler}"))
                took = measured(searching(problem, sampler, told + options.asks + 1), options.asks, own)
                found.setdefault(sampler, []).append(took)
                print(f"{told} trials, {sampler}: {took[1]:.1f} ms, the first {took[0]:.0f}", file=sys.stderr)
    print(f"| sampler | {' | '.join(f'{n:,} trials' for n in options.at)} |")
    print(f"|---|{'--:|' * len(options.at)}")
    for sampler, each in found.items():
        print(f"| `{sampler}` | {' | '.join(f'{later:.1f} ({first:.0f})' for first, later in each)} |")
    if options.plot:
        plot({sampler: [later for _, later in each] for sampler, each in found.items()}, options.at, options.plot)


if __name__ == "__main__":
    main()

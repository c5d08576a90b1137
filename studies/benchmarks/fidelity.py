"""How well three kinds of cheap training rank networks, each of them a third of a whole one, on two data sets.

    python studies/benchmarks/fidelity.py [--data digits fashion_mnist] [--networks 40] [--out FILE]

Random networks of `mixing` with every operator are trained for 9 epochs with three seeds: the mean of two of them is
the truth. Against it stand, with the third seed, that training itself, which shows how much is luck; its first 3 epochs
(``form = "continued"`` of `[search.rungs]`); 3 epochs with their own whole schedule (``form = "whole"``); and 9 epochs
of a third of the training images (``data = [0.33, 1]``). Kendall's tau, in brackets among the better half by the truth.
What is in FILE is not trained again.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import real
from kept import keep, kept
from mixing_table import EPOCHS, MEASURED, networks, plan_of
from scipy.stats import kendalltau

from nas.problem import Problem
from nas.settings import settings_of
from nas.store.records import trial_seed
from nas.trial import run_trial
from searchspaces import Architecture

SHORT, WHOLE = EPOCHS
KINDS = {
    "another seed": {},
    f"first {SHORT} of {WHOLE} epochs": {"until": SHORT},
    f"{SHORT} epochs": {"epochs": SHORT},
    f"{WHOLE} epochs of a third of the images": {"share": round(SHORT / WHOLE, 2)},
}
"""How a network may be trained, with the third seed."""


def trained(problem: Problem, architecture: Architecture, seed: int, how: dict[str, float]) -> list[float] | None:
    """What one training gives; None if it fails."""
    epochs = int(how.get("epochs", WHOLE))
    plan = plan_of(problem, architecture, epochs=epochs, seed=trial_seed(seed, 0, architecture.key))
    until = int(how["until"]) if "until" in how else None
    plan = replace(plan, share=how.get("share", 1.0), until=until, whole=not how)
    outcome = run_trial(plan, problem.data, checkpoints=plan.checkpoints(lambda _: None))
    measured = outcome.record.measured
    return [measured[name] for name in MEASURED] if outcome.record.status != "failed" else None


def line(problem: Problem, architecture: Architecture) -> dict[str, object]:
    """Everything about one network."""
    started = time.process_time()
    truths = [trained(problem, architecture, seed, {}) for seed in (1, 2)]
    kinds = {kind: trained(problem, architecture, 0, how) for kind, how in KINDS.items()}
    known = {"data": problem.settings.data.name, "key": architecture.key, "seconds": time.process_time() - started}
    return known | {"truths": truths, "kinds": kinds}


def tau(found: np.ndarray, truth: np.ndarray) -> str:
    """Kendall's tau of all, and of the better half."""
    better = truth >= np.median(truth)
    both = (kendalltau(found[rows], truth[rows]).statistic for rows in (np.ones(len(truth), bool), better))
    return "{:.2f} ({:.2f})".format(*both)


def main() -> None:
    """Trains what is not there yet, then prints a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(real.MACS), choices=list(real.MACS))
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("runs/fidelity.jsonl"))
    options = parser.parse_args()
    there = kept(options.out)
    for data in options.data:
        problem = Problem.of(settings_of({"name": f"fidelity_{data}", **real.study(data)}))
        known = {each["key"]: each for each in there if each["data"] == data}
        for network in networks(problem, options.networks):
            key = network.architecture.key
            if key not in known:
                known[key] = line(problem, network.architecture)
                keep(options.out, known[key])
        rows = [each for each in known.values() if None not in (*each["truths"], *each["kinds"].values())]
        truth = np.array([each["truths"] for each in rows]).mean(1)
        print(f"\n{data}, {len(rows)} networks, {sum(each['seconds'] for each in rows):.0f} CPU s\n")
        print(f"| training | {' | '.join(MEASURED)} |\n|---|---|---|")
        for kind in KINDS:
            found = np.array([each["kinds"][kind] for each in rows])
            print(f"| {kind} | {' | '.join(tau(found[:, i], truth[:, i]) for i in range(len(MEASURED)))} |", flush=True)


if __name__ == "__main__":
    main()

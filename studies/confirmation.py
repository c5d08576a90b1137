"""What replicates are worth on a table of networks whose truth is known: do intervals cover it, are fronts truer?

The table is that of Jung et al. 2023 over NAS-Bench-201 (``nas/nb201_robustness.npz`` in ``NAS_DATA``): clean
accuracy, accuracy under PGD and multiply-adds of 6,466 networks. Its values are taken for the truth; a training returns
them with noise, that of a seed, which differs from network to network. Nothing is trained.

    python studies/confirmation.py
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.results.confirmation import Confirmation, confirm, next_trial
from nas.results.pareto import non_dominated
from nas.store.confirmations import Protocol, Replicate
from nas.store.records import TrialRecord
from objectives import Goal, to_minimise

GOALS = {
    "accuracy": Goal("maximize", "fraction"),
    "robust_accuracy": Goal("maximize", "fraction"),
    "macs": Goal("minimize", "count", "MACs"),
}
NOISE = np.array([0.004, 0.012, 0.0])
"""Standard deviation of a seed; of each network it is 0.7 to 1.4 times that."""
SEARCHED = Protocol(epochs=1)


def truths(root: Path) -> np.ndarray:
    """(6466, 3) values of the objectives of all networks of the table."""
    table = np.load(root / "nas" / "nb201_robustness.npz")
    column = {name: i for i, name in enumerate(table["metric_names"].tolist())}
    metrics, ids = table["metrics"], table["evaluated_ids"]
    flops = table["flops"][ids, 0].astype(float)
    return np.stack([metrics[:, column["cifar10/clean"]], metrics[:, column["cifar10/pgd_eps1"]], flops], axis=1)


class Simulated:
    """A study of networks drawn from the table, whose trainings are drawn too.

    Args:
        truth: (n, 3) of its networks.
        seed: of their noise.
    """

    def __init__(self, truth: np.ndarray, seed: int) -> None:
        self.truth, self.random = truth, np.random.default_rng([seed, 1])
        self.noise = NOISE * self.random.uniform(0.7, 1.4, (len(truth), 1))
        self.records = [self._train(number) for number in range(len(truth))]
        self.replicates: list[Replicate] = []

    def _train(self, number: int) -> TrialRecord:
        values = self.truth[number] + self.noise[number] * self.random.standard_normal(3)
        measured = {name: float(v) for name, v in zip(GOALS, values, strict=True)}
        spread = {
            name: {"standard_error": float(np.sqrt(measured[name] * (1 - measured[name]) / 2000)), "n": 2000}
            | {"kind": "binomial"}
            for name in ("accuracy", "robust_accuracy")
        }
        return TrialRecord(number, "complete", {}, {}, str(number), 0, measured=measured, spread=spread)

    def confirmation(self) -> Confirmation:
        """What the replicates so far say."""
        reference = np.array([1.01, 1.01, 9.0])
        return confirm(self.records, self.replicates, SEARCHED, goals=GOALS, reference=reference, searched=SEARCHED)

    def replicate(self, number: int) -> None:
        """Trains a network once more."""
        count = sum(one.trial == number for one in self.replicates)
        self.replicates.append(Replicate(count, SEARCHED, 0, self._train(number)))

    def spend(self, budget: int, seeds: int = 2) -> Confirmation:
        """Replicates as `nas confirm` chooses them, and what they say."""
        for _ in range(budget):
            number = next_trial(self.confirmation(), seeds=seeds)
            if number is None:
                break
            self.replicate(number)
        return self.confirmation()

    def false_members(self, front: list[TrialRecord]) -> int:
        """Members of a reported front that another network of the study dominates in truth."""
        true = set(np.flatnonzero(non_dominated(costs(self.truth))).tolist())
        return sum(record.number not in true for record in front)

    def missed_members(self, front: list[TrialRecord]) -> int:
        """Members of the true front that a reported one lacks."""
        true = set(np.flatnonzero(non_dominated(costs(self.truth))).tolist())
        return len(true - {record.number for record in front})

    def one_seed_front(self) -> list[TrialRecord]:
        """The front of the values of the search."""
        values = np.array([[record.measured[name] for name in GOALS] for record in self.records])
        return [self.records[i] for i in np.flatnonzero(non_dominated(costs(values))).tolist()]


def costs(values: np.ndarray) -> np.ndarray:
    """(n, 3) values as costs."""
    rows = [[to_minimise(goal, v) for goal, v in zip(GOALS.values(), row, strict=True)] for row in values]
    return np.array(rows)


def covered(study: Simulated, state: Confirmation) -> list[bool]:
    """Whether the interval of each noisy value that was replicated holds its truth."""
    found = []
    for record in state.records:
        if state.count(record.number):
            for column, name in enumerate(("accuracy", "robust_accuracy")):
                low, high = state.interval(record.number, name) or (0.0, 0.0)
                found.append(bool(low <= study.truth[record.number, column] <= high))
    return found


def compare(table: np.ndarray, repetitions: int, trials: int, budget: int, say: Callable[[str], None]) -> None:
    """Prints what both ways of spending ``trials + budget`` trainings end with."""
    rows, coverage, chances = [], [], []
    for seed in range(repetitions):
        chosen = np.random.default_rng(seed).permutation(len(table))
        study = Simulated(table[chosen[:trials]], seed)
        state = study.spend(budget)
        more = Simulated(table[chosen[: trials + budget]], seed)
        coverage.append(np.mean(covered(study, state)))
        fronts = (study, study.one_seed_front()), (more, more.one_seed_front()), (study, state.front)
        rows.append([x for one, front in fronts for x in (one.false_members(front), one.missed_members(front))])
        true = set(np.flatnonzero(non_dominated(costs(study.truth))).tolist())
        chances += [(state.chance(record.number), record.number in true) for record in state.records]
    means = np.mean(rows, axis=0)
    say(f"{repetitions} repetitions, {trials} trials and {budget} replicates of each")
    for name, false, missed in zip(("search", "longer search", "confirm"), means[::2], means[1::2], strict=True):
        say(f"{name}: {false:.1f} false members of the front, {missed:.1f} missed")
    say(f"confirm is better than the longer search in {np.mean([r[4] < r[2] for r in rows]):.0%} of the repetitions")
    say(f"intervals of 90 % cover {np.mean(coverage):.1%} of the truths ({min(coverage):.1%} to {max(coverage):.1%})")
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        inside = [true for chance, true in chances if low <= chance < high]
        say(
            f"of {len(inside)} trials with a chance of {low:.1f} to {min(high, 1):.1f}, {np.mean(inside):.0%} are on it"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--budget", type=int, default=100)
    options = parser.parse_args()
    root = Path(os.environ["NAS_DATA"])
    compare(truths(root), options.repetitions, options.trials, options.budget, print)

"""What beginning with the weights of a relative gives, and what it costs: the same networks on digits, both ways.

    python studies/benchmarks/inheritance.py [--seeds 3] [--trials 12] [--epochs 2] [--full 6]

For every seed a random search runs twice, with and without ``training.inherit``: random proposals do not depend on
values, so both train the same networks with the same seeds for as many epochs. Then each network is trained in full
from scratch, with another seed: Kendall's tau says how well the short trainings rank the networks as the full ones do.
``spread`` is the standard deviation of the accuracies between networks. CPU seconds of this process, one thread.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from scipy.stats import kendalltau

import nas
from nas.problem import Problem, network_of
from nas.settings import settings_of
from nas.store.records import TrialRecord, trial_seed
from nas.trial import TrialPlan, run_trial

STUDY: dict[str, Any] = {
    "name": "inheritance",
    "objectives": ["accuracy", "macs"],
    "space": {
        "kind": "mixing",
        "omega": [1024],
        "choices": {"depth": [1, 2, 3], "dim": [16], "mixer": ["conv", "token_mlp", "roll"]},
    },
    "bounds": {"macs": 200_000},
    "data": {"name": "digits"},
    "search": {"sampler": "random"},
}


def searched(folder: Path, table: dict[str, Any]) -> list[TrialRecord]:
    """The complete trials of a search, by number."""
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(tomli_w.dumps(table))
    study = nas.search(folder / "study.toml", out=folder / "run")
    return sorted(study.complete, key=lambda record: record.number)


def in_full(problem: Problem, record: TrialRecord, epochs: int) -> float:
    """Accuracy of a network trained from scratch for longer, with a seed that no trial has."""
    plan = TrialPlan.of(
        problem.settings,
        network_of(record),
        trainer=replace(problem.trainer, epochs=epochs, inherit=False),
        objectives={"accuracy": problem.objectives["accuracy"]},
        seed=trial_seed(problem.settings.seed, record.number, "full"),
    )
    return run_trial(plan, problem.data).record.measured["accuracy"]


def compared(seed: int, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """The figures of one seed."""
    table = {**STUDY, "seed": seed, "trials": options.trials}
    ways = {}
    for inherit in (False, True):
        training = {"epochs": options.epochs, "inherit": inherit}
        ways[inherit] = searched(folder / f"{seed}-{inherit}", {**table, "training": training})
    numbers = [{record.number: record for record in records} for records in ways.values()]
    both = sorted(numbers[0].keys() & numbers[1].keys())
    scratch, inherited = ([one[number].measured["accuracy"] for number in both] for one in numbers)
    problem = Problem.of(settings_of({**table, "training": {"epochs": options.epochs}}))
    full = [in_full(problem, numbers[0][number], options.full) for number in both]
    origins = [numbers[1][number].inherited for number in both]
    heirs = [row for row, origin in enumerate(origins) if origin]
    gains = np.subtract(inherited, scratch)
    return {
        "networks": len(both),
        "inherited": len(heirs),
        "share": float(np.mean([origin["share"] for origin in origins if origin])),
        "scratch": float(np.mean(scratch)),
        "gain": float(gains[heirs].mean()),
        "full": float(np.mean(full)),
        "spread": float(np.std(scratch)),
        "spread inherited": float(np.std(inherited)),
        "tau scratch": float(kendalltau(scratch, full).statistic),
        "tau inherited": float(kendalltau(inherited, full).statistic),
    }


def main() -> None:
    """Prints a row for each seed, and the means with their standard errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--full", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, rows = time.process_time(), list[dict[str, float]]()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            rows.append(compared(seed, options, Path(folder)))
            if seed == 0:
                print(f"| seed | {' | '.join(rows[0])} |\n|---|{'---|' * len(rows[0])}")
            print(f"| {seed} | {' | '.join(f'{value:.3g}' for value in rows[-1].values())} |", flush=True)
    means = np.array([[*row.values()] for row in rows])
    deviation = means.std(0, ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else np.zeros(means.shape[1])
    cells = [f"{mean:.3g} ± {error:.2g}" for mean, error in zip(means.mean(0), deviation, strict=True)]
    print(f"| mean | {' | '.join(cells)} |")
    differences = means[:, -1] - means[:, -2]
    error = differences.std(ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else 0.0
    print(f"tau inherited - tau scratch: {differences.mean():.3f} ± {error:.2g}")
    print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()

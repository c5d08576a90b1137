"""At which density an unstructured MLP computes most nearly what a Mixer does: CKA of their layers, by density.

    python studies/benchmarks/density.py [--data digits] [--split 16x16] [--seeds 3] [--epochs 12] [--limit N]

2306.01470 compares them so and finds the peak at the Mixer's own density, (1/S + 1/C) / 2. A Mixer and, for each
density, a network of the same width with unstructured masks are trained alike with the same seed; the figure is the
mean linear CKA of layers of the same place (stem, blocks, head) on validation images. Two Mixers of different seeds
say how alike networks are that differ in nothing else. CPU seconds of one thread.
"""

import argparse
import time
from statistics import fmean, stdev
from typing import Any

import numpy as np
import safetensors.torch

from nas.export.evaluate import candidate_of
from nas.problem import Problem
from nas.settings import settings_of
from nas.store.records import trial_seed
from nas.trial import TrialPlan, run_trial
from searchspaces import Network, build
from searchspaces.similarity import linear_cka

SHARES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Densities, as shares of the Mixer's own."""
COMMON = {"source": "resize", "gamma": 1.0, "depth": 2, "activation": "gelu"}
IMAGES, BATCH = 500, 100


def problem(options: argparse.Namespace) -> Problem:
    """The study that both kinds are networks of."""
    tokens, channels = map(int, options.split.split("x"))
    table: dict[str, Any] = {
        "name": "density",
        "objectives": ["accuracy"],
        "space": {
            "kind": "wide_sparse",
            "omega": [tokens * channels * (tokens + channels) // 2],
            "choices": {"split": options.split, "sw.density": list(SHARES), "sw.mask": "exact", **COMMON},
        },
        "data": {"name": options.data} | ({"limit": options.limit} if options.limit else {}),
        "training": {"preset": "wide_sparse", "epochs": options.epochs},
    }
    return Problem.of(settings_of(table))


def trained(problem: Problem, picks: dict[str, Any], seed: int) -> tuple[Network, float]:
    """A trained network and its accuracy."""
    architecture = problem.space.decode(problem.space.first | picks)
    plan = TrialPlan.of(
        problem.settings,
        architecture,
        trainer=problem.trainer,
        objectives=problem.objectives,
        seed=trial_seed(problem.settings.seed, seed, "density"),
    )
    outcome = run_trial(plan, problem.data)
    assert outcome.weights is not None, outcome.record.error
    network = build(architecture)
    network.load_state_dict(safetensors.torch.load(outcome.weights))
    return network.eval(), outcome.record.measured["accuracy"]


def told(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{fmean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def main() -> None:
    """Trains and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--split", default="16x16", help="S tokens x C channels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--limit", type=int, help="images, at most")
    options = parser.parse_args()
    started, shared = time.process_time(), problem(options)
    samples = shared.data.validation[np.arange(min(IMAGES, len(shared.data.validation)))]
    alike: dict[str, list[float]] = {}
    accuracy: dict[str, list[float]] = {}
    before: Network | None = None
    for seed in range(options.seeds):
        mixer, reached = trained(shared, {"kind": "mixer"}, seed)
        accuracy.setdefault("mixer", []).append(reached)
        rows = [("mixer", before)] if before else []
        batches = candidate_of(mixer, samples, shared.settings, task=shared.data.task).inputs()[:].split(BATCH)
        for share in SHARES:
            other, reached = trained(shared, {"kind": "sw_mlp", "sw.density": share}, seed)
            accuracy.setdefault(f"{share:g}", []).append(reached)
            rows.append((f"{share:g}", other))
        for name, other in rows:
            found = linear_cka(mixer, other, batches).diagonal
            assert found is not None
            alike.setdefault(name, []).append(found)
        before = mixer
    print("| density, of the Mixer's | mean CKA with the Mixer | accuracy |\n|---|--:|--:|")
    for name in [*(f"{share:g}" for share in SHARES), "mixer"]:
        shown = "the Mixer, another seed" if name == "mixer" else name
        print(f"| {shown} | {told(alike[name]) if name in alike else ''} | {told(accuracy[name])} |")
    print(f"{time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()

"""Networks that are trained when a search asks for them, for `search_quality.py`: nothing is looked up but what was.

A training of a network has one seed, whoever asks, so that two searches which meet at a network see the same values;
each is a line of ``trained.jsonl`` beside the searches, and is not trained twice.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kept import keep, kept
from mixing_table import CHOICES, MEASURED, plan_of
from mixing_table import STUDY as TABLE

from nas.problem import Problem
from nas.settings import settings_of
from nas.store.records import trial_seed
from nas.trial import run_trial
from searchspaces import Architecture
from searchspaces.architecture import key_of

MACS = {"digits": 200_000, "fashion_mnist": 1_000_000}
"""Data set -> multiply-accumulates of a network, at most."""
LEAST = 1_000
"""Of the network, without an error, that would have the whole hypervolume."""
KEPT = Path("runs/trained.jsonl")


def study(data: str) -> dict[str, Any]:
    """Tables of the study: `mixing` with every operator, trained for three epochs and attacked by FGSM."""
    return {
        "objectives": TABLE["objectives"],
        "objective": TABLE["objective"],
        "space": {"kind": "mixing", "omega": [1024, 4096, 16384], "choices": CHOICES},
        "bounds": {"macs": MACS[data]},
        "data": {"name": data} | ({} if data == "digits" else {"limit": 3000}),
        "training": {"epochs": 3},
    }


@dataclass(frozen=True)
class Trained:
    """What networks were worth on a data set, by their keys."""

    problem: Problem
    values: dict[str, dict[str, float]]

    @classmethod
    def of(cls, data: str) -> "Trained":
        """With what was trained before."""
        problem = Problem.of(settings_of({"name": f"trained_{data}", **study(data)}))
        return cls(problem, {line["key"]: line["values"] for line in kept(KEPT) if line["data"] == data})

    def worth(self, architecture: dict[str, Any]) -> dict[str, float]:
        """Of a network, by objective; trains it if nobody has."""
        key, problem = key_of(architecture), self.problem
        if key not in self.values:
            seed = trial_seed(problem.settings.seed, 0, key)
            plan = plan_of(problem, Architecture.from_json(architecture), epochs=problem.trainer.epochs, seed=seed)
            record = run_trial(plan, problem.data).record
            self.values[key] = {name: record.measured.get(name, 0.0) for name in MEASURED}  # 0 if it fails
            keep(KEPT, {"data": problem.settings.data.name, "key": key, "values": self.values[key]})
        return self.values[key]


@cache
def trained(data: str) -> Trained:
    """Those on a data set."""
    return Trained.of(data)

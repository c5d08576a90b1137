"""A table of small `mixing` networks with every operator, trained and attacked on digits, for a short and a long time.

    python studies/benchmarks/mixing_table.py train DIR [--networks N] [--backwards]
    python studies/benchmarks/mixing_table.py pack DIR

``train`` draws different networks below 200,000 multiply-accumulates and trains each for 3 and for 9 epochs, whole
schedules both, with three seeds: one line of a file in DIR for each network. It can be stopped at any moment and
started again; a second process with ``--backwards`` works from the other end. ``pack`` adds what is there to
``mixing_table.npz`` beside this file, from which `search_quality.py` looks networks up; what stands in it is not
trained again (delete it to begin anew, after a change of an operator or of training).
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from kept import keep, kept

from nas.pricing import price
from nas.problem import Problem
from nas.search.belief.features import Encoder, traits_of
from nas.settings import settings_of
from nas.store.records import trial_seed
from nas.trial import TrialPlan, run_trial
from searchspaces import SEARCH_SPACES, Architecture, SearchSpace, Shape, Value
from searchspaces.architecture import key_of
from searchspaces.space import search_space

EPOCHS, SEEDS = (3, 9), 3
"""Fidelities, each with its own whole schedule, and trainings of a network at each."""
MEASURED = ("accuracy", "robust")
PACKED = Path(__file__).with_name("mixing_table.npz")
OPERATORS = SEARCH_SPACES["mixing"]((1, 8, 8), 10)
CHOICES: dict[str, list[Value]] = {
    "depth": [1, 2, 3],
    "gamma": [1, 2, 4],
    "dim": [8, 16, 24, 32],
    "mixer": sorted(next(c.allowed.names() for c in OPERATORS.choices if c.name == "s1.mixer")),
    "channel": sorted(next(c.allowed.names() for c in OPERATORS.choices if c.name == "s1.channel")),
    "kernel": [3, 5, 7],
    "expansion": [1, 2, 4],
}
STUDY: dict[str, Any] = {
    "name": "mixing_table",
    "objectives": ["accuracy", "robust", "macs"],
    "space": {"kind": "mixing", "omega": [1024, 4096, 16384], "choices": CHOICES},
    "bounds": {"macs": 200_000},
    "data": {"name": "digits"},
    "training": {"epochs": EPOCHS[-1]},
    "objective": {"robust": {"kind": "robust_accuracy", "attack": "fgsm", "epsilon": "8/255", "sanity": False}},
}


@dataclass(frozen=True)
class Network:
    """A network of the table, by its place in the order of the draws."""

    number: int
    picks: dict[str, Value]
    architecture: Architecture


def networks(problem: Problem, wanted: int) -> list[Network]:
    """The first ``wanted`` random networks that differ, can be built and keep the bound."""
    found, keys, generator = list[Network](), set[str](), random.Random(0)
    while len(found) < wanted:
        picks = problem.space.draw(generator)
        if problem.probe.refusal(picks) is None:
            architecture = problem.space.decode(picks)
            cheap = not problem.probe.violations(problem.probe.measure(architecture)[0])
            if cheap and architecture.key not in keys:
                keys.add(architecture.key)
                found.append(Network(len(found), picks, architecture))
    return found


def plan_of(problem: Problem, architecture: Architecture, *, epochs: int, seed: int) -> TrialPlan:
    """The training of a network for so many epochs, after which both of its objectives are measured."""
    objectives = {name: problem.objectives[name] for name in MEASURED}
    trainer = replace(problem.trainer, epochs=epochs)
    return TrialPlan.of(problem.settings, architecture, trainer=trainer, objectives=objectives, seed=seed)


def trained(problem: Problem, network: Network) -> dict[str, Any]:
    """The line of a network: what was measured by fidelity and seed, null for what failed, and CPU seconds."""
    values: list[list[list[float] | None]] = []
    seconds = []
    for epochs in EPOCHS:
        values.append([])
        started = time.process_time()
        for seed in range(SEEDS):
            plan = plan_of(
                problem, network.architecture, epochs=epochs, seed=trial_seed(seed, network.number, f"{epochs} epochs")
            )
            record = run_trial(plan, problem.data).record
            complete = record.status == "complete"
            values[-1].append([record.measured[name] for name in MEASURED] if complete else None)
        seconds.append((time.process_time() - started) / SEEDS)
    known = problem.probe.measure(network.architecture)[0]
    line = {"number": network.number, "key": network.architecture.key, "picks": network.picks}
    return line | {"macs": known["macs"], "values": values, "seconds": seconds}


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Every network that was trained, whoever did it."""
    for path in sorted(folder.glob("*.jsonl")):
        yield from kept(path)


def train(folder: Path, wanted: int, *, backwards: bool) -> None:
    """Trains what is not there yet."""
    problem = Problem.of(settings_of(STUDY))
    path = folder / ("backwards.jsonl" if backwards else "forwards.jsonl")
    order = networks(problem, wanted)
    packed = table().number if PACKED.exists() else {}
    for network in reversed(order) if backwards else order:
        key = network.architecture.key
        if key not in packed and all(line["key"] != key for line in lines(folder)):
            keep(path, trained(problem, network))


def pack(folder: Path) -> int:
    """Adds to the table, without networks of which a training failed; returns how many are in it."""
    options = {choice.name: list(choice.options) for choice in Problem.of(settings_of(STUDY)).space.choices}
    found = {line["key"]: line for line in lines(folder) if all(v for each in line["values"] for v in each)}
    known = table().number if PACKED.exists() else {}
    rows = (table().lines() if known else []) + [found[key] for key in sorted(found) if key not in known]
    np.savez_compressed(
        PACKED,
        options=json.dumps(options),
        picks=np.array([[options[name].index(row["picks"][name]) for name in options] for row in rows], np.uint8),
        macs=np.array([row["macs"] for row in rows], np.int64),
        values=np.array([row["values"] for row in rows], np.float32),
        seconds=np.array([row["seconds"] for row in rows], np.float32),
    )
    return len(rows)


class Table:
    """The packed table.

    Attributes:
        options: of every choice, in the order of the columns of the picks.
        macs: (n,) of every network.
        values: (n, fidelities, seeds, objectives) shares of the validation images.
        seconds: (n, fidelities) CPU seconds of one training.
    """

    def __init__(self) -> None:
        found = np.load(PACKED)
        self.options: dict[str, list[Value]] = json.loads(str(found["options"]))
        self._picks, self.macs = found["picks"], found["macs"]
        self.values, self.seconds = found["values"].astype(float), found["seconds"]

    def __len__(self) -> int:
        return len(self.macs)

    def lines(self) -> list[dict[str, Any]]:
        """Every network as it was before it was packed."""
        columns = zip(self.picks, self.macs.tolist(), self.values.tolist(), self.seconds.tolist(), strict=True)
        return [{"picks": p, "macs": m, "values": v, "seconds": s} for p, m, v, s in columns]

    @cached_property
    def picks(self) -> list[dict[str, Value]]:
        """Of every network."""
        named = list(self.options.items())
        return [{name: own[i] for (name, own), i in zip(named, row, strict=True)} for row in self._picks.tolist()]

    @cached_property
    def space(self) -> SearchSpace:
        """In which the networks were drawn."""
        settings = {name: value for name, value in STUDY["space"].items() if name not in ("kind", "choices")}
        return SEARCH_SPACES["mixing"]((1, 8, 8), 10, **settings).narrow(self.options)

    @cached_property
    def architectures(self) -> list[Architecture]:
        """Of every network."""
        return [self.space.decode(picks) for picks in self.picks]

    @cached_property
    def number(self) -> dict[str, int]:
        """Row of a network, by its key."""
        return {architecture.key: i for i, architecture in enumerate(self.architectures)}

    def row(self, architecture: dict[str, Any]) -> int:
        """Row of a network that is given as JSON."""
        return self.number[key_of(architecture)]


@cache
def table() -> Table:
    """The packed table."""
    return Table()


@search_space("mixing_table")
def mixing_table(input: Shape, classes: int) -> SearchSpace:
    """`mixing`, in which picks lead to that network of the table which is most like the one that they stand for.

    Likeness is that of the networks, not of the picks: picks that a network does not use make no difference, as in the
    space itself. As the table was drawn from the space, uniformly random picks lead to each of its networks about
    equally often.
    """
    known = table()
    traits = [traits_of(architecture, price(architecture)) for architecture in known.architectures]
    encoder = Encoder(traits)
    rows = encoder.rows(traits)
    squares = (rows * rows).sum(1)

    @lru_cache(maxsize=100_000)
    def nearest(values: tuple[Value, ...]) -> Architecture:
        architecture = known.space.decode(dict(zip(known.options, values, strict=True)))
        own = encoder.rows([traits_of(architecture, price(architecture))])
        apart = squares - 2 * (rows @ own[0])  # but for a constant
        return known.architectures[int(np.flatnonzero(apart <= apart.min() + 1e-9)[0])]

    choices = known.space.choices
    return SearchSpace("mixing_table", choices, lambda picks: nearest(tuple(picks[name] for name in known.options)))


def truth(architecture: dict[str, Any]) -> dict[str, float]:
    """Means of the trainings for the longest time, by objective."""
    means = table().values[table().row(architecture), -1].mean(0)
    return dict(zip(MEASURED, means.tolist(), strict=True))


def one(plan: TrialPlan, seed: int) -> dict[str, float]:
    """One of the trainings for as long as the plan says, by objective."""
    row = table().values[table().row(plan.architecture), EPOCHS.index(plan.trainer.epochs)]
    return dict(zip(MEASURED, row[seed % SEEDS].tolist(), strict=True))


def all_costs() -> np.ndarray:
    """(n, 3) mean errors and MACs of every network."""
    return np.concatenate([1 - table().values[:, -1].mean(1), table().macs[:, None]], 1)


def main() -> None:
    """Trains or packs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=["train", "pack"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--backwards", action="store_true")
    options = parser.parse_args()
    if options.command == "train":
        train(options.folder, options.networks, backwards=options.backwards)
    else:
        print(f"{pack(options.folder)} networks in {PACKED}")


if __name__ == "__main__":
    main()

"""What an engine costs per trial: ours against plain Optuna and Ray Tune with OptunaSearch, on trials that do nothing.

    python studies/benchmarks/overhead.py [--quick] [--repeats R] [--seconds S] [--only NAME ...]

20 categorical choices of `mixing`, 3 objectives, random sampler, 2 workers where there are workers. Every measurement
is a process of its own; contestants take turns; figures are medians. Needs Ray Tune: pip install "ray[tune]".

CPU is that of the driver process with all its threads, from the first proposal to the last trial's end: imports, data,
the start of Ray and its end are left out, workers and Ray's other processes too. Ours is the whole engine: it prices
every candidate, checks for duplicates, logs with fsync, writes a line and keeps the weights of every trial (on Ray its
workers write them), which the others do not have. Its trials build a network, the others' nothing; inline, that CPU
time is the driver's, and is taken off. Wall times contain it. Random picks ours draws itself; a sampler of Optuna adds
its ask and tell, for random picks what "Optuna, in memory" takes, two to three times that amid other work.
"""

import argparse
import itertools
import json
import math
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}  # as our Ray executor does

REMOVED = ["expansion", "dilation"]
OMEGA = [256, 1024]
SMALL = {"dim": [8, 16]}
"""Choices of `mixing` left out, so that 20 remain, and those that keep its networks small."""
STUDY = {
    "name": "overhead",
    "objectives": ["first", "second", "macs"],
    "objective": {"first": {"kind": "noop", "number": 1}, "second": {"kind": "noop", "number": 2}},
    "space": {"kind": "mixing", "omega": OMEGA, "remove": REMOVED, "choices": SMALL},
    "training": {"kind": "noop"},
    "search": {"sampler": "random"},
}


class Clock:
    """CPU and wall seconds between the first start and the last stop."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None
        self.apart = 0.0
        """CPU seconds in between that are not the engine's."""

    def start(self) -> None:
        """Starts, the first time."""
        self.first = self.first or (time.process_time(), time.perf_counter())

    def stop(self) -> None:
        """Stops, for now."""
        cpu, wall = self.first or (math.nan, math.nan)
        self.seconds = {"cpu": time.process_time() - cpu - self.apart, "wall": time.perf_counter() - wall}


def choices() -> dict[str, list[Any]]:
    """The open choices of the study, with their options."""
    from searchspaces import SEARCH_SPACES

    space = SEARCH_SPACES["mixing"]((1, 8, 8), 10, omega=tuple(OMEGA)).narrow(SMALL).remove(REMOVED)
    return {choice.name: list(choice.options) for choice in space.choices if len(choice.options) > 1}


def ours(n: int, directory: Path, clock: Clock, execution: dict[str, Any]) -> int:
    """Our engine; the clock starts with its first sign of life, when the executor stands."""
    import noop  # noqa: F401 (registers, as a part of the house; a plugin would travel to workers by value)
    import tomli_w
    from rich.console import Console

    from nas.search.executors import inline
    from nas.search.launch import launch
    from nas.show.progress import Progress

    class Timed(Progress):
        def update(self, *state: Any) -> None:
            clock.start()
            super().update(*state)
            if state[0].ended == n:
                clock.stop()

    run_trial = inline.run_trial

    def trial(*arguments: Any) -> Any:
        started = time.process_time()
        outcome = run_trial(*arguments)
        clock.apart += time.process_time() - started
        return outcome

    inline.run_trial = trial
    (directory / "overhead.toml").write_text(tomli_w.dumps({**STUDY, "trials": n, "execution": execution}))
    with open(directory / "progress", "w") as file:
        watcher = Timed(Console(file=file))
        return len(launch(directory / "overhead.toml", out=directory / "run", watcher=watcher).complete)


def plain(n: int, directory: Path, clock: Clock, storage: str | None) -> int:
    """Optuna alone."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept: Any = storage and storage.format(directory)
    if storage and storage.startswith("journal"):
        kept = JournalStorage(JournalFileBackend(str(directory / "journal")))
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=kept, sampler=sampler, directions=["minimize"] * 3)
    space, generator = choices(), random.Random(0)

    def objective(trial: optuna.Trial) -> list[float]:
        for name, options in space.items():
            trial.suggest_categorical(name, options)
        return [generator.random() for _ in range(3)]

    clock.start()
    study.optimize(objective, n_trials=n)
    clock.stop()
    return len(study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]))


def tune(n: int, directory: Path, clock: Clock, reuse_actors: bool) -> int:
    """Ray Tune with OptunaSearch, all else as it comes."""
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    class Timed(OptunaSearch):
        def suggest(self, trial_id: str) -> Any:
            clock.start()
            return super().suggest(trial_id)

    class End(tune.Callback):
        def on_trial_complete(self, **info: Any) -> None:
            clock.stop()

    def trial(config: dict[str, Any]) -> dict[str, float]:
        generator = random.Random(str(config))
        return {name: generator.random() for name in metrics}

    metrics = ["first", "second", "third"]
    space = {name: optuna.distributions.CategoricalDistribution(options) for name, options in choices().items()}
    search = Timed(space, metric=metrics, mode=["min"] * 3, sampler=optuna.samplers.RandomSampler(seed=0))
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    tuning = tune.TuneConfig(search_alg=search, num_samples=n, reuse_actors=reuse_actors)
    running = tune.RunConfig(name="run", storage_path=str(directory), callbacks=[End()])
    results = tune.Tuner(trial, tune_config=tuning, run_config=running).fit()
    ray.shutdown()
    return len(results) - results.num_errors


CONTESTANTS: dict[str, tuple[Callable[..., int], Any]] = {
    "ours, inline": (ours, {"workers": 1}),
    "ours, on Ray": (ours, {"workers": 2, "ray": "local"}),
    "Optuna, in memory": (plain, None),
    "Optuna, SQLite": (plain, "sqlite:///{}/optuna.db"),
    "Optuna, journal file": (plain, "journal"),
    "Tune": (tune, False),
    "Tune, reuse_actors": (tune, True),
}
Found = dict[tuple[str, int], dict[str, float]]
"""Median CPU and wall milliseconds per trial, by contestant and number of trials."""
GOALS = (
    ("ours, on Ray", "Tune", 1 / 10),
    ("ours, on Ray", "Tune, reuse_actors", 1 / 4),
    ("ours, on Ray", "Optuna, SQLite", 1 / 10),
)


def measure(name: str, n: int, seconds: float, directory: Path) -> dict[str, float] | None:
    """CPU and wall seconds of ``n`` trials in a process of their own; None if they take longer than ``seconds``."""
    for _ in range(2):  # once more where something ends Ray's processes
        # Folders stay to the end: a file system that has just deleted thousands is slow in making new ones.
        place = Path(tempfile.mkdtemp(dir=directory))
        command = [sys.executable, __file__, "--measure", name, str(n), str(place)]
        with open(place / "output", "w") as output:
            try:  # a minute for what is not measured
                status = subprocess.run(command, stdout=output, stderr=output, timeout=seconds + 60).returncode
            except subprocess.TimeoutExpired:
                return None
        if status == 0:
            found: dict[str, float] = json.loads((place / "result.json").read_text())
            return found
    raise SystemExit(f"{name}, {n} trials, failed twice:\n{(place / 'output').read_text()[-3000:]}")


def compare(names: list[str], sizes: list[int], repeats: int, seconds: float, directory: Path) -> Found:
    """Measures in turns; as often as fits into ``seconds`` for a contestant and a number of trials."""
    pace, found = dict.fromkeys(names, 0.0), {}
    for n in sizes:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _, name in itertools.product(range(repeats), names):
            if pace[name] * n * (1 + len(runs[name])) > seconds:
                continue
            run = measure(name, n, seconds, directory)
            pace[name] = run["wall"] / n if run else math.inf
            if run:
                runs[name].append(run)
                print(f"{name:22} {n:6} {1000 * run['cpu'] / n:9.3f} {1000 * run['wall'] / n:9.3f}", file=sys.stderr)
        for name, each in runs.items():
            if each:
                found[name, n] = {what: 1000 * median(run[what] for run in each) / n for what in ("cpu", "wall")}
    return found


def show(found: Found, names: list[str], sizes: list[int]) -> None:
    """Prints costs, then the ratios with their goals and how our total grows."""
    columns = [f"{n:,} trials" for n in sizes]
    head("driver CPU / wall, ms per trial", *columns)
    for name in names:
        cells = [found.get((name, n)) for n in sizes]
        row(name, *("-" if cell is None else f"{cell['cpu']:.2f} / {cell['wall']:.2f}" for cell in cells))
    print()
    head("ratio of driver CPU", *columns, "goal")
    for one, other, goal in GOALS:
        both = [(found.get((one, n)), found.get((other, n))) for n in sizes]
        row(f"{one} : {other}", *(f"{a['cpu'] / b['cpu']:.3f}" if a and b else "-" for a, b in both), f"<= {goal:.3f}")
    print()
    for name in names:
        totals = [(n, n * found[name, n]["cpu"]) for n in sizes if (name, n) in found]
        for part in {len(totals): totals, 2: totals[-2:]}.values():
            if len(part) > 1 and name.startswith("ours"):
                slope = np.polyfit(*np.log(part).T, 1)[0]
                print(f"{name}: CPU grows as trials^{slope:.3f} from {part[0][0]:,} to {part[-1][0]:,} (goal < 1.1)")
    print()


def durability(n: int, repeats: int, directory: Path) -> None:
    """Prints what a trial's three lines of the log cost by when they are flushed to the disk."""
    from nas.store.history import EVENTS, History
    from nas.store.records import TrialRecord
    from searchspaces import SEARCH_SPACES

    class EveryLine(History):
        def event(self, *event: Any, **details: Any) -> None:
            super().event(*event, **details)
            self._flush(EVENTS)

    class Never(History):
        def _flush(self, name: str) -> None:
            pass

    space = SEARCH_SPACES["mixing"]((1, 8, 8), 10)
    picks = space.draw(random.Random(0))
    architecture = space.decode(picks)
    measured = {"accuracy": 0.5, "robust_accuracy": 0.25, "macs": 123456.0}
    known = {"measured": measured, "settings": {name: {"batch": 1, "input": [1, 8, 8]} for name in measured}}
    record = TrialRecord(0, "complete", picks, architecture.to_json(), architecture.key, seed=0, **known)
    kinds = {"every line": EveryLine, "each group (ours)": History, "never": Never}
    runs: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in kinds}
    for repeat, (kind, history) in itertools.product(range(repeats), kinds.items()):
        place = directory / f"{kind}-{repeat}"
        place.mkdir()
        with history(place) as log:
            clock = Clock()
            clock.start()
            for number in range(n):
                log.event("asked", number, picks=picks, key=architecture.key, memory={})
                log.event("started", number, attempt=1, host=platform.node(), pid=os.getpid())
                log.record(record)
            clock.stop()
            runs[kind].append(tuple(1000 * seconds / n for seconds in clock.seconds.values()))
    head("fsync of the log", "CPU, ms per trial", "wall, ms per trial")
    for kind, each in runs.items():
        row(kind, *(f"{median(values):.3f}" for values in zip(*each, strict=True)))


def row(*cells: str) -> None:
    """Prints one row of a table in Markdown."""
    print(f"| {' | '.join(cells)} |")


def head(*cells: str) -> None:
    """Prints the first rows of a table."""
    row(*cells)
    row(*["---"] * len(cells))


def main() -> None:
    """Measures everything and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100 and 1,000 trials only")
    parser.add_argument("--repeats", type=int, default=3, help="of every measurement")
    parser.add_argument("--seconds", type=float, default=600, help="for each contestant and number of trials")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="contestants")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, n, directory = options.measure
        (contestant, how), clock = CONTESTANTS[name], Clock()
        complete = contestant(int(n), Path(directory), clock, how)
        assert complete == int(n), f"{complete} of {n} trials are complete."
        Path(directory, "result.json").write_text(json.dumps(clock.seconds))
        return
    if find_spec("pyarrow") is None:
        raise SystemExit('Ray Tune is not installed. Run: pip install "ray[tune]"')
    sizes = [100, 1_000] if options.quick else [100, 1_000, 10_000]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "optuna", "ray"))
    print(f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, {packages}\n")
    with tempfile.TemporaryDirectory(prefix="overhead-", ignore_cleanup_errors=True) as directory:
        found = compare(options.only, sizes, options.repeats, options.seconds, Path(directory))
        show(found, options.only, sizes)
        durability(300 if options.quick else 2_000, options.repeats, Path(directory))


if __name__ == "__main__":
    main()

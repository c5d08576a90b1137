"""How good the fronts are that samplers find, by the number of trained networks and by the time of proposing them.

    python studies/benchmarks/search_quality.py [--problems NAME ...] [--samplers NAME ...] [--seeds N] [--trials N]
                                                [--flight N] [--epochs N] [--out FILE] [--show] [--plot PNG]

Every search is one of this project's own, with its ledger, bounds, keys and log, but networks are looked up instead of
trained. The figure is the hypervolume of all networks that were trained, in error, error under attack and the logarithm
of MACs, as a share of the true front's. With ``--flight 8`` eight are trained at a time, for random durations. Searches
that are in FILE already are not run again; ``--show`` runs none.

Problems: the three data sets of NAS-Bench-201 with robustness (see `cells.py`); `mixing` networks trained on digits
(`mixing_table.py`), where a search sees one training of a network and is judged by the mean of all of its trainings;
two spaces that are made up (`landscapes.py`); and, where they are named, networks that are trained now, on two
data sets (`real.py`). Contestants: the samplers of this project and those of `peers.py`.
`front/rungs`, in `mixing`, trains networks for 3 epochs first and some of them for 9: only those count as trained, as
with `syne_tune_moasha`, which continues those that its rule does not stop. With ``--epochs`` a search ends when it has
trained for so many, not after a number of trials.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import cells
import landscapes
import lookup
import mixing_table
import numpy as np
import peers
import real
from kept import keep, kept

from nas.problem import Problem
from nas.results.pareto import hypervolume, non_dominated
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import LimitSettings, RungSettings, SearchSettings, settings_of
from nas.store.history import History
from nas.store.records import trial_seed
from nas.trial import TrialPlan
from objectives import to_minimise

AT = (25, 50, 100, 200, 500, 1000)
"""Numbers of trials at which fronts are compared."""
EVERY = 5
"""Trials between two points of a curve."""
MOASHA = "syne_tune_moasha"
"""MO-ASHA of Syne Tune; in `mixing` alone."""
SAMPLERS = ("front", "evolution", "tpe", "nsga2", "gp", "random", *(name for name in peers.PEERS if name != MOASHA))
RUNGS = "/rungs"
"""End of the name of a sampler whose networks begin with the short trainings of `mixing_table`; in `mixing` alone."""
Values = dict[str, float]


@dataclass(frozen=True)
class Task:
    """A problem whose answers are known.

    Args:
        study: its tables.
        truth: what a network is worth, by objective.
        best: hypervolume of the true front below the reference point of the problem.
        trained: what one training of a plan gives, where that is not the truth, from the seed of the search.
        front: keys of the networks on the true front, where rungs may lose them.
    """

    study: dict[str, Any]
    truth: Callable[[dict[str, Any]], Values]
    reference: np.ndarray
    best: float
    trained: Callable[[TrialPlan, int], Values] | None = None
    front: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, space: dict[str, Any], truth: Callable[[dict[str, Any]], Values], costs: np.ndarray, **more: Any
    ) -> "Task":
        """The task of a space whose networks have ``costs`` (n, 3): both errors and MACs."""
        costs = np.concatenate([costs[:, :2], np.log10(costs[:, 2:])], 1)
        reference = np.array([1.01, 1.01, costs[:, 2].max() + 0.01])
        study = {**lookup.OBJECTIVES, "space": space, "reference": {"macs": 10 ** float(reference[2])}}
        return cls(study, truth, reference, hypervolume(costs[non_dominated(costs)], reference), **more)


@cache
def nb201(data: cells.Data) -> Task:
    """NAS-Bench-201 on one data set."""
    return Task.of({"kind": "nb201", "data": data}, cells.truth, cells.all_costs(data))


@cache
def landscape(name: str) -> Task:
    """A space that is made up."""
    return Task.of({"kind": name}, partial(landscapes.truth, name), landscapes.LANDSCAPES[name]().costs())


@cache
def trained_mixing() -> Task:
    """The networks of `mixing_table`, of which a search sees one training each."""
    task = Task.of({"kind": "mixing_table"}, mixing_table.truth, mixing_table.all_costs(), trained=mixing_table.one)
    on_front = non_dominated(mixing_table.all_costs())
    front = frozenset(
        network.key for network, best in zip(mixing_table.table().architectures, on_front, strict=True) if best
    )
    return replace(task, study={**task.study, "training": {"epochs": mixing_table.EPOCHS[-1]}}, front=front)


@cache
def trained_now(data: str) -> Task:
    """Networks of `mixing` that are trained; all of the hypervolume belongs to one of few MACs without an error."""
    reference = np.array([1.01, 1.01, np.log10(real.MACS[data]) + 0.01])
    best = hypervolume(np.array([[0, 0, np.log10(real.LEAST)]]), reference)
    return Task(real.study(data), lambda network: real.trained(data).worth(network), reference, best)


PROBLEMS: dict[str, Callable[[], Task]] = {
    "cifar10": lambda: nb201("cifar10"),
    "cifar100": lambda: nb201("cifar100"),
    "imagenet16": lambda: nb201("ImageNet16-120"),
    "mixing": trained_mixing,
    "digits": lambda: trained_now("digits"),
    "fashion_mnist": lambda: trained_now("fashion_mnist"),
    "branches": lambda: landscape("branches"),
    "cheap_end": lambda: landscape("cheap_end"),
}


@cache
def stated(name: str) -> Problem:
    """The problem; its images are of no account where networks are looked up."""
    table = {"data": {"name": "digits", "limit": 100}, **PROBLEMS[name]().study, "name": "quality"}
    return Problem.of(settings_of(table))


@dataclass(frozen=True)
class Run:
    """One search.

    Args:
        best: hypervolume of the true front, which tells tables apart that have grown.
        shares: of the true hypervolume, after every `EVERY` trials.
        seconds: CPU seconds of proposing and booking until then.
        epochs: that were trained until then.
        redrawn: share of the proposals that the sampler did not make itself.
        begun, lost: networks of the true front that were trained, and of these the ones that no rung took to the end.
        limit: epochs after which the search ended, with a last point there; 0 if it ended by its trials.
        networks: that were trained.
    """

    problem: str
    sampler: str
    seed: int
    flight: int
    best: float
    shares: list[float]
    seconds: list[float]
    epochs: list[int]
    redrawn: float
    begun: int = 0
    lost: int = 0
    limit: int = 0
    networks: int = 0

    @property
    def trials(self) -> int:
        """Of the last point."""
        return EVERY * len(self.shares)


class Curve:
    """What a search has found so far."""

    def __init__(self, task: Task, problem: Problem) -> None:
        self._task, self._problem = task, problem
        self._rows = list[list[float]]()
        self._ended: dict[str, bool] = {}
        self.seconds = self.epochs = 0.0
        self.points = list[tuple[float, float, int]]()

    def add(self, plan: TrialPlan, *, epochs: int, whole: bool) -> None:
        """A training that has ended."""
        self.epochs += epochs
        self._ended[plan.key] = whole or self._ended.get(plan.key, False)
        if whole:
            values, objectives = plan.measured | self._task.truth(plan.architecture), self._problem.objectives
            self._rows.append([to_minimise(objectives[n], values[n]) for n in self._problem.settings.objectives])

    def point(self) -> None:
        """Notes how far the search is now."""
        share = hypervolume(np.array(self._rows), self._task.reference) / self._task.best if self._rows else 0.0
        self.points.append((share, self.seconds, int(self.epochs)))

    def run(self, name: str, sampler: str, flight: int, *, redrawn: float, limit: int) -> Run:
        """The search, which is over."""
        if limit:
            self.point()
        shares, seconds, epochs = (list(each) for each in zip(*self.points, strict=True))
        begun = self._task.front & self._ended.keys()
        lost = [key for key in begun if not self._ended[key]]
        return Run(
            problem=name,
            sampler=sampler,
            seed=self._problem.settings.seed,
            flight=flight,
            best=self._task.best,
            shares=shares,
            seconds=seconds,
            epochs=epochs,
            redrawn=redrawn,
            begun=len(begun),
            lost=len(lost),
            limit=limit,
            networks=len(self._ended),
        )


def searched(name: str, sampler: str, seed: int, trials: int, flight: int, limit: int = 0) -> Run:
    """One search in a problem."""
    task, problem, clock = PROBLEMS[name](), stated(name), random.Random(seed)
    rungs = RungSettings(list(mixing_table.EPOCHS)) if sampler.endswith(RUNGS) else None
    search = SearchSettings("random" if sampler == MOASHA else sampler.removesuffix(RUNGS), rungs=rungs)
    limits = LimitSettings(epochs=limit or None)
    settings = replace(problem.settings, seed=seed, trials=10**6 if limit else trials, search=search, limits=limits)
    problem = replace(problem, settings=settings)
    if sampler == MOASHA:
        return stopping(name, problem, trials, limit)
    running: list[tuple[float, int, TrialPlan]] = []
    now, curve = 0.0, Curve(task, problem)
    with tempfile.TemporaryDirectory() as folder, History(Path(folder)) as history:
        ledger = Ledger(problem, open_sampler(problem), history)
        while ledger.missing + len(running) > 0 and not ledger.end:
            while len(running) < flight and ledger.missing > 0 and not ledger.end:
                started = time.process_time()
                plan = ledger.propose()
                curve.seconds += time.process_time() - started
                if plan is not None:
                    running.append((now + clock.lognormvariate(0, 0.5), plan.number, plan))
            if not running:
                break
            running.sort()
            now, _, plan = running.pop(0)
            truth = task.truth(plan.architecture)
            found = truth if task.trained is None else task.trained(plan, trial_seed(seed, plan.number, "noise"))
            started = time.process_time()
            ledger.book(plan.record("complete" if plan.whole else "truncated", measured=plan.measured | found))
            curve.seconds += time.process_time() - started
            curve.add(plan, epochs=plan.epochs, whole=plan.whole)
            if ledger.standing.ended % EVERY == 0:
                curve.point()
        redrawn = ledger.standing.redrawn / len(history.records)
    return curve.run(name, sampler, flight, redrawn=redrawn, limit=limit)


def stopping(name: str, problem: Problem, trials: int, limit: int) -> Run:
    """A search of Syne Tune's MO-ASHA, one training at a time, which continues what it does not stop.

    A network that breaks a bound, cannot be built or was tried costs it nothing, not even a proposal. After 3 epochs it
    sees what a whole training of 3 epochs gives; going on then costs the other 6.
    """
    task, seed, curve = PROBLEMS[name](), problem.settings.seed, Curve(PROBLEMS[name](), problem)
    stops, generator, ended = peers.Stopping(problem, mixing_table.EPOCHS), random.Random(seed), 0
    assert task.trained is not None
    tried = set[str]()
    while (curve.epochs < limit) if limit else (ended < trials):
        picks = problem.space.draw(generator)
        network = problem.space.network(picks)
        known = {} if network is None else problem.probe.measure(network)[0]
        if network is None or network.key in tried or problem.probe.violations(known):
            continue
        tried.add(network.key)
        before = 0
        for epochs in mixing_table.EPOCHS:
            trainer = replace(problem.trainer, epochs=epochs)
            plan = TrialPlan.of(problem.settings, network, trainer=trainer, objectives={}, seed=seed)
            plan = replace(plan, measured=known)
            found = known | task.trained(plan, trial_seed(seed, len(tried), "noise"))
            curve.add(plan, epochs=epochs - before, whole=epochs == mixing_table.EPOCHS[-1])
            before, ended = epochs, ended + 1
            if ended % EVERY == 0:
                curve.point()
            costs = [to_minimise(problem.objectives[n], found[n]) for n in problem.settings.objectives]
            if not stops.goes_on(len(tried), epochs, costs):
                break
    return curve.run(name, MOASHA, 1, redrawn=0.0, limit=limit)


def runs(options: argparse.Namespace) -> list[Run]:
    """The searches that are asked for; those that are not in the file yet are run, seed by seed, and written there."""
    known = {}
    for line in kept(options.out):
        run = Run(**line)
        known[run.problem, run.sampler, run.seed, run.flight, run.limit, round(run.best, 9)] = run
    found = []
    for seed in range(options.seeds):
        for name in options.problems:
            for sampler in options.samplers:
                limit = options.epochs
                key = (name, sampler, seed, options.flight, limit, round(PROBLEMS[name]().best, 9))
                if not options.show and (key not in known or (not limit and known[key].trials < options.trials)):
                    known[key] = searched(name, sampler, seed, options.trials, options.flight, limit)
                    keep(options.out, asdict(known[key]))
                if key in known:
                    found.append(known[key])
    return found


def row(name: str, figures: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {name} | {' | '.join(figures)} |"


def shown(found: Sequence[Run], samplers: Sequence[str]) -> list[str]:
    """The table of a problem: what each sampler finds, and after how many trials it has what random draws have last."""
    at = [n for n in AT if n <= max(run.trials for run in found)]
    last = max((run.trials for run in found if run.sampler == "random"), default=0)
    drawn = [run.shares[-1] for run in found if run.sampler == "random" and run.trials == last]
    goal = np.median(drawn) if drawn else np.inf
    lines = [
        row(
            "sampler",
            ["seeds", *map(str, at), f"random's at {last}", "in epochs", "ms a trial", "redrawn", "front lost"],
        )
    ]
    lines.append(row("---", ["---"] * (len(at) + 6)))
    for sampler in samplers:
        own = [run for run in found if run.sampler == sampler]
        if not own:
            continue
        figures = [str(len(own))]
        for n in at:
            there = np.array([run.shares[n // EVERY - 1] for run in own if run.trials >= n])
            some = f"{np.median(there):.3f} ({np.quantile(there, 0.25):.3f}, {there.min():.3f})" if len(there) else "-"
            figures.append(some)
        points = min(len(run.shares) for run in own)
        reached = np.flatnonzero(np.median([run.shares[:points] for run in own], 0) >= goal)
        figures.append(str(EVERY * (reached[0] + 1)) if len(reached) else "-")
        figures.append(f"{np.median([run.epochs[reached[0]] for run in own]):.0f}" if len(reached) else "-")
        figures.append(f"{1000 * np.mean([run.seconds[-1] / run.trials for run in own]):.0f}")
        figures.append(f"{np.mean([run.redrawn for run in own]):.0%}")
        begun = sum(run.begun for run in own)
        figures.append(f"{sum(run.lost for run in own)} of {begun}" if begun else "-")
        lines.append(row(f"`{sampler}`", figures))
    return lines


def shown_at(found: Sequence[Run], samplers: Sequence[str]) -> list[str]:
    """The table of a problem whose searches ended by their epochs."""
    lines = [row("sampler", ["seeds", "median", "lower quartile", "worst", "networks", "front lost"])]
    lines.append(row("---", ["---"] * 6))
    for sampler in samplers:
        if own := [run for run in found if run.sampler == sampler]:
            last = np.array([run.shares[-1] for run in own])
            figures = [f"{len(own)}", *(f"{figure:.3f}" for figure in (*np.quantile(last, (0.5, 0.25)), last.min()))]
            figures.append(f"{np.mean([run.networks for run in own]):.0f}")
            figures.append(f"{sum(run.lost for run in own)} of {sum(run.begun for run in own)}")
            lines.append(row(f"`{sampler}`", figures))
    return lines


def order(sampler: str) -> int:
    """Place of a sampler among the contestants."""
    return SAMPLERS.index(sampler) if sampler in SAMPLERS else len(SAMPLERS)


def plot(found: Sequence[Run], path: Path) -> None:
    """Draws medians and quartiles against trials, and medians against CPU seconds of proposing."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    problems = [name for name in PROBLEMS if any(run.problem == name for run in found)]
    samplers = list(dict.fromkeys(run.sampler for run in sorted(found, key=lambda run: order(run.sampler))))
    figure, axes = plt.subplots(2, len(problems), figsize=(3.6 * len(problems), 6), squeeze=False)
    for (above, below), problem in zip(axes.T, problems, strict=True):
        for sampler in samplers:
            own = [run for run in found if (run.problem, run.sampler) == (problem, sampler)]
            if not own:
                continue
            points, number = min(len(run.shares) for run in own), order(sampler)
            shares = np.array([run.shares[:points] for run in own])
            style: dict[str, Any] = {"color": f"C{number % 10}", "linestyle": "-" if number < 6 else "--"}
            trials = EVERY * np.arange(1, 1 + points)
            above.plot(trials, np.median(shares, 0), label=sampler, **style)
            above.fill_between(
                trials, *np.quantile(shares, (0.25, 0.75), 0), color=style["color"], alpha=0.12, linewidth=0
            )
            below.semilogx(np.median([run.seconds[:points] for run in own], 0), np.median(shares, 0), **style)
        lowest = np.median([run.shares[min(3, len(run.shares) - 1)] for run in found if run.problem == problem])
        for axis, label in ((above, "trials"), (below, "CPU seconds of proposing")):
            axis.set(xlabel=label, ylim=(lowest - 0.05, 1.0))
        above.set_title(problem)
    axes[0, 0].set_ylabel("share of the true hypervolume")
    axes[0, 0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=70)


def main() -> None:
    """Prints a table for each problem, and draws them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=[n for n in PROBLEMS if n not in real.MACS], choices=PROBLEMS)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--flight", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=0, help="of training, that a search ends with; 0: none")
    parser.add_argument("--out", type=Path, default=Path("runs/search_quality.jsonl"))
    parser.add_argument("--show", action="store_true", help="run nothing: show what FILE holds")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    short = [name for name in options.samplers if name == MOASHA or name.endswith(RUNGS)]
    if short and options.problems != ["mixing"]:
        parser.error(f"only mixing has short trainings, which {', '.join(short)} needs. Give --problems mixing.")
    if options.plot and options.epochs:
        parser.error("--plot draws searches by their trials, which --epochs does not end. Leave one out.")
    for name in [] if options.show else list(options.samplers):
        if reason := peers.missing(name):
            print(f"{name} is left out: {reason}")
            options.samplers.remove(name)
    found = runs(options)
    for name in options.problems:
        if own := [run for run in found if run.problem == name]:
            at = f", {options.epochs} epochs" if options.epochs else ""
            print(f"\n{name}, {options.flight} in flight{at}: median (lower quartile, worst)\n")
            print("\n".join((shown_at if options.epochs else shown)(own, options.samplers)), flush=True)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()

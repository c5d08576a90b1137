"""A study rehearsed: what a search would find feasible, what it costs and how long it takes, before it is started."""

import random
import statistics
import time
from dataclasses import replace
from datetime import timedelta

from rich.console import Console

from nas.display import number
from nas.problem import Probe, Problem
from nas.records import trial_seed
from nas.settings import Settings
from nas.trial import TrialPlan, run_trial

SAMPLE = 100
"""Random candidates priced."""


def rehearse(settings: Settings, console: Console) -> None:
    """Prints size, feasible share and cost range of the space, one timed epoch of a typical candidate, expected time.

    Raises:
        WrongInputError: if the study could not be started.
    """
    problem = Problem.of(settings)
    probe = Probe(problem.space, problem.objectives, problem.bounds)
    generator = random.Random(settings.seed)
    priced = []
    for _ in range(SAMPLE):
        picks = problem.space.draw(generator)
        architecture = problem.space.decode(picks)
        values, how = probe.measure(architecture)
        priced.append((picks, architecture, values, how))
    feasible = [p for p in priced if not probe.violations(p[2])]
    console.print(f"[bold]{settings.name}[/bold]: nothing is trained or written by a dry run", highlight=False)
    console.print(f"space      {problem.space.name}, {problem.space.size:,} assignments", highlight=False)
    console.print(f"feasible   {len(feasible)} of {SAMPLE} random candidates", highlight=False)
    for name, objective in probe.costs.items():
        costs = [values[name] for _, _, values, _ in priced]
        bound = f", bound {number(problem.bounds[name], objective.scale)}" if name in problem.bounds else ""
        low, middle, high = (number(f(costs), objective.scale) for f in (min, statistics.median, max))
        console.print(f"{name:10} {low} to {high}, median {middle}{bound}", highlight=False)
    if not feasible:
        console.print("time       unknown: no random candidate is feasible; a search would still look for one")
        return
    ranked = sorted(feasible, key=lambda p: list(p[2].values()))
    picks, architecture, values, how = ranked[len(ranked) // 2]
    trainer = replace(problem.trainer, epochs=1)  # type: ignore[type-var]
    plan = TrialPlan(
        number=0,
        picks=picks,
        architecture=architecture.to_json(),
        key=architecture.key,
        seed=trial_seed(settings.seed, 0),
        trainer=trainer,
        objectives=problem.objectives,
        measured=values,
        settings=how,
    )
    run_trial(plan, problem.data)
    started = time.perf_counter()
    record = run_trial(plan, problem.data).record
    console.print(f"timed      1 epoch of {architecture.label()}: {record.status}", highlight=False)
    if record.status != "complete":
        console.print(record.error or "", style="yellow", highlight=False)
        return
    once = time.perf_counter() - started - record.seconds["train"]
    trial = once + record.seconds["train"] * problem.trainer.epochs
    total = trial * settings.trials / settings.execution.workers
    console.print(
        f"time       {record.seconds['train']:.2f} s an epoch, {trial:.1f} s a trial; {settings.trials} trials on "
        f"{settings.execution.workers} worker(s): about {timedelta(seconds=round(total))}",
        highlight=False,
    )

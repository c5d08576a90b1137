"""A study rehearsed: what a search would find feasible, what it costs and how long it takes, before it is started."""

import random
import statistics
import time
from dataclasses import replace
from typing import Any

from nas.export.surrogates import untrained
from nas.problem import Problem
from nas.search.launch import find_problem
from nas.settings import Settings
from nas.store.records import trial_seed
from nas.trial import TrialPlan, run_trial

SAMPLE = 100
"""Random candidates priced."""


def rehearse(settings: Settings) -> dict[str, Any]:
    """Size, feasible share and cost range of the space, one timed epoch of a typical candidate, expected time.

    Returns:
        JSON: ``name``, ``space``, ``assignments``, ``candidates``, ``feasible``, ``costs`` (name -> ``least``,
        ``median``, ``largest``, ``bound``, ``scale``), ``trials``, ``workers`` and ``timed``: None if no random
        candidate is feasible, else ``architecture``, ``status``, ``error``, ``epoch_seconds``, ``trial_seconds``,
        ``seconds``; ``notes``: what is to be said of the data, a list of sentences.

    Raises:
        WrongInputError: if the study could not be started.
    """
    problem = find_problem(settings)
    others = {**problem.surrogates, **untrained(problem.objectives, problem.data)}
    problem = replace(problem, surrogates=others)
    probe, generator = problem.probe, random.Random(settings.seed)
    drawn = [problem.space.draw(generator) for _ in range(SAMPLE)]
    built = [picks for picks in drawn if probe.refusal(picks) is None]
    priced = [(picks, *probe.measure(problem.space.decode(picks))) for picks in built]
    feasible = [candidate for candidate in priced if not probe.violations(candidate[1])]
    costs = {}
    for name, objective in probe.costs.items():
        values = [values[name] for _, values, _ in priced]
        costs[name] = {
            "least": min(values),
            "median": statistics.median(values),
            "largest": max(values),
            "bound": problem.bounds.get(name),
            "scale": objective.scale,
        }
    ranked = sorted(feasible, key=lambda candidate: list(candidate[1].values()))
    return {
        "name": settings.name,
        "notes": list(problem.notes),
        "space": problem.space.name,
        "assignments": problem.space.size,
        "candidates": SAMPLE,
        "feasible": len(feasible),
        "costs": costs,
        "trials": settings.trials,
        "workers": settings.execution.workers,
        "timed": _timed(problem, *ranked[len(ranked) // 2]) if ranked else None,
    }


def _timed(problem: Problem, picks: Any, measured: dict[str, float], how: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One epoch of a candidate, where the study would train it, and the time that all trials would take."""
    settings = problem.settings
    architecture = problem.space.decode(picks)
    plan = TrialPlan.of(
        settings,
        architecture,
        trainer=replace(problem.trainer, epochs=1),
        objectives=problem.objectives,
        seed=trial_seed(settings.seed, 0),
        picks=picks,
        surrogates=problem.surrogates,
    )
    plan = replace(plan, measured=measured, settings=how)
    run_trial(plan, problem.data)  # warms up: what is imported or compiled late
    started = time.perf_counter()
    record = run_trial(plan, problem.data).record
    timed = {"architecture": architecture.label(), "status": record.status, "error": record.error}
    if record.status != "complete":
        return {**timed, "epoch_seconds": None, "trial_seconds": None, "seconds": None}
    epoch = record.seconds["train"]
    rungs = settings.search.rungs
    # Rungs cost as much as each other, so that there are the more trials on one the shorter it is.
    epochs = problem.trainer.epochs if rungs is None else len(rungs.epochs) / sum(1 / n for n in rungs.epochs)
    trial = time.perf_counter() - started - epoch + epoch * epochs
    total = trial * settings.trials / settings.execution.workers
    return {**timed, "epoch_seconds": epoch, "trial_seconds": trial, "seconds": total}

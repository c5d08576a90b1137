"""The sampler `front` in a study of Optuna's own."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

import nas
from nas.results.pareto import hypervolume
from nas.search.samplers.for_optuna import LEVELS, _levels

SPACE: dict[str, BaseDistribution] = {
    "depth": IntDistribution(1, 8),
    "width": IntDistribution(8, 256, log=True),
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "mixer": CategoricalDistribution(["conv", "pool", "mlp"]),
    "fixed": CategoricalDistribution(["only"]),
}


def cost(params: dict[str, Any]) -> float:
    return float(params["depth"] * params["width"] ** 2 * {"conv": 3, "pool": 1, "mlp": 2}[params["mixer"]])


def accuracy(params: dict[str, Any]) -> float:
    bonus = {"conv": 0.5, "pool": -1.0, "mlp": 0.0}[params["mixer"]]
    return 1 / (1 + math.exp(-(0.5 * math.log(cost(params)) - 4 + bonus - abs(math.log10(params["rate"]) + 2))))


def objective(trial: optuna.Trial) -> tuple[float, float]:
    params = {
        "depth": trial.suggest_int("depth", 1, 8),
        "width": trial.suggest_int("width", 8, 256, log=True),
        "rate": trial.suggest_float("rate", 1e-4, 1.0, log=True),
        "mixer": trial.suggest_categorical("mixer", ["conv", "pool", "mlp"]),
        "fixed": trial.suggest_categorical("fixed", ["only"]),
    }
    return accuracy(params), cost(params)


def study(sampler: optuna.samplers.BaseSampler, trials: int) -> optuna.Study:
    found = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    found.optimize(objective, n_trials=trials)
    return found


def volume(found: optuna.Study) -> float:
    rows = np.array([[1 - t.values[0], math.log10(t.values[1])] for t in found.trials])
    return hypervolume(rows, np.array([1.0, 7.0]))


def front(**settings: Any) -> optuna.samplers.BaseSampler:
    return nas.optuna_sampler(SPACE, costs=lambda p: [None, cost(p)], scales=["fraction", "count"], **settings)


def test_forty_trials_find_more_than_a_hundred_and_fifty_random_ones() -> None:
    assert volume(study(front(), 40)) > volume(study(optuna.samplers.RandomSampler(seed=0), 150))


def test_the_same_seed_leads_to_the_same_trials() -> None:
    first, second = (study(front(seed=3), 14) for _ in range(2))
    assert [trial.params for trial in first.trials] == [trial.params for trial in second.trials]


def test_trials_of_another_sampler_are_learned_from() -> None:
    begun = study(optuna.samplers.RandomSampler(seed=0), 30)
    begun.sampler = front()
    begun.optimize(objective, n_trials=5)
    assert len(begun.trials) == 35


def test_what_is_running_is_not_proposed_again_and_what_failed_is_no_reason_to_stop() -> None:
    found = study(front(), 10)
    running = [found.ask(SPACE) for _ in range(4)]
    assert len({str(trial.params) for trial in running}) == 4
    for trial in running:
        found.tell(trial, state=optuna.trial.TrialState.FAIL)
    found.optimize(objective, n_trials=3)


def test_constraints_of_trials_are_learned_and_kept() -> None:
    """The best is at 0.7, and what a trial says of itself must be at most 0, which it is up to 0.3."""

    def bounded(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", -2, 2), trial.suggest_float("y", -2, 2)
        trial.set_constraint("room", x - 0.3)
        return (x - 0.7) ** 2 + y**2

    space = {"x": FloatDistribution(-2, 2), "y": FloatDistribution(-2, 2)}
    found = optuna.create_study(sampler=nas.optuna_sampler(space))
    found.optimize(bounded, n_trials=40)
    kept = [trial for trial in found.trials if trial.constraints["room"] <= 0]
    assert sum(trial.constraints["room"] > 0 for trial in found.trials[15:]) <= 10
    assert min(trial.value or 9.0 for trial in kept) < 0.25


def test_one_objective_without_known_costs_is_searched_too() -> None:
    found = optuna.create_study(sampler=nas.optuna_sampler({"x": FloatDistribution(-2, 2)}))
    found.optimize(lambda trial: (trial.suggest_float("x", -2, 2) - 0.7) ** 2, n_trials=20)
    assert found.best_value < 0.02


@pytest.mark.parametrize(
    "distribution",
    [
        IntDistribution(1, 1000),
        IntDistribution(2, 1000, step=3),
        IntDistribution(1, 10**6, log=True),
        FloatDistribution(0, 1),
        FloatDistribution(0, 10, step=0.25),
        FloatDistribution(1e-5, 1, log=True),
    ],
    ids=str,
)
def test_levels_of_a_range_lie_in_it(distribution: BaseDistribution) -> None:
    levels = _levels("x", distribution)
    assert 20 < len(levels) <= LEVELS
    assert all(distribution._contains(distribution.to_internal_repr(level)) for level in levels)
    assert levels == sorted(levels)


def test_wrong_use_is_answered() -> None:
    with pytest.raises(ValueError, match="space must name every parameter"):
        nas.optuna_sampler({})
    other = optuna.create_study(sampler=nas.optuna_sampler({"x": FloatDistribution(0, 1)}))
    with pytest.raises(ValueError, match="'other' is not in the space"):
        other.optimize(lambda trial: trial.suggest_float("other", 0, 1), n_trials=1)
    with pytest.raises(ValueError, match="scales must have one entry for each of 2"):
        study(nas.optuna_sampler(SPACE, scales=["plain"]), 1)
    with pytest.raises(ValueError, match="scales must be of plain, fraction, count, got 'log'"):
        nas.optuna_sampler(SPACE, scales=["log"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="must be positive, got -1"):
        study(nas.optuna_sampler(SPACE, costs=lambda params: [None, -1.0], scales=["fraction", "count"]), 1)
    with pytest.raises(ValueError, match="costs must return 2 values"):
        study(nas.optuna_sampler(SPACE, costs=lambda params: [None]), 1)


def test_the_example_of_the_manual_runs(repository: Path) -> None:
    blocks = re.findall(r"```py\n(.*?)```", (repository / "studies" / "README.md").read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "nas.optuna_sampler" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    names["study"].optimize(lambda trial: (0.5, 9 * trial.suggest_int("depth", 1, 8)), n_trials=20)
    assert len({trial.params["depth"] for trial in names["study"].trials}) == 8  # "mixer" was never asked for

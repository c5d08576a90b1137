"""The samplers of the table keep the contract; options that are wrong are refused before a study starts."""

import random
import sys
from dataclasses import replace
from typing import Any

import optuna
import pytest

from nas.errors import WrongInputError
from nas.problem import Problem
from nas.search.samplers import SAMPLERS, open_sampler
from nas.search.samplers.optuna import _TPE, _Options
from nas.settings import SearchSettings, settings_of
from nas.testing.samplers import SamplerContract, searched, small_problem

OPTIONS = {
    "tpe": {"n_startup_trials": 4},
    "nsga2": {"population_size": 4},
    "nsga3": {"population_size": 4},
    "evolution": {"startup": 4},
}
"""With which samplers learn within the few trials of the contract."""


@pytest.mark.parametrize("search", [SearchSettings(kind, OPTIONS.get(kind, {})) for kind in SAMPLERS], ids=SAMPLERS)
class TestSamplers(SamplerContract):
    pass


def refusal(**search: Any) -> str:
    """The message with which ``[search]`` is refused."""
    table = {"name": "a", "objectives": ["accuracy", "macs"], "space": {"kind": "convmixer"}, "search": search}
    with pytest.raises(WrongInputError) as error:
        open_sampler(Problem.of(settings_of({**table, "data": {"name": "digits", "limit": 100}})))
    return str(error.value)


def test_a_misspelt_sampler_is_answered_with_the_nearest() -> None:
    assert "search.sampler: unknown sampler 'tpee'. Did you mean 'tpe'?" in refusal(sampler="tpee")


@pytest.mark.parametrize(
    ("sampler", "option", "near"),
    [("tpe", "n_startup_trial", "n_startup_trials"), ("nsga2", "mutation_probability", "mutation_prob")],
)
def test_a_misspelt_option_is_answered_with_the_nearest(sampler: str, option: str, near: str) -> None:
    message = refusal(sampler=sampler, options={option: 3})
    assert f"[search.options] has an unknown key '{option}'. Did you mean '{near}'?" in message


def test_an_option_of_a_sampler_without_options_is_refused() -> None:
    assert "[search.options] has an unknown key 'n'" in refusal(sampler="random", options={"n": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_size": 2.5}, "search.options.population_size must be a valid integer, got 2.5"),
        ({"population_size": 10**9}, "search.options.population_size must be at most 10,000, got 1000000000"),
        ({"mutation_prob": True}, "search.options.mutation_prob must be a valid number"),
        ({"mutation": "x"}, "unknown key 'mutation'"),  # a function: no study can state one
        ({"dividing_parameter": 101}, "dividing_parameter must be from 1 to 100, got 101"),
    ],
)
def test_every_option_of_a_sampler_has_a_type_and_a_range(options: dict[str, Any], message: str) -> None:
    assert message in refusal(sampler="nsga3", options=options)


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        ({"_NSGA2:generation": None}, "memory of the sampler _NSGA2:generation = None"),
        (
            {"_NSGA2:generation": 2},
            "a trial belongs to generation 2 of the sampler, and none that has ended",
        ),
    ],
)
def test_a_memory_that_no_sampler_has_noted_is_refused(memory: dict[str, Any], message: str) -> None:
    table = {"name": "a", "objectives": ["macs"], "space": {"kind": "convmixer"}, "search": {"sampler": "nsga2"}}
    problem = Problem.of(settings_of({**table, "data": {"name": "digits", "limit": 100}}))
    with pytest.raises(WrongInputError, match=message):
        open_sampler(problem).resume(problem.space.first, memory)


def proposals(make: Any, options: dict[str, Any], objectives: int, **settings: Any) -> list[dict[str, Any]]:
    """What a sampler of Optuna proposes, another for each proposal, two of which are always on their way."""
    study, found = optuna.create_study(directions=["minimize"] * objectives), []
    for number in range(40):
        asked = []
        for each in range(2):
            study.sampler = make(seed=2 * number + each, **settings)
            vars(study.sampler)["found"] = {}
            asked.append(study.ask(dict(options)))
        for trial in asked:
            found.append(trial.params)
            generator = random.Random(str(trial.params))
            trial.set_constraint("bound", generator.random() - 0.7)
            study.tell(trial, [generator.random() for _ in range(objectives)])
    return found


@pytest.mark.parametrize("settings", [{}, {"constant_liar": False}, {"multivariate": True}], ids=str)
@pytest.mark.parametrize("objectives", [1, 3])
def test_our_tpe_proposes_what_that_of_optuna_does(objectives: int, settings: dict[str, Any]) -> None:
    choices = {f"c{i}": list(range(3 + i)) for i in range(4)}
    theirs = {name: optuna.distributions.CategoricalDistribution(options) for name, options in choices.items()}
    ours = {name: _Options(options) for name, options in choices.items()}
    expected = proposals(optuna.samplers.TPESampler, theirs, objectives, **settings)
    assert proposals(_TPE, ours, objectives, **settings) == expected


@pytest.mark.parametrize("kind", ["nsga2", "nsga3"])
def test_a_genetic_sampler_goes_on_after_more_generations_than_calls_fit_into_each_other(kind: str) -> None:
    problem = small_problem(SearchSettings(kind, {"population_size": 2}))
    trials = searched(open_sampler(problem), problem, range(6))
    name = next(name for name in trials[0][0].memory if name.endswith(":generation"))
    sampler = open_sampler(problem)
    for number in range(2 * sys.getrecursionlimit()):
        sampler.replay(replace(trials[number % 6][1], number=number), {name: number // 2})
    picks = sampler.ask(2 * sys.getrecursionlimit(), 0).picks
    assert problem.space.decode(picks)

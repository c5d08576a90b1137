"""Steady-state evolution."""

from dataclasses import replace

import numpy as np
import pytest

from nas.errors import WrongInputError
from nas.problem import Problem
from nas.results.pareto import hypervolume
from nas.search.samplers import open_sampler
from nas.search.samplers.evolution import survivors
from nas.settings import SearchSettings, settings_of
from nas.testing.samplers import ended, small_problem
from objectives import to_minimise


def volume(sampler: str, trials: int) -> float:
    """Of what a search finds in a space of 14,112 ConvMixers, the better the more choices have their last option."""
    table = {
        "name": "evolved",
        "objectives": ["accuracy", "macs"],
        "space": {"kind": "convmixer"},
        "data": {"name": "digits", "limit": 100},
        "search": {"sampler": sampler},
    }
    problem, rows = Problem.of(settings_of(table)), []
    proposer = open_sampler(problem)
    for number in range(trials):
        proposal = proposer.ask(number, 0)
        record = ended(problem, number, proposal)
        right = [proposal.picks[choice.name] == choice.options[-1] for choice in problem.space.choices]
        measured = {**record.measured, "accuracy": (sum(right) / len(right)) ** 3}
        proposer.tell(proposal, replace(record, status="complete", measured=measured))
        rows.append([to_minimise(problem.objectives[n], measured[n]) for n in problem.settings.objectives])
    return hypervolume(np.array(rows), problem.reference)


def test_children_of_good_networks_are_better_than_random_ones() -> None:
    assert volume("evolution", 150) > volume("random", 300)


def test_whole_ranks_survive_before_the_next_one() -> None:
    costs = np.array([[3.0, 3], [1, 2], [2, 1], [4, 4], [2, 2]])
    assert survivors(costs, 2) == [1, 2]
    assert survivors(costs, 3) == [1, 2, 4]
    assert survivors(costs, 9) == [0, 1, 2, 3, 4]


def test_of_a_rank_that_is_too_large_those_go_that_are_near_to_others() -> None:
    line = np.array([[0.0, 10], [1, 9], [1.1, 8.9], [5, 5], [10, 0]])
    assert survivors(line, 4) in ([0, 1, 3, 4], [0, 2, 3, 4])
    assert survivors(line, 3) == [0, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"archive": 1}, "archive must be from 2 to 10,000, got 1"), ({"startup": 10**6}, "startup must be from 2")],
)
def test_options_that_cannot_be_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(WrongInputError, match=message):
        open_sampler(small_problem(SearchSettings("evolution", options)))

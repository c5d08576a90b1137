"""Expected growth of the hypervolume."""

import numpy as np
import pytest

from nas.results.pareto import hypervolume
from nas.search.belief.improvement import Improvement


def known(point: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [np.array([[x]]) for x in point], [np.ones(1)] * len(point)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("members", [0, 1, 7])
def test_of_known_values_it_is_what_the_hypervolume_grows_by(objectives: int, members: int) -> None:
    generator = np.random.default_rng(objectives)
    front, reference = generator.random((members, objectives)), np.full(objectives, 1.1)
    improvement = Improvement(front, reference)
    for point in generator.random((20, objectives)) * 1.2:
        grown = hypervolume(np.vstack([front, point]), reference) - hypervolume(front, reference)
        assert improvement.expected(*known(point))[0] == pytest.approx(grown, abs=1e-12)


def test_of_uncertain_values_it_is_the_mean_over_what_they_may_be() -> None:
    generator = np.random.default_rng(0)
    front, reference = generator.random((6, 3)), np.ones(3)
    first, second = np.array([0.1, 0.4, 0.9]), np.array([0.2, 0.8])
    chances = [np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.4]), np.ones(1)]
    improvement = Improvement(front, reference)
    found = improvement.expected([first[None], second[None], np.array([[0.3]])], chances)[0]
    mean = sum(
        p * q * improvement.expected(*known(np.array([x, y, 0.3])))[0]
        for x, p in zip(first, chances[0], strict=True)
        for y, q in zip(second, chances[1], strict=True)
    )
    assert found == pytest.approx(mean)


def test_many_members_are_thinned_and_what_is_dominated_stays_so() -> None:
    x = np.linspace(0, 1, 500)
    front = np.stack([x, 1 - x, np.full(500, 0.5)], 1)
    improvement = Improvement(front, np.full(3, 1.1))
    assert max(map(len, improvement.cuts)) <= 64
    dominated, better = np.array([0.7, 0.7, 0.6]), np.array([0.2, 0.2, 0.4])
    assert improvement.expected(*known(better))[0] > 5 * improvement.expected(*known(dominated))[0]

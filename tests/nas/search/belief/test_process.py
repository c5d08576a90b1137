"""The Gaussian process: its gradient, what it learns, and what it says of other rows."""

import numpy as np
import pytest

from nas.search.belief.process import Kernel, Process, _negative_evidence, learn, subset


def problem(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of three groups, of which the first one alone matters, and values without noise."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(n, 4)) * 0.7
    groups = np.array([0, 0, 1, 2])
    values = np.sin(2 * rows[:, 0]) + rows[:, 1]
    return rows, groups, (values - values.mean()) / values.std()


@pytest.mark.parametrize("share", [-2.0, 1.0])
def test_the_gradient_of_the_evidence_is_that_of_finite_differences(share: float) -> None:
    rows, groups, values = problem()
    point = np.array([0.3, -1.0, -2.0, -2.5, share])

    def evidence(p: np.ndarray) -> float:
        return _negative_evidence(rows, groups, values, Kernel(p[:-2], p[-2], p[-1]))[0]

    exact = _negative_evidence(rows, groups, values, Kernel(point[:-2], point[-2], point[-1]))[1]
    steps = 1e-5 * np.eye(len(point))
    finite = [(evidence(point + step) - evidence(point - step)) / 2e-5 for step in steps]
    assert exact == pytest.approx(finite, rel=1e-4, abs=1e-5)


def test_what_matters_gets_the_largest_weight() -> None:
    kernel = learn(*problem())
    assert kernel.log_weights[0] > max(kernel.log_weights[1:]) + 1


def test_values_without_noise_are_met_and_far_away_nothing_is_known() -> None:
    rows, groups, values = problem()
    process = Process(learn(rows, groups, values), groups, rows, values)
    means, deviations = process.predict(rows)
    assert means == pytest.approx(values, abs=0.15)
    assert process.predict(rows + 50)[1].min() > 5 * deviations.max()


def test_unseen_rows_are_predicted() -> None:
    (rows, groups, values), (others, _, truth) = problem(120), problem(60, seed=1)
    process = Process(learn(rows, groups, values), groups, rows, values)
    assert np.corrcoef(process.predict(others)[0], truth)[0, 1] > 0.95


def test_repeated_measurements_of_one_network_are_averaged() -> None:
    rows = np.zeros((5, 1))
    noisy = Kernel(np.zeros(1), np.log(0.5), -5.0)
    mean = Process(noisy, np.zeros(1, dtype=int), rows, np.array([1.0, 2, 1, 2, 1.5])).predict(rows[:1])[0]
    assert 1.2 < mean[0] < 1.5


def test_a_subset_keeps_the_best_and_is_never_larger() -> None:
    chosen = subset(list(range(100, 0, -1)), 10, np.random.default_rng(0))
    assert len(chosen) == 10
    assert set(range(96, 101)) <= set(chosen)
    assert chosen == sorted(chosen)
    assert subset([3, 1], 10, np.random.default_rng(0)) == [1, 3]

"""The Gaussian process: its gradient, what it learns, and what it says of other rows."""

import numpy as np
import pytest

from nas.search.belief.process import Kernel, Points, Process, _negative_evidence, learn, subset


def problem(n: int = 40, seed: int = 0) -> tuple[Points, np.ndarray, np.ndarray]:
    """Rows of three groups, of which the first one alone matters, and values without noise."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(n, 4)) * 0.7
    groups = np.array([0, 0, 1, 2])
    values = np.sin(2 * rows[:, 0]) + rows[:, 1]
    return Points.whole(rows, range(n)), groups, (values - values.mean()) / values.std()


def unseen(rows: np.ndarray) -> Points:
    return Points.whole(rows)


@pytest.mark.parametrize("share", [-2.0, 1.0])
@pytest.mark.parametrize("rungs", [1, 3])
def test_the_gradient_of_the_evidence_is_that_of_finite_differences(share: float, rungs: int) -> None:
    points, groups, values = problem()
    if rungs > 1:  # every second training is of the network before it
        points = Points(points.rows, np.arange(40) % rungs / (rungs - 1), np.arange(40) // 2)
    point = np.array([0.3, -1.0, -2.0, -2.5, share, 0.4, -0.7])

    def evidence(p: np.ndarray) -> float:
        return _negative_evidence(points, groups, values, Kernel.at(p))[0]

    exact = _negative_evidence(points, groups, values, Kernel.at(point))[1]
    steps = 1e-5 * np.eye(len(point))
    finite = [(evidence(point + step) - evidence(point - step)) / 2e-5 for step in steps]
    assert exact == pytest.approx(finite, rel=1e-4, abs=1e-5)


def test_what_matters_gets_the_largest_weight() -> None:
    kernel = learn(*problem())
    assert kernel.log_weights[0] > max(kernel.log_weights[1:]) + 1


def test_values_without_noise_are_met_and_far_away_nothing_is_known() -> None:
    points, groups, values = problem()
    process = Process(learn(points, groups, values), groups, points, values)
    means, deviations = process.predict(unseen(points.rows))
    assert means == pytest.approx(values, abs=0.15)
    assert process.predict(unseen(points.rows + 50))[1].min() > 5 * deviations.max()


def test_unseen_rows_are_predicted() -> None:
    (points, groups, values), (others, _, truth) = problem(120), problem(60, seed=1)
    process = Process(learn(points, groups, values), groups, points, values)
    assert np.corrcoef(process.predict(unseen(others.rows))[0], truth)[0, 1] > 0.95


@pytest.mark.parametrize("rungs", [1, 3])
def test_means_of_what_was_measured_take_no_covariance(rungs: int) -> None:
    points, groups, values = problem()
    if rungs > 1:
        points = Points(points.rows, np.arange(40) % rungs / (rungs - 1), np.arange(40) // 2)
    process = Process(Kernel(np.zeros(3), log_nugget=-1.0), groups, points, values)
    assert process.smoothed == pytest.approx(process.mean(points), abs=1e-9)


def test_repeated_measurements_of_one_network_are_averaged() -> None:
    rows = np.zeros((5, 1))
    noisy = Kernel(np.zeros(1), np.log(0.5), -5.0)
    one = Points.whole(rows, [0] * 5)
    process = Process(noisy, np.zeros(1, dtype=int), one, np.array([1.0, 2, 1, 2, 1.5]))
    assert 1.2 < process.predict(Points.whole(rows[:1], [0]))[0][0] < 1.5


def test_what_a_network_has_of_its_own_is_told_by_two_trainings_of_it() -> None:
    generator = np.random.default_rng(0)
    truth, numbers = generator.normal(size=30), np.repeat(np.arange(30), 2)
    pairs = Points.whole(np.zeros((60, 1)), numbers)  # their features say nothing
    for luck, least, most, known in ((0.1, 0.8, 1.0, 0.9), (3.0, 0.0, 0.4, 0.2)):
        values = truth[numbers] + luck * generator.normal(size=60)
        kernel = learn(pairs, np.zeros(1, dtype=int), values / values.std())
        assert least < kernel.own < most
        own = Process(kernel, np.zeros(1, dtype=int), pairs, values).predict(Points.whole(np.zeros((30, 1)), range(30)))
        assert np.corrcoef(own[0], truth)[0, 1] > known


def test_of_a_network_that_was_measured_once_more_is_known_and_not_all() -> None:
    kernel = Kernel(np.zeros(1), log_nugget=0.0, logit_linear=-7.0)  # half of the nugget is the network's own
    values = np.random.default_rng(0).normal(size=40)
    numbers = np.append(np.arange(39), 0)  # the first one twice
    process = Process(kernel, np.zeros(1, dtype=int), Points.whole(np.zeros((40, 1)), numbers), values)
    deviations = process.predict(Points.whole(np.zeros((2, 1)), [0, 1]))[1]
    once, twice = 1 / (1 / 0.5 + 1 / 0.5), 1 / (1 / 0.5 + 2 / 0.5)  # variances of what is its own
    assert float(deviations[0] / deviations[1]) == pytest.approx((twice / once) ** 0.5, rel=0.1)


def test_short_trainings_tell_of_long_ones_however_much_better_all_of_these_are() -> None:
    points, groups, values = problem(40)
    short = np.arange(40) >= 6  # six were trained whole, and all that were are better by 3
    mixed = Points(points.rows, np.where(short, 0.0, 1.0), points.networks)
    told = values + np.where(short, 0.0, 3.0)
    process = Process(learn(mixed, groups, told - told.mean()), groups, mixed, told - told.mean())
    whole = process.predict(Points.whole(points.rows[short], points.networks[short]))[0] + told.mean()
    assert np.corrcoef(whole, values[short])[0, 1] > 0.9
    assert float((whole - values[short]).mean()) == pytest.approx(3, abs=0.5)


def test_a_subset_keeps_the_best_and_is_never_larger() -> None:
    chosen = subset(list(range(100, 0, -1)), 10, np.random.default_rng(0))
    assert len(chosen) == 10
    assert set(range(96, 101)) <= set(chosen)
    assert chosen == sorted(chosen)
    assert subset([3, 1], 10, np.random.default_rng(0)) == [1, 3]


def test_what_was_drawn_is_drawn_again_when_others_are_added() -> None:
    before = subset(range(1000), 100, np.random.default_rng(3))
    after = subset(range(1010), 100, np.random.default_rng(3))
    assert len(set(before) & set(after)) >= 95

"""Dominance, hypervolume and knee against hand counts, brute force and Optuna's private implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna._hypervolume import compute_hypervolume

from nas.results.pareto import hypervolume, knee, non_dominated

points = st.integers(1, 5).flatmap(
    lambda m: arrays(float, st.tuples(st.integers(1, 12), st.just(m)), elements=st.integers(0, 6).map(float))
)


def test_front_of_four_points_by_hand() -> None:
    costs = np.array([[1, 4], [2, 2], [3, 3], [4, 1]], float)
    assert non_dominated(costs).tolist() == [True, True, False, True]


def test_equal_points_do_not_dominate_each_other() -> None:
    assert non_dominated(np.array([[1, 1], [1, 1]], float)).all()


def test_no_points_have_an_empty_front_and_no_volume() -> None:
    assert non_dominated(np.empty((0, 3))).tolist() == []
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0


@given(points)
def test_every_dropped_point_is_dominated_by_one_of_the_front(costs: np.ndarray) -> None:
    keep = non_dominated(costs)
    for row in costs[~keep]:
        assert any((kept <= row).all() and (kept < row).any() for kept in costs[keep])


@given(points, st.randoms())
def test_permuting_the_points_keeps_front_and_volume(costs: np.ndarray, random: object) -> None:
    order = np.random.default_rng(random.randrange(2**32)).permutation(len(costs))  # type: ignore[attr-defined]
    assert (non_dominated(costs)[order] == non_dominated(costs[order])).all()
    reference = np.full(costs.shape[1], 6.0)
    assert hypervolume(costs[order], reference) == pytest.approx(hypervolume(costs, reference), abs=1e-9)


def test_volume_of_two_squares_by_hand() -> None:
    # 3 x 1 + 1 x 3 - 1 x 1 = 5
    assert hypervolume(np.array([[0, 2], [2, 0]], float), np.array([3.0, 3.0])) == 5


def test_volume_of_three_boxes_by_hand() -> None:
    # each box 1 x 2 x 2 = 4, pairs overlap in 1 x 1 x 2 = 2, all three in 1: 12 - 6 + 1 = 7
    costs = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    assert hypervolume(costs, np.full(3, 2.0)) == 7


def test_points_beyond_the_reference_add_nothing() -> None:
    costs = np.array([[0, 0], [-5, 4]], float)
    assert hypervolume(costs, np.array([1.0, 1.0])) == 1


@given(points)
def test_volume_equals_a_count_of_unit_cells(costs: np.ndarray) -> None:
    side = 6
    cells = np.stack(np.meshgrid(*[np.arange(side)] * costs.shape[1], indexing="ij"), -1).reshape(-1, costs.shape[1])
    dominated = (costs[None] <= cells[:, None]).all(-1).any(1)
    assert hypervolume(costs, np.full(costs.shape[1], float(side))) == pytest.approx(dominated.sum())


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
def test_volume_agrees_with_optuna(objectives: int) -> None:
    costs = np.random.default_rng(objectives).random((40, objectives))
    reference = np.full(objectives, 0.9)
    inside = costs[(costs < reference).all(1)]
    assert hypervolume(costs, reference) == pytest.approx(compute_hypervolume(inside, reference), rel=1e-12)


@pytest.mark.parametrize("objectives", [2, 3, 4, 5, 6])
def test_fronts_and_volumes_agree_with_moocore(objectives: int) -> None:
    moocore = pytest.importorskip("moocore")
    random = np.random.default_rng(objectives)
    for costs in (random.random((40, objectives)), random.integers(0, 4, (40, objectives)).astype(float)):
        kept = moocore.is_nondominated(costs, keep_weakly=True)
        assert non_dominated(costs).tolist() == kept.tolist()
        reference = np.full(objectives, costs.max() * 0.9)
        assert hypervolume(costs, reference) == pytest.approx(moocore.hypervolume(costs, ref=reference), rel=1e-12)


def test_adding_a_point_never_lowers_the_volume() -> None:
    costs = np.random.default_rng(0).random((30, 3))
    volumes = [hypervolume(costs[:n], np.ones(3)) for n in range(31)]
    assert volumes == sorted(volumes)


def test_nan_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be NaN"):
        non_dominated(np.array([[np.nan, 1]]))
    with pytest.raises(ValueError, match="must not be NaN"):
        hypervolume(np.array([[np.nan, 1]]), np.ones(2))
    with pytest.raises(ValueError, match=r"need a reference \(m,\)"):
        hypervolume(np.ones((2, 3)), np.ones(2))


def test_knee_is_the_bend_of_an_l_shaped_front() -> None:
    assert knee(np.array([[0, 10], [1, 1], [10, 0]], float)) == 1


def test_knee_does_not_depend_on_the_units() -> None:
    costs = np.array([[0, 10], [2, 5], [3, 1], [10, 0]], float)
    assert knee(costs) == knee(costs * [1000, 0.001] + [5, -5])


def test_knee_is_on_the_front() -> None:
    costs = np.random.default_rng(1).random((50, 3))
    assert non_dominated(costs)[knee(costs)]


def test_an_empty_front_has_no_knee() -> None:
    with pytest.raises(ValueError, match="no knee"):
        knee(np.empty((0, 2)))

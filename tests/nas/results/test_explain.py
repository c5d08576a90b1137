"""What decides an objective, where it is known because it was planted or can be counted."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up import Trial, made_up
from terminal import run

import nas
from nas.results.explain import Points, explain, points
from nas.results.study import Study
from searchspaces import Picks


def of(read: list[float], sizes: list[int], n: int = 4000, seed: int = 0) -> Points:
    """Assignments of choices a, b, ... each read by a share of the networks, at random."""
    generator = np.random.default_rng(seed)
    choices = {name: tuple(range(size)) for name, size in zip("abcdef", sizes, strict=False)}
    picks = np.stack([generator.integers(0, size, n) for size in sizes], axis=1)
    mask = np.stack([generator.random(n) < share for share in read], axis=1)
    return Points(choices, picks, mask, {})


def test_shares_are_those_that_a_person_works_out() -> None:
    spread = of([1, 1, 1], [2, 2, 2])
    values = 2.0 * spread.picks[:, 0] + spread.picks[:, 1]  # variances 1 and 1/4, of 5/4
    shares = spread.shares(values)
    assert shares["a"] == pytest.approx(0.8, abs=0.02)
    assert shares["b"] == pytest.approx(0.2, abs=0.02)
    assert shares["c"] < 0.002


def test_a_choice_that_is_rarely_read_ranks_first_only_if_it_matters_there() -> None:
    spread = of([1, 0.05], [2, 2])
    parent = np.where(spread.read[:, 1], 1.0, 0.0)  # being read goes with large values, whatever the option
    values = parent + 0.3 * spread.picks[:, 0]
    assert spread.shares(values)["b"] < 0.002
    deciding = 9.0 * (spread.read[:, 1] & (spread.picks[:, 1] == 1)) + 0.1 * spread.picks[:, 0]
    shares = spread.shares(deciding)
    assert max(shares, key=lambda name: shares[name]) == "b"


def test_flipping_a_direction_changes_no_share() -> None:
    spread = of([1, 0.5, 0.1], [2, 3, 4])
    values = np.random.default_rng(0).random(4000) + spread.picks[:, 1] * spread.read[:, 1]
    assert spread.shares(values) == pytest.approx(spread.shares(1 - values))


def test_noise_alone_has_no_shares() -> None:
    spread = of([1, 1], [30, 2], n=500)
    assert max(spread.shares(np.random.default_rng(1).random(500)).values()) < 0.03


def test_effects_at_equal_cost_are_without_what_the_cost_brings() -> None:
    spread = of([1, 1], [2, 2])
    cost = spread.picks[:, 0] + np.random.default_rng(0).random(4000)  # the first option of a is cheap
    values = 2 * cost + 0.5 * spread.picks[:, 1]
    assert spread.effects(values)["a"][1] == pytest.approx(1, abs=0.1)
    assert spread.effects(values, cost)["a"][1] == pytest.approx(0, abs=0.05)
    assert spread.effects(values, cost)["b"][1] == pytest.approx(0.25, abs=0.05)


def planted(searched: Path, place: Path, accuracy: Callable[[Picks, float], float], trials: int) -> Study:
    """A study whose accuracies are those of a function of picks and noise."""

    def change(study: Study, trial: Trial, generator: random.Random) -> Trial:
        value = accuracy(trial["picks"], generator.gauss(0, 0.01))
        return {"measured": {**trial["measured"], "accuracy": value}}

    return made_up(searched, place, trials, change)


def test_planted_structure_is_found_from_trials_and_costs_from_none(searched: Path, tmp_path: Path) -> None:
    def accuracy(picks: Picks, noise: float) -> float:
        return 0.5 + 0.2 * (picks["dim"] == 16) + 0.1 * (picks["s1.freeze"] == "chans") + noise

    figures = explain(planted(searched, tmp_path / "run", accuracy, 80), 512)["objectives"]
    found = figures["accuracy"]
    first, second = sorted(found["shares"], key=lambda name: -found["shares"][name])[:2]
    assert (first, second) == ("dim", "s1.freeze")
    assert found["quality"] > 0.8
    assert found["effects"]["dim"]["16"] == pytest.approx(0.1, abs=0.03)
    assert figures["macs"]["source"] == "priced"


def test_too_few_trials_are_refused_with_the_number_that_it_takes(searched: Path, tmp_path: Path) -> None:
    found = explain(nas.open(searched), 64)["objectives"]["accuracy"]
    assert found["refused"] == f"{max(30, 2 * len(explain(nas.open(searched), 8)['choices'])) - 3} more complete trials"
    noise = planted(searched, tmp_path / "run", lambda picks, noise: 0.5 + noise, 40)
    assert explain(noise, 64)["objectives"]["accuracy"]["refused"] == "about 40 more complete trials"


def test_shares_of_costs_are_within_two_hundredths_of_the_full_enumeration(searched: Path) -> None:
    space = nas.open(searched).space.remove(["freeze", "filters"])
    space = space.narrow({"dim": [8, 16, 24, 32], "depth": [1, 2, 3, 4], "kernel": [3, 5, 7], "patch": [1, 2]})
    every = points(space, {"macs": "macs"}, {}, space.size)
    sample = points(space, {"macs": "macs"}, {}, space.size // 2)
    assert len(every.picks) == space.size > 500
    whole, estimated = (each.shares(np.log10(each.costs["macs"])) for each in (every, sample))
    assert max(abs(whole[name] - estimated[name]) for name in whole) <= 0.02


def test_the_command_prints_shares_or_what_is_lacking(searched: Path) -> None:
    shown = run("explain", searched).stdout
    assert "accuracy: a forest fitted to 3 trials; that is too little" in shown
    assert "macs: exact, from" in shown

"""What replicates say of a front: by hand, and on a table whose truth is known."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.results.confirmation import ENOUGH, Confirmation, confirm, from_cost, next_trial
from nas.store.confirmations import Protocol, Replicate
from nas.store.records import TrialRecord
from objectives import Goal, to_minimise

GOALS = {"accuracy": Goal("maximize", "fraction"), "macs": Goal("minimize", "count")}
SEARCHED = Protocol(8)


def trial(number: int, accuracy: float, macs: float, *, error: float | None = 0.01) -> TrialRecord:
    spread = {} if error is None else {"accuracy": {"standard_error": error, "n": 100, "kind": "binomial"}}
    measured = {"accuracy": accuracy, "macs": macs}
    return TrialRecord(number, "complete", {}, {}, str(number), 0, measured=measured, spread=spread)


def again(record: TrialRecord, *accuracies: float, protocol: Protocol = SEARCHED) -> list[Replicate]:
    measured = [{**record.measured, "accuracy": accuracy} for accuracy in accuracies]
    return [Replicate(k, protocol, 9, replace(record, measured=each)) for k, each in enumerate(measured)]


def known(records: list[TrialRecord], *replicates: Replicate, protocol: Protocol = SEARCHED) -> Confirmation:
    reference = np.array([1.01, 4.0])
    return confirm(records, replicates, protocol, goals=GOALS, reference=reference, searched=SEARCHED)


def test_the_mean_is_that_of_the_replicates_and_the_lucky_value_of_the_search_is_left_out() -> None:
    one = trial(0, 0.99, 100)
    value = known([one], *again(one, 0.9, 0.92)).value(0, "accuracy")
    assert value is not None
    assert value == pytest.approx(0.91)
    assert (value.n, value.kind) == (2, "replicates")
    assert value.standard_error == pytest.approx(np.std([0.9, 0.92], ddof=1) / np.sqrt(2))


def test_the_noise_of_a_seed_is_pooled_until_a_trial_has_enough_replicates_of_its_own() -> None:
    one, two = trial(0, 0.9, 100), trial(1, 0.95, 200)
    few = again(one, 0.9, 0.92), again(two, *[0.90 + 0.01 * k for k in range(ENOUGH - 1)])
    pooled = known([one, two], *few[0], *few[1])
    squares = sum(np.var([r.record.measured["accuracy"] for r in group]) * len(group) for group in few)
    deviation = np.sqrt(squares / (len(few[0]) + len(few[1]) - 2))
    assert pooled.errors[:, 0] == pytest.approx(deviation / np.sqrt([2, ENOUGH - 1]))
    enough = known([one, two], *few[0], *again(two, *[0.90 + 0.01 * k for k in range(ENOUGH)]))
    own = np.std([0.90 + 0.01 * k for k in range(ENOUGH)], ddof=1)
    assert enough.errors[1, 0] == pytest.approx(own / np.sqrt(ENOUGH))


def test_a_value_without_replicates_has_the_error_that_it_states_of_itself() -> None:
    state = known([trial(0, 0.9, 100, error=0.02), trial(1, 0.95, 200, error=None)])
    assert state.errors[:, 0].tolist() == [0.02, 0]
    assert state.value(0, "accuracy") is None
    assert state.interval(0, "accuracy") is None


def test_the_interval_is_that_of_student() -> None:
    one = trial(0, 0.9, 100)
    low, high = known([one], *again(one, 0.90, 0.92, 0.94)).interval(0, "accuracy") or (0, 0)
    reach = 2.919986 * 0.02 / np.sqrt(3)  # t of 2 degrees of freedom, 95 %
    assert (low, high) == (pytest.approx(0.92 - reach), pytest.approx(0.92 + reach))


def test_the_interval_of_a_fraction_stays_one() -> None:
    one = trial(0, 0.9, 100)
    assert known([one], *again(one, 1.0, 0.98)).interval(0, "accuracy") == (pytest.approx(0.9269, abs=1e-3), 1.0)


def test_flags_of_replicates_are_kept() -> None:
    one = trial(0, 0.9, 100)
    replicates = again(one, 0.9, 0.92)
    flagged = replace(replicates[1], record=replace(replicates[1].record, flags={"accuracy": ["odd"]}))
    assert known([one], replicates[0], flagged).flags == {0: {"accuracy": ["odd"]}}


def test_a_trial_that_is_cheapest_or_far_ahead_is_on_the_front_for_certain_and_one_that_equals_another_half() -> None:
    records = [trial(0, 0.5, 100), trial(1, 0.9, 200), trial(2, 0.9, 201), trial(3, 0.5, 300)]
    state = known(records)
    assert state.chance(0) == 1
    assert state.chance(1) == pytest.approx(1)
    assert state.chance(2) == pytest.approx(0.5, abs=0.05)
    assert state.chance(3) == 0
    assert [record.number for record in state.records] == [0, 1, 2]  # the last is no near miss


def test_replicates_take_the_lucky_off_the_front() -> None:
    lucky, solid = trial(0, 0.93, 200), trial(1, 0.92, 199)
    assert len(known([lucky, solid]).front) == 2
    state = known([lucky, solid], *again(lucky, 0.90, 0.91, 0.905), *again(solid, 0.92, 0.925, 0.915))
    assert [record.number for record in state.front] == [1]
    assert state.hypervolume == pytest.approx((1.01 - 0.08) * (4 - np.log10(199)))
    low, high = state.hypervolume_interval
    assert low < state.hypervolume < high


def test_the_shift_says_how_much_too_good_the_search_was_and_how_ranks_changed() -> None:
    records = [trial(0, 0.95, 100), trial(1, 0.94, 90), trial(2, 0.93, 80)]
    state = known(
        records, *(r for record, a in zip(records, (0.90, 0.92, 0.91), strict=True) for r in again(record, a))
    )
    assert state.ranks("accuracy") == {0: (1, 3), 1: (2, 1), 2: (3, 2)}
    shift = state.shift("accuracy")
    assert shift["optimism"] == pytest.approx(0.03)
    assert shift["tau"] == pytest.approx(-1 / 3)


def test_replicates_of_another_protocol_are_compared_among_themselves() -> None:
    longer = Protocol(80)
    one, two = trial(0, 0.90, 100), trial(1, 0.95, 200)
    state = known([one, two], *again(one, 0.99, 0.98, protocol=longer), protocol=longer)
    assert [record.number for record in state.records] == [0]
    assert known([one, two], *again(one, 0.99, protocol=longer)).counts.tolist() == [0, 0]


def test_the_next_replicate_is_of_a_member_that_lacks_some_then_where_membership_is_least_certain() -> None:
    sure, close, near = trial(0, 0.5, 100), trial(1, 0.90, 200), trial(2, 0.899, 201)
    records = [sure, close, near, trial(3, 0.2, 300)]
    replicates = [*again(sure, 0.5, 0.501)]
    assert next_trial(known(records, *replicates), seeds=2) == 1
    replicates += again(close, 0.90, 0.901)
    assert next_trial(known(records, *replicates), seeds=2) in (1, 2)
    assert next_trial(known(records, *replicates), seeds=2, running=[2, 2, 2, 2]) == 1
    assert next_trial(known(records, *replicates), seeds=2, barred=[1, 2]) not in (1, 2)


def test_nothing_is_in_doubt_where_nothing_has_noise() -> None:
    assert next_trial(known([trial(0, 0.5, 100, error=None), trial(1, 0.9, 200, error=None)]), seeds=0) is None


@pytest.mark.parametrize(
    "goal", [Goal("maximize", "fraction"), Goal("minimize", "fraction"), Goal("minimize", "count")]
)
def test_a_cost_can_be_taken_back(goal: Goal) -> None:
    assert from_cost(goal, to_minimise(goal, 0.1)) == 0.1


def test_what_is_said_is_the_same_every_time() -> None:
    records = [trial(0, 0.90, 100), trial(1, 0.901, 101)]
    assert known(records).chances.tolist() == known(records).chances.tolist()


def test_on_a_table_of_known_truth_intervals_cover_it_and_fronts_have_fewer_false_members(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`studies/confirmation.py` measures the same on more and larger studies."""
    monkeypatch.syspath_prepend(repository / "studies")
    simulated = __import__("confirmation")
    random = np.random.default_rng(0)
    macs = 10 ** random.uniform(6, 8, 600)
    ability = 0.8 + 0.05 * (np.log10(macs) - 6) + 0.02 * random.standard_normal(600)
    table = np.stack([ability, 0.6 - 0.2 * ability + 0.02 * random.standard_normal(600), macs], axis=1)
    false, covered = np.zeros(2), []
    for seed in range(3):
        chosen = random.permutation(600)
        study, longer = simulated.Simulated(table[chosen[:40]], seed), simulated.Simulated(table[chosen[:70]], seed)
        state = study.spend(30)
        false += longer.false_members(longer.one_seed_front()), study.false_members(state.front)
        covered += simulated.covered(study, state)
    assert false[1] < false[0]
    assert 0.8 <= np.mean(covered) <= 0.97
    sys.modules.pop("confirmation")

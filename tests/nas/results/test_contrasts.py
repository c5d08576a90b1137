"""Paired differences, their correction, and verdicts: by hand, and on values whose truth is known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from nas.results.contrasts import Contrast, Expectation, Sample, Values, compared, holm, judged


def of(**arms: Sequence[float]) -> dict[str, Values]:
    """Values of arms by a measure ``m``, seed by seed."""
    return {"m": {arm: dict(enumerate(values)) for arm, values in arms.items()}}


def test_a_difference_is_taken_seed_by_seed() -> None:
    [one] = compared(of(a=[0.90, 0.80, 0.70], b=[0.89, 0.78, 0.67]), [("a", "b")], {})
    assert one.difference.mean == pytest.approx(0.02)
    assert one.difference.deviation == pytest.approx(0.01)
    half = 4.302653 * 0.01 / math.sqrt(3)  # the quantile of Student's t with two degrees of freedom
    assert one.difference.interval == pytest.approx((0.02 - half, 0.02 + half))
    assert one.difference.effect == pytest.approx(2 * (1 - 3 / 7))  # Hedges' correction for two degrees of freedom
    assert one.holm == pytest.approx(0.074180, abs=1e-6)


def test_only_seeds_that_both_arms_have_count() -> None:
    values = {"m": {"a": {0: 1.0, 2: 5.0}, "b": {0: 0.5, 1: 9.0}}}
    [one] = compared(values, [("a", "b")], {})
    assert (one.difference.n, one.difference.mean, one.difference.interval) == (1, 0.5, None)


def test_holm_corrects_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_equal_shares_of_few_images_do_not_say_that_the_next_would_be_equal() -> None:
    equal = np.array([0.5, 0.5, 0.5])
    assert Sample.of(equal).error == 0
    assert Sample.of(equal, 0.01).deviation == pytest.approx(0.01 / math.sqrt(12))
    [one] = compared(of(a=[0.5] * 3, b=[0.5] * 3), [("a", "b")], {})
    assert one.holm == 1
    assert not one.different


VERDICTS = [
    ("above", 0.0, "supported"),
    ("above", 0.05, "supported"),
    ("above", 0.2, "not supported"),
    ("above", 0.09, "undecided"),
    ("below", 0.0, "opposite"),
    ("below", 0.2, "opposite"),
    ("not below", 0.01, "supported"),
    ("not above", 0.01, "not supported"),
    ("not above", 0.2, "supported"),
    ("within", 0.2, "supported"),
    ("within", 0.01, "not supported"),
]


@pytest.mark.parametrize(("relation", "margin", "verdict"), VERDICTS)
def test_a_verdict_is_where_the_whole_interval_lies(relation: str, margin: float, verdict: str) -> None:
    values = of(a=[0.90, 0.91, 0.92], b=[0.80, 0.82, 0.81])  # a difference of 0.1 with an interval of 0.025
    [one] = judged(values, [Expectation("a", relation, "b", margin, "m")], {})  # type: ignore[arg-type]
    assert one.verdict == verdict
    assert (one.seeds is None) == (verdict != "undecided")


def test_two_seeds_are_no_verdict_whatever_they_show() -> None:
    [one] = judged(of(a=[0.9, 0.9], b=[0.1, 0.1]), [Expectation("a", "above", "b", 0, "m")], {})
    assert one.verdict == "undecided"


def test_the_seeds_that_would_decide_do_if_all_stays_as_it_is() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=5)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    expected = Expectation("a", "above", "b", 0.0, "m")
    [one] = judged(of(a=list(0.4 + noise), b=[0.0] * 5), [expected], {})
    assert one.verdict == "undecided"
    assert one.seeds is not None
    for seeds, verdict in ((one.seeds, "supported"), (one.seeds - 1, "undecided")):
        more = random.normal(size=seeds)
        more = 0.4 + (more - more.mean()) / more.std(ddof=1)
        assert judged(of(a=list(more), b=[0.0] * seeds), [expected], {})[0].verdict == verdict
    [far] = judged(of(a=list(1e-6 + noise), b=[0.0] * 5), [expected], {})
    assert far.seeds is None  # more than anybody trains


def test_several_expectations_are_corrected_together() -> None:
    values = of(a=[0.90, 0.93, 0.96], b=[0.80, 0.81, 0.82], c=[0.2, 0.9, 0.5])
    first, second = Expectation("a", "above", "b", 0, "m"), Expectation("c", "above", "b", 0, "m")
    assert judged(values, [first], {})[0].verdict == "supported"
    [one, _] = judged(values, [first, second], {})
    assert one.p == pytest.approx(2 * judged(values, [first], {})[0].p)


def test_sums_of_arms_can_be_compared() -> None:
    arms = ["full", "chans", "d9.full"]
    assert Contrast.parse("full - chans", arms).weights == {"full": 1, "chans": -1}
    assert Contrast.parse("0.9*full + d9.full", arms).weights == {"full": 0.9, "d9.full": 1}
    assert (Contrast.parse("full", arms) - Contrast.parse("0.9*full", arms)).weights == pytest.approx({"full": 0.1})
    gap = Contrast.parse("full - chans", arms) - Contrast.parse("0", arms)
    assert gap.of({"full": {0: 3.0, 1: 5.0}, "chans": {0: 1.0, 1: 1.0}}).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("text", ["", "full -", "full chans", "- full", "full * chans", "x*full"])
def test_what_is_no_sum_of_arms_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"joined by ' \+ ' and ' - '"):
        Contrast.parse(text, ["full", "chans"])
    with pytest.raises(ValueError, match=r"unknown arm 'ful'\. Did you mean 'full'"):
        Contrast.parse("ful", ["full", "chans"])


SEEDS, REPETITIONS = 5, 20


def differences(planted: float, repetitions: int, seed: int) -> int:
    """Of how many ablations of two arms it is said that they differ.

    Args:
        planted: the true difference in half intervals of the design: t standard errors of a paired difference.
    """
    random, found = np.random.default_rng(seed), 0
    resolution = 2.776 * math.sqrt(2) / math.sqrt(SEEDS)  # of noise with deviation 1 in each arm, in 5 seeds
    for _ in range(repetitions):
        common = 3 * random.normal(size=SEEDS)  # what a seed does to both arms
        a, b = common + random.normal(size=SEEDS) + planted * resolution, common + random.normal(size=SEEDS)
        [one] = compared(of(a=list(a), b=list(b)), [("a", "b")], {})
        found += one.different
    return found


def test_equal_arms_differ_no_more_often_than_said() -> None:
    assert differences(0.0, REPETITIONS, seed=0) <= 2
    assert 0.03 <= differences(0.0, 1000, seed=1) / 1000 <= 0.07


def test_a_difference_of_twice_the_resolution_is_found() -> None:
    assert differences(2.0, REPETITIONS, seed=0) >= 15

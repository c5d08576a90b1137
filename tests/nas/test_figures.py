"""Numbers as people read them."""

import pytest

from nas.figures import change_text, si, value_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(846, "846"), (0.5, "0.5"), (9090, "9.090 k"), (146_560, "146.6 k"), (999_999, "1.000 M"), (5e6, "5.000 M")],
)
def test_counts_have_si_prefixes(value: float, shown: str) -> None:
    assert si(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(1.2e9, "1.200 G"), (7e12, "7.000 T"), (1e300, "1e+300")])
def test_large_counts_too(value: float, shown: str) -> None:
    assert si(value) == shown


@pytest.mark.parametrize(
    ("value", "scale", "error", "shown"),
    [
        (0.96856, "fraction", 0.0104, "0.969 ± 0.010"),
        (0.96856, "fraction", 0.034, "0.97 ± 0.03"),
        (0.96856, "fraction", 0.00096, "0.9686 ± 0.0010"),
        (0.96856, "fraction", 1e-9, "0.968560 ± 0.000000"),
        (0.96856, "fraction", 0.0, "0.9686"),
        (0.96856, "fraction", None, "0.9686"),
        (1_234_567, "count", 12_000, "1.235 ± 0.012 M"),
        (1_234_567, "count", 0.0, "1.235 M"),
        (42.0, "count", 3.0, "42 ± 3"),
    ],
)
def test_values_are_rounded_to_their_errors(value: float, scale: str, error: float | None, shown: str) -> None:
    assert value_text(value, scale, error) == shown


@pytest.mark.parametrize(
    ("before", "after", "scale", "shown"),
    [
        (0.95, 0.96, "fraction", "+0.0100"),
        (0.96, 0.95, "fraction", "-0.0100"),
        (1e6, 2e6, "count", "+1.00 M (x 2)"),
        (47_680, 47_808, "count", "+128"),
        (5.0, 5.0, "count", "the same"),
    ],
)
def test_changes_are_in_words(before: float, after: float, scale: str, shown: str) -> None:
    assert change_text(before, after, scale) == shown

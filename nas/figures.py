"""Numbers for people: values rounded to their errors, counts in SI units, differences in words.

A scale is that of an objective: ``fraction`` or ``count``.
"""

import math

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MARK = "!"
"""Behind a value that may not mean what its name says."""
LARGE = 1e15
"""Counts from which on SI prefixes say nothing."""


def si(value: float, digits: int = 4) -> str:
    """A count with an SI prefix: ``si(146_560)`` is ``146.6 k``; whole numbers below 1,000 as they are."""
    size = abs(value)
    if size < 1000 or size >= LARGE:
        return f"{value:.0f}" if value == round(value) and size < 1000 else f"{value:.3g}"
    power, prefix = next(pair for pair in PREFIXES if size >= pair[0])
    if round(size / power, digits - 3) >= 1000 and prefix != "T":  # 999,999 is 1 M, not 1000 k
        power, prefix = PREFIXES[PREFIXES.index((power, prefix)) - 1]
    whole = len(str(int(size / power)))
    return f"{value / power:.{max(0, digits - whole)}f} {prefix}"


def decimals(error: float) -> int:
    """Decimal places down to which a value with this error says something: two digits of errors 1 and less, else one.

    Example: ``decimals(0.0123)`` is 3, ``decimals(0.034)`` is 2.
    """
    power = math.floor(math.log10(error))
    leading = round(error / 10**power, 1)
    return (1 if leading < 2 else 0) - power


def value_text(value: float, scale: str, error: float | None = None) -> str:
    """A value with its standard error, both rounded to the error; a fraction with four digits if it has none.

    Example: ``value_text(0.96856, "fraction", 0.0104)`` is ``0.969 ± 0.010``.
    """
    if scale != "fraction":
        if not error:
            return si(value)
        power, prefix = next((pair for pair in PREFIXES if pair[0] <= abs(value) < LARGE), (1.0, ""))
        places = max(0, decimals(error / power))
        return f"{value / power:.{places}f} ± {error / power:.{places}f} {prefix}".rstrip()
    if not error:
        return f"{value:.4f}"
    places = min(max(0, decimals(error)), 6)
    return f"{value:.{places}f} ± {error:.{places}f}"


def change_text(before: float, after: float, scale: str) -> str:
    """What is different, in words: ``+0.0105``; of counts ``+60.9 k (x 1.42)``; ``the same``."""
    if before == after:
        return "the same"
    sign = "+" if after > before else "-"
    if scale == "fraction":
        return f"{sign}{abs(after - before):.4f}"
    factor = f" (x {after / before:.3g})" if before > 0 and abs(after / before - 1) >= 0.005 else ""
    return f"{sign}{si(abs(after - before), 3)}{factor}"

"""Choosing from trials: by a rule such as ``knee``, or by conditions such as ``macs<=5e6``."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from nas.errors import WrongInputError, user_input
from nas.results.pareto import knee
from nas.store.records import TrialRecord
from searchspaces.registry import unknown

CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|<|>|==)\s*([-+.\deE]+)\s*")
COMPARE = {"<=": np.less_equal, ">=": np.greater_equal, "<": np.less, ">": np.greater, "==": np.equal}


def pick(rule: str, front: Sequence[TrialRecord], costs: np.ndarray, objectives: Sequence[str]) -> TrialRecord:
    """The member of the front that ``rule`` names: ``knee`` or ``best:OBJECTIVE``.

    Args:
        front: at least one member.
        costs: (n, m) of the members, to be minimised.
        objectives: names of the m columns.

    Raises:
        WrongInputError: if the rule is unknown.
    """
    with user_input(""):
        check_rule(rule, objectives)
    kind, _, name = rule.partition(":")
    return front[knee(costs) if kind == "knee" else int(np.argmin(costs[:, list(objectives).index(name)]))]


def trial_number(text: str) -> int | None:
    """The number of a trial that ``text`` states; None if it states none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


def check_rule(rule: str, objectives: Sequence[str]) -> None:
    """Refuses a rule that `Study.pick` does not know.

    Raises:
        ValueError: if it does not.
    """
    kind, _, argument = rule.partition(":")
    if kind == "trial" and trial_number(argument) is not None:
        return
    if kind not in ("knee", "best") or (kind == "knee") == bool(argument):
        rules = ["knee", "trial:NUMBER", *(f"best:{name}" for name in objectives)]
        raise ValueError(f"unknown pick {rule!r}. Known: {', '.join(rules)}.")
    if kind == "best" and argument not in objectives:
        raise ValueError(f"best: {unknown('objective', argument, objectives)}")


def where(records: Iterable[TrialRecord], conditions: Iterable[str], objectives: Iterable[str]) -> list[TrialRecord]:
    """The records that keep every condition, such as ``macs<=5e6``.

    Args:
        objectives: names that may be compared besides those that the records hold.

    Raises:
        WrongInputError: if a condition cannot be read or compares an unknown value.
    """
    kept = list(records)
    known = {name for record in kept for name in record.measured} | set(objectives)
    for text in conditions:
        match = CONDITION.fullmatch(text)
        try:
            bound = float(match[3]) if match else None
        except ValueError:
            bound = None
        if match is None or bound is None:
            raise WrongInputError(f"--where needs NAME<=NUMBER (or >=, <, >, ==), as in macs<=5e6, got {text!r}.")
        name, compare = match[1], COMPARE[match[2]]
        if name not in known:
            raise WrongInputError(f"--where: {unknown('measured value', name, known)}")
        kept = [record for record in kept if name in record.measured and compare(record.measured[name], bound)]
    return kept

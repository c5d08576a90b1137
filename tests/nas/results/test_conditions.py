"""Conditions as a person writes them."""

import pytest

from nas.errors import WrongInputError
from nas.results.conditions import parse

KNOWN = {"macs": (), "accuracy": (), "odd,name=1": (), "s1.mixer": ("raft", "conv"), "depth": (2, 4)}
TRIAL = {"macs": 5e6, "accuracy": 0.9, "odd,name=1": 1.0, "s1.mixer": "raft", "depth": 4}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("macs<=5e6", True),
        ("macs < 5000000", False),
        ("accuracy>=.9 and macs<=5e6", True),
        ("macs<1 or accuracy>0.8 and depth==4", True),  # and binds more than or
        ("(macs<1 or accuracy>0.8) and depth==2", False),
        ("not macs<1 and not not accuracy>.8", True),
        ("s1.mixer==raft", True),
        ("s1.mixer != 'raft'", False),
        ('"odd,name=1" >= 1', True),
        ("s1.mixer==conv or(depth!=2)", True),
    ],
)
def test_a_condition_holds_as_it_reads(text: str, holds: bool) -> None:
    assert parse(text, KNOWN)(TRIAL.get) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("accuracy>=0.5", None),
        ("not accuracy>=0.5", None),
        ("accuracy>=0.5 or macs<=5e6", True),
        ("accuracy>=0.5 and macs>5e6", False),
        ("accuracy>=0.5 and macs<=5e6", None),
    ],
)
def test_what_a_trial_lacks_is_neither_true_nor_false(text: str, holds: bool | None) -> None:
    assert parse(text, KNOWN)({"macs": 5e6}.get) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a name where it has its end"),
        ("macs", "needs one of <=, >=, <, >, ==, != where it has its end"),
        ("macs<=", "needs a number or a word where it has its end"),
        ("macs=5", "needs == to compare where it has '='"),
        ("macs<=five", "macs needs a number, as in macs<=5e6, got 'five'"),
        ("macs<='5'", "macs needs a number"),
        ("macs<=nan", "macs needs a number"),
        ("mac<=5", "unknown value 'mac'. Did you mean 'macs'"),
        ("s1.mixer==rafft", "s1.mixer == must be one of raft, conv, got 'rafft'"),
        ("s1.mixer<=raft", "s1.mixer == must be one of raft, conv"),
        ("(macs<=5", "needs a closing parenthesis where it has its end"),
        ("macs<=5 macs>=1", "needs and, or, or the end where it has 'macs'"),
        ("macs<=5 and or", "needs a name where it has 'or'"),
        ("(" * 21 + "macs<=5" + ")" * 21, "more than 20 parentheses"),
        ("not " * 5000 + "macs<=5", "more than 20 parentheses or not"),
        ("macs<='5", "needs a number"),
    ],
)
def test_a_condition_that_cannot_be_read_says_what_it_needs(text: str, message: str) -> None:
    with pytest.raises(WrongInputError, match=message.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+")):
        parse(text, KNOWN)

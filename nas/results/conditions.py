"""Conditions on trials as a user writes them: ``macs<=5e6 and not (s1.mixer==raft or robust_accuracy<0.6)``.

A comparison of something that a trial does not have is neither true nor false, and so is its ``not``: a trial that
failed is chosen neither by ``accuracy>=0.9`` nor by ``not accuracy>=0.9``. What is neither is not chosen.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nas.errors import WrongInputError
from nas.store.records import brief
from searchspaces import Value
from searchspaces.registry import not_one_of, unknown

TOKEN = re.compile(r"""\s*(?:(<=|>=|==|!=|=|<|>|[()])|"([^"]*)"|'([^']*)'|([^\s()<>=!"']+)|(\S))""")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}
DEEPEST = 20
"""Parentheses and words ``not`` in each other."""

Look = Callable[[str], Value | None]
"""Returns what a trial has under a name; None if it has nothing."""
Holds = Callable[[Look], bool | None]
"""Whether a condition holds of a trial; None if the trial lacks what would decide it."""


def parse(text: str, known: Mapping[str, Sequence[Value]]) -> Holds:
    """The condition that ``text`` states.

    Args:
        known: the names that may be compared, each with its options; without any it is a number.

    Raises:
        WrongInputError: if it cannot be read, or compares an unknown name or with an unknown option.
    """
    return _Parser(text, known).whole()


@dataclass(frozen=True)
class _Token:
    text: str
    quoted: bool = False

    def means(self, *words: str) -> bool:
        return not self.quoted and self.text in words


class _Parser:
    """Recursive descent: ``or`` binds less than ``and``, that less than ``not``, that less than a comparison."""

    def __init__(self, text: str, known: Mapping[str, Sequence[Value]]) -> None:
        self.text, self.known = text, known
        self.tokens = list(_tokens(text))
        self.at = self.depth = 0

    def whole(self) -> Holds:
        found = self._either()
        if self.at < len(self.tokens):
            raise self._wrong("and, or, or the end")
        return found

    def _either(self) -> Holds:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda look: _any(parts, look)

    def _both(self) -> Holds:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda look: _all(parts, look)

    def _one(self) -> Holds:
        opened = self._takes("(")
        if not opened and not self._takes("not"):
            return self._comparison()
        self.depth += 1
        if self.depth > DEEPEST:
            raise WrongInputError(f"--where: more than {DEEPEST} parentheses or not in each other.")
        inner = self._either() if opened else self._one()
        self.depth -= 1
        if not opened:
            return lambda look: None if (held := inner(look)) is None else not held
        if not self._takes(")"):
            raise self._wrong("a closing parenthesis")
        return inner

    def _comparison(self) -> Holds:
        name = self._next("a name")
        if self.at < len(self.tokens) and self.tokens[self.at].means("="):
            raise self._wrong("== to compare")
        sign = self._next("one of " + ", ".join(COMPARE), *COMPARE).text
        bound = self._next("a number or a word")
        if name.text not in self.known:
            raise WrongInputError(f"--where: {unknown('value', name.text, self.known)}")
        return self._compared(name.text, sign, bound)

    def _compared(self, name: str, sign: str, bound: _Token) -> Holds:
        options, compare = self.known[name], COMPARE[sign]
        if any(isinstance(option, str) for option in options):
            if bound.text not in map(str, options) or sign not in ("==", "!="):
                what = not_one_of(f"{name} {sign if sign in ('==', '!=') else '=='}", bound.text, options)
                raise WrongInputError(f"--where: {what}")
            word, same = bound.text, sign == "=="
            return lambda look: None if (value := look(name)) is None else (str(value) == word) == same
        number = None if bound.quoted else _number(bound.text)
        if number is None:
            raise WrongInputError(f"--where: {name} needs a number, as in {name}{sign}5e6, got {bound.text!r}.")
        return lambda look: compare(value, number) if isinstance(value := look(name), int | float) else None

    def _takes(self, word: str) -> bool:
        found = self.at < len(self.tokens) and self.tokens[self.at].means(word)
        self.at += found
        return found

    def _next(self, what: str, *words: str) -> _Token:
        signs = {*COMPARE, "(", ")", "="}
        if self.at == len(self.tokens) or not (
            self.tokens[self.at].means(*words) if words else not self.tokens[self.at].means(*signs, "and", "or", "not")
        ):
            raise self._wrong(what)
        self.at += 1
        return self.tokens[self.at - 1]

    def _wrong(self, what: str) -> WrongInputError:
        came = repr(self.tokens[self.at].text) if self.at < len(self.tokens) else "its end"
        return WrongInputError(
            f"--where needs comparisons such as macs<=5e6, joined by and, or, not and parentheses: {brief(self.text)} "
            f"needs {what} where it has {came}."
        )


def _tokens(text: str) -> Iterator[_Token]:
    for match in TOKEN.finditer(text):
        sign, double, single, word, other = match.groups()
        quoted = double if double is not None else single
        yield _Token(sign or word or other) if quoted is None else _Token(quoted, quoted=True)


def _number(text: str) -> float | None:
    """The number that a word states; NaN is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None


def _all(parts: Sequence[Holds], look: Look) -> bool | None:
    """Kleene's ``and``: false if one is, else unknown if one is."""
    found: bool | None = True
    for part in parts:
        held = part(look)
        if held is False:
            return False
        found = found if held else None
    return found


def _any(parts: Sequence[Holds], look: Look) -> bool | None:
    """Kleene's ``or``: true if one is, else unknown if one is."""
    found: bool | None = False
    for part in parts:
        held = part(look)
        if held:
            return True
        found = None if held is None else found
    return found

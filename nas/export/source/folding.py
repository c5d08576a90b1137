"""A method for one instance: branches that its settings decide are left out, and what only they needed."""

import ast
import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from textwrap import wrap
from typing import Any

from torch import nn

from nas.export.source.edits import Source
from nas.export.source.expressions import WIDTH
from nas.export.source.static import UNKNOWN, Static, attribute, is_literal

CHECKERS = re.compile(r"[ \t]*# (?:type: ignore|noqa)[^\n]*")
"""Comments for tools that check the source."""


class Folding:
    """Edits of a method of ``instance``."""

    def __init__(self, text: str, instance: nn.Module | None, known: Mapping[str, Any]) -> None:
        self.source = Source(text)
        self.instance = instance
        self.flat: dict[str, Any] = {}
        """Settings of an object that the instance holds, ``self.config.kernel``, as attributes of the instance."""
        function = self.source.tree.body[0]
        self.static = Static({**known, **({} if instance is None else {"self": instance})})
        if isinstance(function, ast.FunctionDef):
            self.static.learn(function)
            self._block(function.body)

    def text(self) -> str:
        """The method after the edits."""
        return self.source.edited()

    def _block(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.If):
                self._if(node, body)
            else:
                self._parts(node)

    def _parts(self, node: ast.AST) -> None:
        for field, value in ast.iter_fields(node):
            if field in ("body", "orelse", "finalbody") and isinstance(value, list):
                self._block(value)
            else:
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, ast.expr):
                        self._expression(part)
                    elif isinstance(part, ast.AST):
                        self._parts(part)

    def _if(self, node: ast.If, body: list[ast.stmt]) -> None:
        truth = self.static.truth(node.test)
        if truth is None:
            self._test(node.test)
            self._block(node.body)
            if _is_elif(self.source, node):
                self._elif(node)
            else:
                self._block(node.orelse)
            return
        start, end = self.source.block_span(node)
        live = self._live(node, node.col_offset)
        if live is None and len(body) > 1:
            start, end = self.source.line_start(node.lineno), self.source.line_start((node.end_lineno or 0) + 1)
        self.source.replace(start, end, live or (lambda: "pass" if len(body) == 1 else ""))

    def _elif(self, node: ast.If) -> None:
        """The branches after the first, of which the next is an ``elif``."""
        other = node.orelse[0]
        assert isinstance(other, ast.If)
        if self.static.truth(other.test) is None:
            self._if(other, node.orelse)
            return
        start, end = self.source.block_span(other)
        live = self._live(other, other.col_offset)
        if live is None:
            start = self.source.block_span(node.body[-1])[1]
            self.source.replace(start, end, "")
            return
        indent = " " * (other.col_offset + 4)
        made = live
        self.source.replace(start, end, lambda: "else:\n" + _indented(made(), indent, other.col_offset))

    def _live(self, node: ast.If, column: int) -> Callable[[], str] | None:
        """What makes the text of the branch that is taken, at ``column``; None if there is none."""
        if self.static.truth(node.test):
            self._block(node.body)
            return lambda: self._body(node.body, self._header_end(node), column)
        if not node.orelse:
            return None
        if _is_elif(self.source, node):
            other = node.orelse[0]
            assert isinstance(other, ast.If)
            if self.static.truth(other.test) is not None:
                return self._live(other, column)
            self._if(other, node.orelse)
            start, end = self.source.block_span(other)
            return lambda: self.source.edited(start + len("el"), end)
        self._block(node.orelse)
        line = node.orelse[0].lineno
        while not re.match(r"\s*else\b", self.source.line(line)):
            line -= 1
        line = min(line + 1, node.orelse[0].lineno)
        return lambda: self._body(node.orelse, line, column)

    def _header_end(self, node: ast.If) -> int:
        """The line after that of the colon."""
        line = node.test.end_lineno or node.lineno
        while not re.search(r":\s*(#.*)?$", self.source.line(line)) and line < node.body[0].lineno:
            line += 1
        return min(line + 1, node.body[0].lineno)

    def _body(self, body: list[ast.stmt], first: int, column: int) -> str:
        """Statements, with the comments before them, as they stand at ``column``."""
        start, end = self.source.line_start(first), self.source.block_span(body[-1])[1]
        if self.source.text[start : self.source.span(body[0])[0]].strip() and body[0].lineno == first:
            return self.source.edited(self.source.span(body[0])[0], end)  # on the line of its ``if`` or ``else``
        text = self.source.edited(start, end)
        shift = body[0].col_offset - column
        lines = [line[shift:] if not line[:shift].strip() else line for line in text.splitlines(keepends=True)]
        return "".join(lines).lstrip(" ")

    def _expression(self, node: ast.expr) -> None:
        if isinstance(node, ast.IfExp):
            truth = self.static.truth(node.test)
            if truth is not None:
                live = node.body if truth else node.orelse
                self._expression(live)
                self.source.replace(*self.source.span(node), lambda: self.source.edited(*self.source.span(live)))
                return
            self._test(node.test)
            self._expression(node.body)
            self._expression(node.orelse)
            return
        if isinstance(node, ast.Attribute) and self._flatten(node):
            return
        self._parts(node)

    def _test(self, node: ast.expr) -> None:
        """A test that is not known: of its ``and`` or ``or``, the operands that decide nothing are left out."""
        if isinstance(node, ast.BoolOp):
            open_ = [part for part in node.values if self.static.truth(part) is None]
            if len(open_) == 1:
                self._expression(open_[0])
                self.source.replace(*self.source.span(node), lambda: self.source.edited(*self.source.span(open_[0])))
                return
        self._expression(node)

    def _flatten(self, node: ast.Attribute) -> bool:
        """``self.config.kernel`` as ``self.kernel``, which the instance then has."""
        owner = node.value
        if not (isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name) and owner.value.id == "self"):
            return False
        held = self.static.value(owner)
        if held is UNKNOWN or isinstance(held, nn.Module) or not dataclasses.is_dataclass(held):
            return False
        found = attribute(held, node.attr)
        if found is UNKNOWN or not is_literal(found):
            return False
        name = f"{owner.attr}_{node.attr}" if hasattr(self.instance, node.attr) else node.attr
        self.flat[name] = found
        self.source.replace(*self.source.span(node), f"self.{name}")
        return True


def _is_elif(source: Source, node: ast.If) -> bool:
    if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
        return False
    start, _ = source.span(node.orelse[0])
    return source.text.startswith("elif", start)


def _indented(text: str, indent: str, column: int) -> str:
    lines = text.splitlines(keepends=True)
    return indent + lines[0] + "".join(f"    {line}" if line.strip() else line for line in lines[1:])


@lru_cache(maxsize=4096)
def tidied(text: str, *, moved: int = 0, documented: bool = True) -> str:
    """A function without statements that do nothing any more, remarks to checkers, and long docstrings.

    Args:
        moved: columns by which it will be moved.
        documented: keep the first lines of docstrings.
    """
    text = CHECKERS.sub("", text)
    while (shorter := _tidied_once(text)) != text:
        text = shorter
    source = Source(text)
    function = source.tree.body[0]
    if isinstance(function, ast.FunctionDef):
        _shorten_docstring(source, function, moved, documented)
    return source.edited()


def _tidied_once(text: str) -> str:
    source = Source(text)
    function = source.tree.body[0]
    if not isinstance(function, ast.FunctionDef):
        return text
    used = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for parent in ast.walk(function):
        for field in ("body", "orelse"):
            body = getattr(parent, field, None)
            if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                _tidy_block(source, body, used)
    return source.edited()


def _shorten_docstring(source: Source, node: ast.FunctionDef, moved: int, documented: bool) -> None:
    """Asks for the first line of a docstring in place of the whole, or for none."""
    text = ast.get_docstring(node)
    if text is None:
        return
    if not documented and len(node.body) > 1:
        first, last = node.body[0].lineno, node.body[0].end_lineno or 0
        source.replace(source.line_start(first), source.line_start(last + 1), "")
        return
    summary = text.partition("\n")[0]
    start, end = source.span(node.body[0])
    if source.text[start:end] != (short := docstring(summary, node.body[0].col_offset, moved)):
        source.replace(start, end, short)


def docstring(summary: str, column: int, moved: int = 0) -> str:
    """A line as a docstring at a column, which may be moved by so many more."""
    prefix = "r" if "\\" in summary else ""
    if column + moved + len(prefix + summary) + 6 > WIDTH:
        summary = ("\n" + " " * column).join([*wrap(summary, WIDTH - column - moved - 4), ""])
    return f'{prefix}"""{summary}"""'


def _tidy_block(source: Source, body: list[ast.stmt], used: set[str]) -> None:
    for place, node in enumerate(body):
        if isinstance(node, ast.Return | ast.Raise) and place + 1 < len(body):
            end = source.span(body[-1])[1]
            source.replace(source.span(node)[1], end, "")
            return
        following = body[place + 1] if place + 1 < len(body) else None
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(following, ast.Return)
            and _is_returned(source, node, following)
        ):
            assert node.value is not None
            start, end = source.span(node.value)
            after = source.text[end : source.span(following)[0]].rstrip()
            source.replace(source.span(node)[0], source.span(following)[1], f"return {source.text[start:end]}{after}")
            return
        if len(body) > 1 and isinstance(node, ast.Assign | ast.AnnAssign) and _does_nothing(node, used):
            source.replace(source.line_start(node.lineno), source.line_start((node.end_lineno or 0) + 1), "")
        elif isinstance(node, ast.Assign):
            _drop_unused(source, node, used)


def _is_returned(source: Source, node: ast.AnnAssign, following: ast.Return) -> bool:
    """Whether a name is made only to be returned, for a checker of types, and nothing is said between."""
    target, given = node.target, following.value
    same = isinstance(target, ast.Name) and isinstance(given, ast.Name) and target.id == given.id
    if not same or node.value is None or (node.value.end_lineno, following.lineno - 1) != (node.end_lineno,) * 2:
        return False
    return source.text[source.span(node.value)[1] : source.span(following)[0]].count("\n") == 1


def _does_nothing(node: ast.Assign | ast.AnnAssign, used: set[str]) -> bool:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if isinstance(target, ast.Name) and isinstance(node.value, ast.Name) and target.id == node.value.id:
        return True
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    unused = all(isinstance(name, ast.Name) and name.id not in used for name in names)
    return unused and node.value is not None and _is_pure(node.value)


def _is_pure(node: ast.expr) -> bool:
    """Whether an expression has no other effect than its value."""
    kinds = (ast.Name, ast.Attribute, ast.Constant, ast.Tuple, ast.BinOp, ast.UnaryOp, ast.Subscript)
    others = (ast.expr_context, ast.operator, ast.unaryop)
    return all(isinstance(part, (*kinds, *others)) or _is_length(part) for part in ast.walk(node))


def _is_length(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


def _drop_unused(source: Source, node: ast.Assign, used: set[str]) -> None:
    """``a, b = x, y`` without b and y if b is not used."""
    target, value = node.targets[0], node.value
    if not (isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts)):
        return
    if any(isinstance(part, ast.Starred) for part in (*target.elts, *value.elts)):
        return
    pairs = list(zip(target.elts, value.elts, strict=True))
    kept = [
        (one, given)
        for one, given in pairs
        if not (isinstance(one, ast.Name) and one.id not in used and _is_pure(given))
    ]
    if kept and len(kept) < len(pairs):
        for side, parts in ((target, [one for one, _ in kept]), (value, [given for _, given in kept])):
            source.replace(*source.span(side), ", ".join(source.edited(*source.span(part)) for part in parts))

"""Changes of a piece of source that leave the rest of its text as it stands, comments included."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Edit:
    """``text()`` in place of the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: Callable[[], str]


class Source:
    """A piece of Python, its syntax tree, and the edits of it that have been asked for.

    Edits may hold others: the outer one makes its text of `edited` parts.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.edits: list[Edit] = []

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; the places of its nodes are those in ``text``."""
        return ast.parse(self.text)

    @cached_property
    def _starts(self) -> list[int]:
        found = [0]
        for line in self.text.splitlines(keepends=True):
            found.append(found[-1] + len(line))
        return found

    def line_start(self, line: int) -> int:
        """Place of the first character of a line, counted from 1."""
        return self._starts[min(line - 1, len(self._starts) - 1)]

    def line(self, number: int) -> str:
        """A line, counted from 1, with its end."""
        return self.text[self.line_start(number) : self.line_start(number + 1)]

    def _place(self, line: int, column: int) -> int:
        text = self.line(line)
        if text.isascii():
            return self.line_start(line) + column
        return self.line_start(line) + len(text.encode()[:column].decode())  # columns are counted in bytes

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Places of the first character of a node and of the one after its last."""
        last, column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._place(node.lineno, node.col_offset), self._place(last, column)

    def block_span(self, node: ast.stmt) -> tuple[int, int]:
        """As `span`, with the comment that follows on the last line."""
        start, end = self.span(node)
        rest = self.text[end : self.line_start((node.end_lineno or node.lineno) + 1)]
        return start, end + len(rest.rstrip()) if rest.lstrip().startswith("#") else end

    def replace(self, start: int, end: int, text: str | Callable[[], str]) -> None:
        """Asks for an edit."""
        self.edits.append(Edit(start, end, (lambda: text) if isinstance(text, str) else text))

    def edited(self, start: int = 0, end: int | None = None) -> str:
        """The text from ``start`` to ``end``, with the edits that lie in it."""
        end = len(self.text) if end is None else end
        parts, place = [], start
        for edit in sorted(self.edits, key=lambda edit: (edit.start, -edit.end)):
            if place <= edit.start and edit.end <= end:
                parts += [self.text[place : edit.start], edit.text()]
                place = edit.end
        return "".join([*parts, self.text[place:end]])

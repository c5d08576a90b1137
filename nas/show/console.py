"""Text for a terminal. Names, options and messages come from files, which may be a stranger's: they are shown as text.

Rich reads markup in what it prints and passes control characters on, and a terminal obeys those; here neither happens.
"""

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.errors import printable

WIDE = 10_000
"""Columns of what is no terminal."""


def echo(text: str, *, err: bool = False) -> None:
    """Prints one message, `printable`."""
    click.echo(printable(text), err=err)


class PlainConsole(Console):
    """A console without markup, emoji codes and highlighting that prints every text `printable`.

    Where it is no terminal, tables have no boxes and no line is folded: another program reads it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal or not any(isinstance(each, Table) for each in objects):
            super().print(*objects, **options)
            return
        for each in objects:
            if isinstance(each, Table):
                each.box, each.pad_edge = None, False
        before, self.width = self.width, WIDE
        with self.capture() as drawn:
            super().print(*objects, **options)
        self.width = before
        lines = (line.rstrip() for line in drawn.get().splitlines())
        super().print("\n".join(lines), soft_wrap=True)

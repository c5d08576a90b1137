"""A study that shows itself: its report in a notebook, its charts as figures of plotly.

What draws is imported when something is drawn, so that opening a study stays quick.
"""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.results.study import Study
from nas.store.files import write_atomically

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Page:
    """A page of HTML that needs no server, and that a notebook shows in a frame of its own.

    Args:
        text: the whole page.
        height: of the frame, in pixels.
    """

    text: str
    height: int = 900

    def _repr_html_(self) -> str:
        # Scripts run in it, but as those of nobody: they reach neither the notebook nor its server.
        style = f"width: 100%; height: {self.height}px; border: 0"
        return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{html.escape(self.text)}"></iframe>'

    def save(self, path: str | Path) -> Path:
        """Writes the page into a file and returns its path.

        Raises:
            StoppedError: if it cannot be written.
        """
        write_atomically(Path(path), self.text.encode())
        return Path(path)


class ShownStudy(Study):
    """A study as `nas.open` and `nas.search` return it."""

    def report(self, *others: Study) -> Page:
        """The page of `nas report`, with other studies beside this one.

        Example: ``nas.open("runs/quickstart").report().save("quickstart.html")``.

        Raises:
            WrongInputError: if another study lacks one of its objectives.
        """
        from nas.show.report.data import report_data
        from nas.show.report.page import page

        return Page(page(report_data(self, others)))

    def figure(self, name: str) -> "Figure":
        """A chart as a figure of plotly: ``front``, ``front3d``, ``hypervolume``, ``parallel``, ``importance``,
        ``effects`` or ``curves``.

        Example: ``nas.open("runs/quickstart").figure("front").write_html("front.html")``.

        Raises:
            WrongInputError: if there is none of that name, or nothing to draw.
        """
        from nas.show.charts import chart

        return chart(self, name)

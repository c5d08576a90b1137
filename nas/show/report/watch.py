"""`nas watch`: the report of a study that runs, from its log, so that the study never notices; there is no server."""

import time
from collections.abc import Iterator
from pathlib import Path

from nas.results.study import Study
from nas.show.report.data import report_data
from nas.show.report.page import write_report
from nas.store.confirmations import CONFIRMATIONS
from nas.store.history import TRIALS, is_held


def watch(directory: Path, path: Path, every: int) -> Iterator[str]:
    """Writes the report whenever the log has grown, and once more when nothing writes to it any longer; tells of each.

    Args:
        every: seconds between two looks; the browser reads the page again as often, until the last one.
    """
    before: tuple[int, ...] | None = None
    while True:
        running = is_held(directory)
        state = tuple(_size(directory / name) for name in (TRIALS, CONFIRMATIONS))
        if state != before or not running:
            before, study = state, Study(directory)
            study.load_plugins()
            write_report(path, report_data(study), every if running else 0)
            told = f"it follows every {every} s" if running else "nothing writes to the study any longer"
            yield f"written: {path}, {len(study.records)} trials; {told}"
        if not running:
            return
        time.sleep(every)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""`nas status`, drawn; importing this imports no torch."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rich.table import Table

from nas.figures import MARK, value_text

LEVEL = "90%"
"""Of intervals, as `nas.results.confirmation.LEVEL` has it."""
STATES = {"running": "running", "finished": "finished", "stopped": "stopped; the same nas search command continues it"}


def running_line(row: Mapping[str, Any]) -> str:
    """One running trial in one line, from a row of `Live.table`."""
    if row.get("since") is None:
        return f"trial {row['number']}: waits for a worker"
    line = f"trial {row['number']}: {timedelta(seconds=round(time.time() - row['since']))} on {row.get('host')}"
    if row.get("attempt", 1) > 1:
        line += f", attempt {row['attempt']}"
    if epoch := row.get("epoch"):
        tracked = epoch.get("measured") or {"loss": epoch["loss"]}  # the accuracy, with `training.track`
        values = ", ".join(f"{name} {value:.4f}" for name, value in tracked.items())
        line += f", epoch {epoch['number']} of {epoch['total']}, {values}"
    return line


def counts_text(counts: Mapping[str, int], failures: Mapping[str, int]) -> str:
    """Trials by status, failures by their kinds: ``28 complete, 2 failed (1 out of memory, 1 timeout)``."""
    kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in failures.items())
    return ", ".join(
        f"{count} {name}" + (f" ({kinds})" if name == "failed" and kinds else "") for name, count in counts.items()
    )


def status_table(status: Mapping[str, Any]) -> Table:
    """The figures of `nas.results.status.Overview` as a table."""
    table = Table(show_header=False, title=status["name"], title_justify="left")
    counts = counts_text(status["trials"], status["failures"]) or "none yet"
    rows = {"state": STATES[status["state"]], "trials": f"{status['ended']} of {status['wanted']} ({counts})"}
    proposals = status["proposals"]
    if redrawn := proposals["neighbour"] + proposals["uniform"]:
        rows["proposals"] = (
            f"{proposals['sampler']} of the sampler; {redrawn} times it repeated itself: {proposals['neighbour']} "
            f"neighbours and {proposals['uniform']} random ones instead, {proposals['looked_at']:.1f} looked at a trial"
        )
    for name, value in status["best"].items():
        mark = MARK if status["flags"].get(name) else ""
        rows[f"best {name}"] = value_text(value, status["objectives"][name]["scale"]) + mark
    for row in status["running"]:
        rows[f"running {row['number']}"] = running_line(row).partition(": ")[2]
    rows["weights"] = f"{status['artifact_bytes'] / 1e6:.1f} MB"
    rows["front"] = f"{status['front_size']} members, hypervolume {status['hypervolume']:.4f}"
    if known := status.get("confirmation"):
        low, high = known["hypervolume_interval"]
        rows["front"] += f" ({LEVEL} interval {low:.4f} to {high:.4f})"
        rows["confirmed"] = f"{known['replicates']} trainings of {known['trials']} trials with other seeds"
    for name, words in status["flags"].items():
        rows[f"{MARK} {name}"] = f"the best may not mean what it says: {', '.join(words)}"
    if status["trials_per_minute"]:
        rows["pace"] = f"{status['trials_per_minute']:.1f} trials a minute"
    if status["seconds_left"]:
        rows["time left"] = str(timedelta(seconds=round(status["seconds_left"])))
    for name, value in rows.items():
        table.add_row(name, value)
    return table

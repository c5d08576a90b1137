"""The figures of a dry run in a terminal."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console

from nas.show.trials import number


def print_rehearsal(figures: Mapping[str, Any], console: Console) -> None:
    """Prints the figures of `nas.search.rehearsal.rehearse`, a line each."""

    def line(name: str, text: str) -> None:
        console.print(f"{name:10} {text}")

    console.print(f"{figures['name']}: nothing is trained or written by a dry run")
    for note in figures["notes"]:
        console.print(note, style="yellow", soft_wrap=True)
    line("space", f"{figures['space']}, {figures['assignments']:,} assignments")
    line("feasible", f"{figures['feasible']} of {figures['candidates']} random candidates")
    for name, cost in figures["costs"].items():
        low, middle, high = (number(cost[which], cost["scale"]) for which in ("least", "median", "largest"))
        bound = "" if cost["bound"] is None else f", bound {number(cost['bound'], cost['scale'])}"
        line(name, f"{low} to {high}, median {middle}{bound}")
    timed = figures["timed"]
    if timed is None:
        line("time", "unknown: no random candidate is feasible; a search would still look for one")
        return
    line("timed", f"1 epoch of {timed['architecture']}: {timed['status']}")
    if timed["seconds"] is None:
        console.print(timed["error"] or "", style="yellow")
        return
    pace = f"{timed['epoch_seconds']:.2f} s an epoch, {timed['trial_seconds']:.1f} s a trial"
    total = timedelta(seconds=round(timed["seconds"]))
    line("time", f"{pace}; {figures['trials']} trials on {figures['workers']} worker(s): about {total}")

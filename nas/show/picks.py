"""`nas pick`: the member that a rule names, why, and what its neighbours would give."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from nas.errors import printable
from nas.figures import MARK, change_text, value_text
from nas.results.differences import changes
from nas.results.study import Study
from nas.show.trials import print_flags
from nas.store.records import TrialRecord


def picked_figures(study: Study, rule: str, where: Sequence[str] = ()) -> dict[str, Any]:
    """The trials that a rule names, each with the reason and its neighbours on the front.

    Returns:
        For the rule ``front`` the list of all; for others one member with its values, why it is the one, and for each
        objective in which another member is better, the nearest of those: values, and what is picked differently.
    """
    if rule == "front":
        return {"rule": rule, "trials": [record.number for record in study.select(rule, where)]}
    found = study.picked(rule, where)
    neighbours = {
        name: {"trial": other.number, **_values(study, other), "changes": changes(study, found.record, other)}
        for name, other in found.neighbours.items()
    }
    one = {"trial": found.record.number, "why": found.why, **_values(study, found.record)}
    return {"rule": rule, "where": list(where), **one, "neighbours": neighbours}


def _values(study: Study, record: TrialRecord) -> dict[str, Any]:
    """Values, errors and flags of a trial, as far as it has them."""
    flags = {name: list(words) for name, words in study.flags(record).items()}
    if record.status != "complete":
        values = {n: record.measured[n] for n in study.objectives if n in record.measured}
        return {"values": values, "errors": {}, "flags": flags}
    return {
        "flags": flags,
        "values": {name: study.value(record, name) for name in study.objectives},
        "errors": {name: study.error(record, name) for name in study.objectives},
    }


def print_picked(study: Study, figures: Mapping[str, Any], console: Console) -> None:
    """Prints what `picked_figures` returned."""
    if "trials" in figures:
        console.print(f"{len(figures['trials'])} trials: {', '.join(map(str, figures['trials']))}", soft_wrap=True)
        return

    def mark(one: Mapping[str, Any], name: str) -> str:
        return MARK if one["flags"].get(name) else ""

    values = [
        f"{name} {value_text(value, study.objectives[name].scale, figures['errors'].get(name))}{mark(figures, name)}"
        for name, value in figures["values"].items()
    ]
    console.print(f"trial {figures['trial']}: {', '.join(values)}", soft_wrap=True)
    console.print(f"{figures['why']}.", soft_wrap=True)
    for name, other in figures["neighbours"].items():
        given = ", ".join(
            f"{each} {change_text(figures['values'][each], value, study.objectives[each].scale)}{mark(other, each)}"
            for each, value in other["values"].items()
        )
        what = "; ".join(other["changes"]) or "the same choices"
        console.print(f"For better {printable(name)}, trial {other['trial']}: {given}\n    {what}", soft_wrap=True)
    shown = {figures["trial"], *(other["trial"] for other in figures["neighbours"].values())}
    print_flags(map(study.trial, sorted(shown)), console, study.confirmation)
    place, trial = shlex.quote(str(study.directory)), figures["trial"]
    console.print(f"\nNext:\n  nas show {place} {trial}\n  nas export {place} --pick trial:{trial} -o trial-{trial}")

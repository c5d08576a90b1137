"""What a report shows, as JSON: columns of trials, members in full, curves, shares, and what the budget went to."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.drawing import svg
from nas.errors import WrongInputError, printable, regular
from nas.results.differences import changes
from nas.results.explain import explain
from nas.results.pareto import hypervolume
from nas.results.study import Study
from nas.search.standing import Standing
from nas.settings import STUDY
from nas.show.network import drawn_trial
from nas.show.trials import confirmation_notes, flags_of, why
from nas.store.records import COUNTED, TrialRecord
from nas.store.traces import read_curve
from searchspaces.architecture import label_of

DRAWN = 200
"""Members whose networks are drawn."""
ENVIRONMENT = "environment.json"


def report_data(study: Study, others: Sequence[Study] = ()) -> dict[str, Any]:
    """What the page shows of a study, and of others beside it.

    Raises:
        WrongInputError: if another study lacks one of its objectives.
    """
    front = {record.number for record in study.front}
    records = sorted(study.records, key=lambda record: record.number)
    knee = study.pick("knee").number if study.front else None
    return {
        "name": study.settings.name,
        "directory": str(study.directory),
        "data": study.settings.data.label,
        "seed": study.settings.seed,
        "wanted": study.settings.trials,
        "objectives": [{"name": name, **vars(goal)} for name, goal in study.objectives.items()],
        "choices": {name: [str(o) for o in options] for name, options in study.choices.items() if len(options) > 1},
        "trials": _columns(study, records, front),
        "knee": knee,
        "hypervolume": study.hypervolume,
        "interval": list(study.confirmation.hypervolume_interval) if study.confirmation else None,
        "members": {str(record.number): _member(study, record) for record in study.front[:DRAWN]},
        "course": course(study),
        "explained": _explained(study),
        "ledger": list(_ledger(study)),
        "notes": confirmation_notes(study),
        "facts": list(_facts(study.directory)),
        "others": [_beside(study, other) for other in others],
        "differs": _differs([study, *others]) if others else [],
    }


def _columns(study: Study, records: Sequence[TrialRecord], front: set[int]) -> dict[str, Any]:
    """The trials as columns; what a trial lacks is None."""
    known = study.confirmation
    open_choices = {name: {o: i for i, o in enumerate(os)} for name, os in study.choices.items() if len(os) > 1}

    def value(record: TrialRecord, name: str) -> float | None:
        return study.value(record, name) if record.status == "complete" else record.measured.get(name)

    def error(record: TrialRecord, name: str) -> float | None:
        return study.error(record, name) if record.status == "complete" else None

    return {
        "number": [record.number for record in records],
        "state": ["front" if r.number in front else r.failure or r.status for r in records],
        "values": [[_short(value(r, name)) for r in records] for name in study.objectives],
        "errors": [[_short(error(r, name), 3) for r in records] for name in study.objectives],
        "flags": [
            sorted({f"{name}: {word}" for name, words in flags_of(r, known).items() for word in words}) for r in records
        ],
        "chance": [_short(known.chance(r.number), 3) for r in records] if known else None,
        "label": [label_of(record.architecture) if record.architecture else "" for record in records],
        "reason": ["" if record.status == "complete" else why(record) for record in records],
        "picks": {
            name: [codes.get(record.picks.get(name, ""), -1) for record in records]
            for name, codes in open_choices.items()
        },
    }


def _short(value: float | None, digits: int = 6) -> float | None:
    """A number with as many digits as can be seen."""
    return None if value is None else float(f"{value:.{digits}g}")


def _member(study: Study, record: TrialRecord) -> dict[str, Any]:
    """A member of the front in full."""
    known = study.confirmation
    neighbours = study.members().neighbours([r.number for r in study.front].index(record.number))
    return {
        "key": record.key,
        "seed": record.seed,
        "epochs": record.fidelity.get("epochs"),
        "seconds": sum(record.seconds.values()),
        "facts": {name: str(value) for name, value in record.facts.items()},
        "settings": record.settings,
        "notes": known.notes(record.number) if known else [],
        **_drawing(study, record),
        "curve": _curve(study.directory, record.number),
        "neighbours": [
            {"objective": name, "trial": other.number, "changes": changes(study, record, other)}
            for name, other in neighbours.items()
        ],
    }


def _drawing(study: Study, record: TrialRecord) -> dict[str, str | None]:
    """The network of a trial as SVG, or why it is not drawn."""
    if not study.is_trusted:
        return {"svg": None, "undrawn": "it takes a plugin that was never trusted"}
    study.load_plugins()
    try:
        return {"svg": svg(drawn_trial(study, record), f"network of trial {record.number}", style=False)}
    except WrongInputError as error:
        return {"svg": None, "undrawn": str(error)}


def _curve(directory: Path, number: int) -> dict[str, list[float | None]]:
    """Columns of the training curve of a trial; empty where it left none."""
    try:
        rows = read_curve(directory, number)
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    except WrongInputError:
        return {}


def course(study: Study) -> dict[str, list[float]]:
    """Hypervolume of what was measured in the search, after each trial that counts, with epochs and seconds so far."""
    standing, taken = Standing(study.objectives, study.reference), _epochs(study)
    found: dict[str, list[float]] = {"trials": [], "epochs": [], "seconds": [], "hypervolume": []}
    epochs = seconds = 0.0
    for record in study.records:
        standing.add(record)
        epochs += taken[record.number]
        seconds += sum(record.seconds.values())
        for name, value in zip(found, (standing.ended, epochs, seconds, standing.hypervolume), strict=True):
            found[name].append(round(float(value), 6))
    return found


def _epochs(study: Study) -> dict[int, float]:
    """Epochs of each trial, as `[limits] epochs` counts them: of one that failed, those that it was to have."""
    rungs = study.settings.search.rungs
    whole = {record.number: record.length for record in study.records}
    found: dict[int, float] = {}
    for record in study.records:
        found[record.number] = whole[record.number] if record.status in COUNTED else 0
        if rungs and rungs.form == "continued" and record.continues in whole:
            found[record.number] -= whole[record.continues]
    return found


def _explained(study: Study) -> dict[str, Any]:
    if not study.is_trusted:
        return {"refused": "the study takes a plugin that was never trusted"}
    try:
        return explain(study)
    except WrongInputError as error:
        return {"refused": str(error)}


def _ledger(study: Study) -> Iterator[dict[str, Any]]:
    """What the budget went to: a row for the front, for what it dominates, and for every way to end otherwise."""
    front, taken = {record.number for record in study.front}, _epochs(study)
    rows: dict[str, list[TrialRecord]] = {"front": [], "dominated": []}
    for record in study.records:
        kind: str = record.failure or record.status
        if kind == "complete":
            kind = "front" if record.number in front else "dominated"
        rows.setdefault(kind, []).append(record)
    rows["confirmations"] = [one.record for one in study.replicates]
    for what, records in rows.items():
        if records:
            epochs = (
                sum(one.protocol.epochs for one in study.replicates)
                if what == "confirmations"
                else sum(taken[record.number] for record in records)
            )
            seconds = sum(sum(record.seconds.values()) for record in records)
            at_most = any(record.status == "failed" for record in records)
            row = {"what": what, "trials": len(records), "epochs": epochs, "at_most": at_most}
            yield row | {"seconds": round(seconds, 1)}


def _facts(directory: Path) -> Iterator[tuple[str, str]]:
    """Files that say what the study is and ran on."""
    for name in (STUDY, ENVIRONMENT):
        try:
            yield name, printable(regular(directory / name).read_text(errors="replace"))
        except OSError:
            continue


def _beside(study: Study, other: Study) -> dict[str, Any]:
    """Another study in the axes of the first: its front, and its hypervolume from the reference point of the first."""
    if lacking := [name for name in study.objectives if name not in other.objectives]:
        raise WrongInputError(f"{other.directory} has no objective {lacking[0]!r}, which {study.directory} has.")
    seen = other.with_only(list(study.objectives))
    known = seen.confirmation
    volume = hypervolume(seen.costs(seen.front), study.reference)
    shift = volume - seen.hypervolume  # of another reference point; the noise is the same
    return {
        "name": other.settings.name,
        "directory": str(other.directory),
        "numbers": [record.number for record in seen.front],
        "values": [[_short(seen.value(record, name)) for record in seen.front] for name in study.objectives],
        "complete": len(seen.complete),
        "hypervolume": volume,
        "interval": [x + shift for x in known.hypervolume_interval] if known else None,
    }


def _differs(studies: Sequence[Study]) -> list[list[str]]:
    """Keys of the study files that differ, with the value of each study."""
    tables = []
    for study in studies:
        table = tomllib.loads(regular(study.directory / STUDY).read_text())
        table.pop("facts", None)
        tables.append(dict(_flat(table)))
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [[key, *(table.get(key, "-") for table in tables)] for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", str(np.array2string(np.array(value)) if isinstance(value, list) else value)

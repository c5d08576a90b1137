"""Trials as data, as rows and as a table; the state of a study."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any

from rich.console import Console

from nas.errors import printable
from nas.figures import MARK
from nas.results.confirmation import LEVEL, Confirmation
from nas.results.study import Study
from nas.show.rows import Rows
from nas.store.records import OVER_BOUND, TrialRecord
from objectives import Goal

MARKED = 1_000
"""Trials up to which a table finds out which picks have an effect: that takes a millisecond each."""
LARGE = 1e15
"""Counts from which on digits say nothing."""
SHOWN = 10
"""Trials that a line of the legend names."""


def number(value: float, scale: str) -> str:
    """A fraction with four digits; a count with thousands separators, three digits where it is small or enormous."""
    if scale == "fraction":
        return f"{value:.4f}"
    return f"{value:,.0f}" if value == round(value) < LARGE or 1000 <= value < LARGE else f"{value:.3g}"


CONFIRMED = ("seeds", "on front", "rank")
"""Columns of a confirmed study: replicates, probability of being on the front, rank by the first objective among the
trials with replicates in the search -> now."""


def flags_of(record: TrialRecord, known: Confirmation | None) -> Mapping[str, Sequence[str]]:
    """The flags of the values that tables show of a trial: those of its replicates, where it has any."""
    return known.flags.get(record.number, {}) if known and known.count(record.number) else record.flags


def flag_notes(records: Iterable[TrialRecord], known: Confirmation | None = None) -> list[str]:
    """The legend of `MARK`: a line for each flag of an objective, with the trials that have it."""
    trials: dict[tuple[str, str], list[int]] = {}
    for record in records:
        for name, words in flags_of(record, known).items():
            for word in words:
                trials.setdefault((name, word), []).append(record.number)
    return [
        f"{MARK} {printable(name)} may not mean what it says, {printable(word)}: trial "
        + ", ".join(map(str, numbers[:SHOWN]))
        + (f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else "")
        for (name, word), numbers in trials.items()
    ]


def measured_value(record: TrialRecord, name: str, scale: str, known: Confirmation | None = None) -> str:
    """A value of a trial as tables show it, or the mean of its replicates; ``-`` where it is not measured."""
    if name not in record.measured:
        return "-"
    mark = MARK if flags_of(record, known).get(name) else ""
    mean = known.value(record.number, name) if known else None
    if mean is None:
        return number(record.measured[name], scale) + mark
    error = f" ± {number(mean.standard_error, scale)}" if mean.standard_error else ""
    return number(mean, scale) + error + mark


def confirmation_notes(study: Study) -> list[str]:
    """What replicates say of the front as a whole, in a few lines; none without replicates."""
    lines = []
    for known in (study.confirmation, study.confirmed("test")):
        if known is None:
            continue
        lines.append(
            f"mean ± standard error of {int(known.counts.sum())} trainings with other seeds ({known.protocol}), of "
            f"{int((known.counts > 0).sum())} trials; a value without ± is of one seed"
        )
        low, high = known.hypervolume_interval
        lines.append(
            f"hypervolume {known.hypervolume:.4f} ({LEVEL:.0%} interval {low:.4f} to {high:.4f}), by one seed "
            f"{study.searched_hypervolume:.4f} with {len(study.searched_front)} members"
        )
        for name, goal in study.objectives.items():
            shift = known.shift(name)
            if known.errors[:, list(study.objectives).index(name)].any() and shift["optimism"] is not None:
                tau = "" if shift["tau"] is None else f"; rank correlation with it (Kendall) {shift['tau']:.2f}"
                better = number(abs(shift["optimism"]), goal.scale)
                word = "better" if shift["optimism"] >= 0 else "worse"
                lines.append(f"{printable(name)}: in the search {better} {word} on average{tau}")
    return lines


def trial_figures(study: Study, records: Iterable[TrialRecord]) -> list[dict[str, Any]]:
    """Trials as JSON, in the form of the log; with what replicates say of them, where there are any."""
    known = study.confirmation
    return [
        {**record.to_json(), **({"confirmation": known.figures(record.number)} if known else {})} for record in records
    ]


def write_csv(study: Study, records: Iterable[TrialRecord], file: IO[str]) -> None:
    """Writes trials as CSV: status, objectives, picks, key, seconds and flags, a row a trial."""
    records = list(records)
    choices = list(dict.fromkeys(name for record in records for name in record.picks))
    writer = csv.writer(file, lineterminator="\n")
    confirmed = confirmed_columns(study)
    writer.writerow(["trial", "status", *study.objectives, *choices, "key", "seconds", "flags", *confirmed])
    for record in records:
        values = [record.measured.get(name, "") for name in study.objectives]
        picks = [record.picks.get(name, "") for name in choices]
        seconds = round(sum(record.seconds.values()), 3)
        flagged = flags_of(record, study.confirmation).items()
        flags = " ".join(f"{name}:{word}" for name, words in flagged for word in words)
        cells = [record.number, record.status, *values, *picks, record.key, seconds, flags]
        cells += [column(record) for column in confirmed.values()]
        writer.writerow([printable(cell) if isinstance(cell, str) else cell for cell in cells])


def confirmed_columns(study: Study) -> dict[str, Callable[[TrialRecord], Any]]:
    """Columns of a CSV file on what replicates say; none without replicates."""
    known = study.confirmation
    if known is None:
        return {}
    columns: dict[str, Callable[[TrialRecord], Any]] = {
        "replicates": lambda record: known.count(record.number),
        "on_front": lambda record: known.chance(record.number),
    }
    for name in study.objectives:

        def mean(record: TrialRecord, name: str = name) -> Any:
            return "" if (value := known.value(record.number, name)) is None else float(value)

        def error(record: TrialRecord, name: str = name) -> Any:
            return "" if (value := known.value(record.number, name)) is None else value.standard_error

        columns |= {f"{name}.mean": mean, f"{name}.standard_error": error}
    return columns


def in_one_line(record: TrialRecord, objectives: Mapping[str, Goal]) -> str:
    """One trial in one line."""
    if record.status in ("complete", "truncated"):
        known = {name: goal for name, goal in objectives.items() if name in record.measured}
        values = ", ".join(f"{name} {measured_value(record, name, goal.scale)}" for name, goal in known.items())
        if record.status == "complete":
            return f"trial {record.number}: {values}"
        return f"trial {record.number}: {record.state}" + (f", {values}" if values else "")
    return f"trial {record.number}: {record.status} ({why(record)})"


def why(record: TrialRecord) -> str:
    """Why a trial is not complete, in words."""
    reasons = [f"{name} over its bound by {100 * share:.0f} %" for name, share in record.violations.items()]
    if record.refused:
        reasons.append(record.reason)
    if record.failure and record.failure != OVER_BOUND:
        reasons.append(f"{record.failure}: {record.reason}")
    if record.copied_from is not None:
        reasons.append(f"as trial {record.copied_from}")
    return "; ".join(reasons)


def print_trials(study: Study, records: Iterable[TrialRecord], console: Console) -> None:
    """Prints trials as a table with a column for every open choice, as wide as that takes.

    A choice that every stage makes is one column, its picks joined by ``/``; a pick without effect is a dot, in tables
    of at most `MARKED` trials (unless it takes a plugin that was never trusted to know).
    """
    records = list(records)
    names, rows = _values(study, records)
    choices = _open_choices(study)
    right = frozenset({"trial", *study.objectives, *CONFIRMED})
    picks = [_picks(study, record, choices, mark=len(records) <= MARKED) for record in records]
    cells = [row + each for row, each in zip(rows, picks, strict=True)]
    console.print(f"{study.settings.name}: {len(records)} trials", soft_wrap=True)
    Rows([*names, *choices], right, cells).print(console)
    print_flags(records, console, study.confirmation)
    print_confirmation(study, console)


def print_flags(records: Iterable[TrialRecord], console: Console, known: Confirmation | None = None) -> None:
    """Prints the legend of the flagged values of a table."""
    for line in flag_notes(records, known):
        console.print(line, soft_wrap=True)


def print_confirmation(study: Study, console: Console) -> None:
    """Prints what replicates say of the front as a whole."""
    for line in confirmation_notes(study):
        console.print(line, soft_wrap=True)


def _values(study: Study, records: list[TrialRecord]) -> tuple[list[str], list[list[str]]]:
    """Columns and cells of number, status and objectives."""
    other = any(record.status != "complete" for record in records)
    scales = {name: objective.scale for name, objective in study.objectives.items()}
    known = study.confirmation
    first = known.ranks(next(iter(scales))) if known else {}
    ranks = {number: f"{before} -> {after}" for number, (before, after) in first.items()}
    rows = []
    for record in records:
        values = [measured_value(record, name, scale, known) for name, scale in scales.items()]
        state = [record.state] if other else []
        chance = [] if known is None else [_seeds(known.count(record.number)), f"{known.chance(record.number):.2f}"]
        before = [] if known is None else [ranks.get(record.number, "-")]
        rows.append([str(record.number), *state, *values, *chance, *before])
    more = [] if known is None else list(CONFIRMED)
    return ["trial", *(["status"] if other else []), *scales, *more], rows


def _seeds(count: int) -> str:
    return str(count) if count else "-"


def _open_choices(study: Study) -> list[str]:
    """Names, without their stage, of the choices that the study leaves open."""
    names = [name.split(".", 1)[-1] for name, options in study.choices.items() if len(options) > 1]
    return list(dict.fromkeys(names))


def _picks(study: Study, record: TrialRecord, shown: list[str], *, mark: bool) -> list[str]:
    """Picks of the choices ``shown``; with ``mark``, those without effect are dots."""
    effective = study.effective(record) if mark else record.picks.keys()
    joined: dict[str, list[str]] = {}
    for name, pick in record.picks.items():
        joined.setdefault(name.split(".", 1)[-1], []).append(printable(str(pick)) if name in effective else "\u00b7")
    return ["/".join(joined.get(name, ["-"])) for name in shown]

"""A table of a series: ``date,NAME,NAME,...``, a line for each time, as the ETT files have it; also ``.csv.xz``.

The first column is the time (ISO 8601, or a number), in order and in equal steps (of seconds, or of whole months); the
others are numbers, one for each variate. Gaps are refused, not filled: what stands in them is for the user to decide.
"""

import calendar
import csv
import datetime
import io
import itertools
import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.formats.reading import ContentError, reading

EXPECTED = "a CSV file with a header, the time in its first column and numbers in the others"
MOST_BYTES = 2_000_000_000
"""Of a file, unpacked."""
EPOCH = datetime.datetime(1970, 1, 1)

Time = datetime.datetime | float
"""A moment, in UTC if the file says in which zone it is; or a number."""


@dataclass(frozen=True, eq=False)
class SeriesTable:
    """A series of several variates.

    Args:
        times: as they stand in the file.
        names: of the variates.
        values: (T, variates) float64, all finite.
    """

    times: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray

    def last(self, names: Sequence[str], steps: int) -> np.ndarray:
        """(steps, variates) float64: the newest values of the columns that are named, in that order.

        Raises:
            ValueError: if a column is not there, or the series is shorter.
        """
        if absent := [name for name in names if name not in self.names]:
            raise ValueError(
                f"it lacks the column {absent[0]!r}. Columns of the forecast: {', '.join(names)}; of the file: "
                f"{', '.join(self.names)}."
            )
        if len(self.values) < steps:
            raise ValueError(f"it has {len(self.values)} steps, but the network takes {steps}. Give a longer series.")
        return self.values[-steps:, [self.names.index(name) for name in names]]

    def continued(self, names: Sequence[str], values: np.ndarray) -> str:
        """CSV of (steps, variates) values that follow the series, with their times."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["date", *names])
        for time, row in zip(self.following(len(values)), values, strict=True):
            lines.writerow([time, *(f"{value:.7g}" for value in row)])
        return text.getvalue()

    def following(self, steps: int) -> list[str]:
        """The ``steps`` times that follow, in the step of the table, written as its own are."""
        before, last = (_time(text) for text in self.times[-2:])
        if isinstance(last, float) or isinstance(before, float):
            step = float(self.times[-1]) - float(self.times[-2])
            return [f"{float(self.times[-1]) + step * (k + 1):.15g}" for k in range(steps)]
        months = _months(last) - _months(before) if _monthly([before, last]) else 0
        found = [(_at(last, months * k) or last) if months else last + (last - before) * k for k in range(1, steps + 1)]
        if len(self.times[-1]) == len("2020-01-01"):
            return [time.date().isoformat() for time in found]
        return [time.isoformat("T" if "T" in self.times[-1] else " ") for time in found]


def read_table(path: Path) -> SeriesTable:
    """The series in a file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no such table: what is wrong, and in which line.
    """
    with reading(path, EXPECTED):
        rows = _rows(path)
        header, *lines = rows
        names = tuple(name.strip() for name in header[1:])
        if not names:
            raise ContentError("it has one column; the values stand beside the time")
        if doubled := {name for name in names if names.count(name) > 1 or not name}:
            raise ContentError(f"its columns must have names of their own, got {sorted(doubled)[0]!r} twice or empty")
        if len(lines) < 2:
            raise ContentError(f"it has {len(lines)} lines below the header; a series has two at least")
        for number, row in enumerate(lines, start=2):
            if len(row) != len(header):
                raise ContentError(f"line {number} has {len(row)} fields, the header {len(header)}")
        times = tuple(row[0].strip() for row in lines)
        _check_times(times)
        columns = [_numbers(name, [row[place] for row in lines]) for place, name in enumerate(names, start=1)]
        return SeriesTable(times, names, np.stack(columns, 1))


def _rows(path: Path) -> list[list[str]]:
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ContentError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContentError(f"it is no text in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    first = text.partition("\n")[0]
    separator = next((mark for mark in (",", ";", "\t") if mark in first), ",")
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    if not rows:
        raise ContentError("it is empty")
    return rows


def _numbers(name: str, fields: Sequence[str]) -> np.ndarray:
    """(T,) the values of one column."""
    found = np.empty(len(fields))
    for place, field in enumerate(fields):
        try:
            found[place] = float(field)
        except ValueError:
            line = place + 2
            if not field.strip():
                raise ContentError(
                    f"the value of {name!r} in line {line} is missing; fill gaps before, for example by interpolation"
                ) from None
            raise ContentError(
                f"column {name!r} holds {field[:40]!r} in line {line}, which is no number; remove the column, or write "
                "numbers in it"
            ) from None
        if not math.isfinite(found[place]):
            raise ContentError(
                f"the value of {name!r} in line {place + 2} is {field.strip()}; fill gaps before, for example by "
                "interpolation"
            )
    return found


def _check_times(times: Sequence[str]) -> None:
    """Raises ContentError unless times are in order and in equal steps, naming the first line that is not."""
    found = list[Time]()
    for line, text in enumerate(times, start=2):
        try:
            time = _time(text)
        except ValueError:
            raise ContentError(
                f"line {line} begins with {text[:40]!r}, which is no time; write the time first, as "
                "2016-07-01 00:00:00 or as a number"
            ) from None
        if found and isinstance(time, float) != isinstance(found[0], float):
            raise ContentError(f"line {line} begins with {text[:40]!r}, but the first time is {times[0]!r}")
        found.append(time)
    numbers = np.array([time if isinstance(time, float) else (time - EPOCH).total_seconds() for time in found])
    steps = np.diff(numbers)
    if (wrong := np.flatnonzero(steps <= 0)).size:
        place = int(wrong[0])
        raise ContentError(
            f"the time of line {place + 3}, {times[place + 1]!r}, is not after that of the line before, "
            f"{times[place]!r}; sort the lines by time, each time once"
        )
    uneven = np.flatnonzero(np.abs(steps - steps[0]) > 1e-6 * steps[0])
    if uneven.size and not _monthly(found):
        place = int(uneven[0])
        raise ContentError(
            f"the step from line {place + 2} to line {place + 3}, {times[place]!r} to {times[place + 1]!r}, is not "
            f"that from {times[0]!r} to {times[1]!r}: there is a gap; fill it, or cut the series there"
        )


def _time(text: str) -> Time:
    """A time as a number, or as a moment.

    Raises:
        ValueError: if it is neither.
    """
    try:
        number = float(text)
    except ValueError:
        found = datetime.datetime.fromisoformat(text)
        return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else found
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _months(time: datetime.datetime) -> int:
    return 12 * time.year + time.month - 1


def _at(time: datetime.datetime, months: int) -> datetime.datetime | None:
    """The moment so many months later, at the end of a month if it is at the end of one; None where there is none."""
    year, month = divmod(_months(time) + months, 12)
    day, most = time.day, calendar.monthrange(year, month + 1)[1]
    if day == calendar.monthrange(time.year, time.month)[1]:
        day = most
    return time.replace(year=year, month=month + 1, day=day) if day <= most else None


def _monthly(times: Sequence[Time]) -> bool:
    """Whether each time is the same number of months after the one before."""
    moments = [time for time in times if isinstance(time, datetime.datetime)]
    if len(moments) != len(times) or len(moments) < 2:
        return False
    step = _months(moments[1]) - _months(moments[0])
    return step > 0 and all(_at(first, step) == second for first, second in itertools.pairwise(moments))

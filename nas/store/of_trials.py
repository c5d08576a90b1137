"""Files of JSON lines beside the log of a study, each line of one of its trials and there once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from nas.store.log import Journal, parsed, read_lines
from nas.store.records import TrialRecord


class OfTrial(Protocol):
    """What a line holds."""

    @property
    def trial(self) -> int:
        """Number of the trial that it is of."""
        ...

    @property
    def key(self) -> str:
        """That of the trial's architecture."""
        ...

    @property
    def title(self) -> str:
        """What no other line of the file is, in words."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The line."""
        ...


T = TypeVar("T", bound=OfTrial)


@dataclass(frozen=True)
class LinesOfTrials(Generic[T]):
    """One kind of such files.

    Args:
        name: of the file in a study directory.
        parse: reads a line, or raises ValueError with what is wrong with it.
    """

    name: str
    parse: Callable[[Any], T]

    def read(self, directory: Path, trials: Sequence[TrialRecord]) -> list[T]:
        """What the file of a study holds, in the order in which it was written; nothing if there is none.

        Args:
            trials: of the study.

        Raises:
            WrongInputError: if a line is damaged, of no trial of the study, or there twice; with its number.
        """
        path = directory / self.name
        return parsed(path, read_lines(path).objects, self._reader(trials))

    def open(self, directory: Path, trials: Sequence[TrialRecord]) -> Journal[T]:
        """The open file, to add lines to.

        Raises:
            WrongInputError: as `Journal`.
        """
        return Journal(directory / self.name, self._reader(trials))

    def _reader(self, trials: Sequence[TrialRecord]) -> Callable[[Any], T]:
        keys, seen = {record.number: record.key for record in trials}, set[str]()

        def read(line: Any) -> T:
            one = self.parse(line)
            if keys.get(one.trial) != one.key:
                raise ValueError(f"trial {one.trial} of the study is another network")
            if one.title in seen:
                raise ValueError(f"{one.title} is recorded twice")
            seen.add(one.title)
            return one

        return read

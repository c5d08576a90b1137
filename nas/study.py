"""A study directory opened for reading: its records, its front, its picks."""

import re
import tomllib
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nas.artifacts import Artifacts
from nas.errors import WrongInputError
from nas.history import read_trials
from nas.live import running_trials
from nas.pareto import hypervolume, knee, non_dominated
from nas.plugins import load_plugins
from nas.problem import find_objectives, find_space
from nas.records import COUNTED, TrialRecord
from nas.settings import Settings, construct
from objectives import Objective, cost
from searchspaces import Architecture, SearchSpace
from searchspaces.registry import unknown

CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|<|>|==)\s*([-+.\deE]+)\s*")
COMPARE = {"<=": np.less_equal, ">=": np.greater_equal, "<": np.less, ">": np.greater, "==": np.equal}


class Study:
    """What a study directory holds; reading it never disturbs a search that is writing to it.

    Args:
        directory: holds ``study.toml`` and ``trials.jsonl``.

    Raises:
        WrongInputError: if it is no study directory, or a line of its log is damaged.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        path = self.directory / "study.toml"
        try:
            self.settings = construct(Settings, tomllib.loads(path.read_text(encoding="utf-8")), "")
        except FileNotFoundError:
            raise WrongInputError(
                f"{self.directory} is not a study directory: it holds no study.toml. "
                "Give the directory that nas search printed, for example runs/quickstart."
            ) from None
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise WrongInputError(f"{path} cannot be read: {error}.") from None
        load_plugins(self.settings.plugins)
        self.records = read_trials(self.directory)

    @cached_property
    def objectives(self) -> dict[str, Objective]:
        """The objectives of the front, by name, in the order of the study."""
        found = find_objectives(self.settings)
        return {name: found[name] for name in self.settings.objectives}

    def space(self, record: TrialRecord) -> SearchSpace:
        """The search space that a trial came from."""
        architecture = Architecture.from_json(record.architecture)
        return find_space(self.settings, architecture.input, architecture.classes)

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The trials that were trained and measured in full: the only ones that a front is made of."""
        return [record for record in self.records if record.status == "complete"]

    def costs(self, records: list[TrialRecord]) -> np.ndarray:
        """(n, m) costs to be minimised, in the order of the objectives."""
        rows = [[cost(o, record.measured[name]) for name, o in self.objectives.items()] for record in records]
        return np.array(rows).reshape(len(records), len(self.objectives))

    @cached_property
    def front(self) -> list[TrialRecord]:
        """The non-dominated complete trials, by the first objective, best first."""
        costs = self.costs(self.complete)
        rows = np.flatnonzero(non_dominated(costs))
        return [self.complete[i] for i in rows[np.lexsort(costs[rows].T[::-1])]]

    @property
    def hypervolume(self) -> float:
        """Volume in costs between the front and the reference point of ``study.toml``; larger is better."""
        point = [cost(objective, self.settings.reference[name]) for name, objective in self.objectives.items()]
        return hypervolume(self.costs(self.front), np.array(point))

    def trial(self, number: int) -> TrialRecord:
        """The ended trial of that number.

        Raises:
            WrongInputError: if there is none.
        """
        for record in self.records:
            if record.number == number:
                return record
        last = max((record.number for record in self.records), default=None)
        known = "no trial has ended yet" if last is None else f"its ended trials are numbered 0 to {last}"
        raise WrongInputError(f"{self.directory} has no ended trial {number}: {known}.")

    def pick(self, rule: str) -> TrialRecord:
        """The trial that ``rule`` names: ``knee``, ``best:OBJECTIVE`` (of the front) or ``trial:NUMBER``.

        Raises:
            WrongInputError: if the rule is unknown or there is nothing to pick from.
        """
        kind, _, argument = rule.partition(":")
        if kind == "trial" and argument.isdecimal():
            return self.trial(int(argument))
        if kind not in ("knee", "best") or (kind == "knee") == bool(argument):
            raise WrongInputError(
                f"unknown pick {rule!r}. Known: knee, trial:NUMBER, "
                + ", ".join(f"best:{name}" for name in self.objectives)
                + "."
            )
        if kind == "best" and argument not in self.objectives:
            raise WrongInputError(f"best: {unknown('objective', argument, self.objectives)}")
        if not self.front:
            raise WrongInputError(f"{self.directory} has no complete trial to pick from. Run nas search first.")
        if kind == "knee":
            return self.front[knee(self.costs(self.front))]
        column = list(self.objectives).index(argument)
        return self.front[int(np.argmin(self.costs(self.front)[:, column]))]

    def where(self, records: list[TrialRecord], conditions: tuple[str, ...]) -> list[TrialRecord]:
        """The records that keep every condition, such as ``macs<=5e6``.

        Raises:
            WrongInputError: if a condition cannot be read or names nothing that is measured.
        """
        known = {name for record in self.records for name in record.measured} | set(self.objectives)
        for text in conditions:
            match = CONDITION.fullmatch(text)
            try:
                bound = float(match[3]) if match else None
            except ValueError:
                bound = None
            if match is None or bound is None:
                raise WrongInputError(f"--where needs NAME<=NUMBER (or >=, <, >, ==), as in macs<=5e6, got {text!r}.")
            name, compare = match[1], COMPARE[match[2]]
            if name not in known:
                raise WrongInputError(f"--where: {unknown('measured value', name, known)}")
            records = [r for r in records if name in r.measured and compare(r.measured[name], bound)]
        return records

    def status(self) -> dict[str, Any]:
        """Counts by status, size and hypervolume of the front, best value of every objective, pace."""
        counts = Counter[str](record.status for record in self.records)
        running = running_trials(self.directory)
        if running:
            counts["running"] = len(running)
        ended = sum(counts[status] for status in COUNTED)
        times = [sum(r.seconds.values()) for r in self.records if r.status in COUNTED and r.seconds]
        pace = self.settings.execution.workers / np.mean(times) if times else None
        left = max(0, self.settings.trials - ended)
        return {
            "name": self.settings.name,
            "trials": dict(counts),
            "ended": ended,
            "wanted": self.settings.trials,
            "running": running,
            "artifact_bytes": Artifacts(self.directory, None).bytes,
            "front_size": len(self.front),
            "hypervolume": self.hypervolume,
            "best": {name: self.pick(f"best:{name}").measured[name] for name in self.objectives if self.front},
            "trials_per_minute": 60 * float(pace) if pace else None,
            "seconds_left": left / float(pace) if pace else None,
        }

    def export(self, rule: str, out: str | Path) -> Path:
        """Takes the picked architecture away into ``out`` and checks what was written; see `nas.exporting.export`."""
        from nas.exporting import export

        return export(self, self.pick(rule), Path(out)).directory

"""A study directory opened for reading: its records, its front, its picks."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from nas.errors import WrongInputError, user_input
from nas.export.export import Exported, Verification, export
from nas.export.forms import Forms
from nas.plugins import Plugin, is_trusted, load_trusted, read_copies
from nas.plugins import trust as trust_all
from nas.pricing import price
from nas.problem import MARGIN, check_records, find_space, network_of
from nas.results.comparison import Comparison, compare
from nas.results.conditions import parse
from nas.results.confirmation import Confirmation, confirm
from nas.results.frames import curve_rows, frame, html_table
from nas.results.pareto import hypervolume, non_dominated
from nas.results.picks import Members, Picked, Rule, parse_rule
from nas.results.status import Overview
from nas.settings import STUDY, read_resolved, settings_from
from nas.store.artifacts import PREDICTIONS, weights_path
from nas.store.confirmations import CONFIRMATIONS, Protocol, Replicate, Split, read_confirmations
from nas.store.history import TRIALS, read_trials
from nas.store.measurements import Measurement, read_measurements
from nas.store.records import TrialRecord, are_picks, brief
from nas.store.traces import Predictions
from objectives import OBJECTIVES, Goal, to_minimise
from objectives.costs import Count
from objectives.objective import Direction, Scale
from searchspaces import SearchSpace, Value
from searchspaces.registry import unknown

if TYPE_CHECKING:
    from pandas import DataFrame


class Study:
    """What a study directory holds; reading it never disturbs a search that is writing to it.

    Opening it runs none of its plugins, whoever wrote them; what needs them says so (`load_plugins`).

    Args:
        directory: holds ``study.toml`` and ``trials.jsonl``.
        trust: let its plugins run, now and later, when something needs them.

    Raises:
        WrongInputError: if it is no study directory, or a line of its log is damaged.
    """

    def __init__(self, directory: str | Path, *, trust: bool = False) -> None:
        self.directory, self.trust = Path(directory), trust
        table, self.facts = read_resolved(self.directory)
        self.settings = settings_from(table)
        self.records = read_trials(self.directory)
        self.added: dict[str, float] = {}
        """Objectives that were measured after the search -> their reference in costs; see `with_objectives`."""

    @cached_property
    def plugins(self) -> list[Plugin]:
        """The copies of the plugins that the search ran, as they lie in the directory; reading them runs nothing.

        Raises:
            WrongInputError: if one is missing or has changed.
        """
        return read_copies(self.directory, self.facts.plugins)

    def load_plugins(self) -> None:
        """Runs the plugins of the search, for what needs its operators, space or data set.

        Raises:
            UntrustedError: if the user has not trusted one of them.
        """
        if self.trust:
            trust_all(self.plugins)
        load_trusted(self.plugins, self.directory)

    @cached_property
    def is_trusted(self) -> bool:
        """Whether everything that its networks are made of may run."""
        return self.trust or all(map(is_trusted, self.plugins))

    @cached_property
    def objectives(self) -> dict[str, Goal]:
        """What the values of the objectives of the front mean, by name, in the order of the study."""
        if lacking := [name for name in self.settings.objectives if name not in self.facts.objectives]:
            raise WrongInputError(
                f"{self.directory / STUDY} lacks facts.objectives.{lacking[0]}. Restore it from a copy."
            )
        return {name: self.facts.objectives[name] for name in self.settings.objectives}

    @cached_property
    def choices(self) -> dict[str, list[Value]]:
        """The choices of the search space and the options of each, from the study file.

        Raises:
            WrongInputError: if they do not stand there.
        """
        choices = self.settings.space.get("choices")
        if not isinstance(choices, dict):
            raise WrongInputError(f"{self.directory / STUDY} lacks space.choices. Restore it from a copy.")
        for name, options in choices.items():
            if not isinstance(options, list) or not options or not are_picks(dict(enumerate(options))):
                raise WrongInputError(
                    f"{self.directory / STUDY}: space.choices.{name} must be a list of words and numbers, got "
                    f"{brief(options)}. Restore it from a copy."
                )
        return choices

    @cached_property
    def space(self) -> SearchSpace:
        """The search space that the trials come from.

        Raises:
            WrongInputError: if ``study.toml`` does not say for which images.
            UntrustedError: if it takes a plugin that the user has not trusted.
        """
        self.load_plugins()
        data = self.settings.data
        outputs = data.outputs or len(data.classes or ())
        if data.input is None or not outputs:
            raise WrongInputError(f"{self.directory / STUDY} lacks data.input or data.classes. Restore it from a copy.")
        return find_space(self.settings, data.input, outputs)

    def effective(self, record: TrialRecord) -> set[str]:
        """Names of the choices that make a difference to a trial's network.

        All, where the space is not there to ask: a plugin of it was never trusted, or a version of nas has changed it.

        Raises:
            WrongInputError: if its picks are none of the space.
        """
        if self._known_space is None:
            return set(record.picks)
        if record.number not in self._effective:
            with user_input(f"trial {record.number}"):
                self._effective[record.number] = self._known_space.effective(record.picks)
        return self._effective[record.number]

    def used(self, record: TrialRecord) -> set[str]:
        """Names of the choices that are read when a trial's network is made.

        Raises:
            WrongInputError: if its picks are none of the space.
        """
        with user_input(f"trial {record.number}"):
            self.space.check(record.picks)
        return self.space.used(record.picks)

    @cached_property
    def _known_space(self) -> SearchSpace | None:
        try:
            return self.space if self.is_trusted else None
        except WrongInputError:
            return None

    @cached_property
    def _effective(self) -> dict[int, set[str]]:
        return {}

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The trials that were trained and measured in full: the only ones that a front is made of."""
        found = [record for record in self.records if record.status == "complete" and record.repeats is None]
        check_records(found, self.objectives, self.directory / TRIALS)
        return found

    @cached_property
    def replicates(self) -> list[Replicate]:
        """The trainings of trials with other seeds, which `nas confirm` has made."""
        found = [*self._repeated, *read_confirmations(self.directory, self.records)]
        again = [one.record for one in found if one.record.status == "complete"]
        check_records(again, self.objectives, self.directory / CONFIRMATIONS)
        return found

    @property
    def _repeated(self) -> list[Replicate]:
        """Those among the trials of the search."""
        again = [record for record in self.records if record.repeats is not None]
        found, counts = list[Replicate](), dict[int, int]()
        for record in again:
            trial = cast(int, record.repeats)
            counts[trial] = counts.get(trial, -1) + 1
            one = replace(record, number=trial)
            found.append(Replicate(counts[trial], self.searched_protocol, len(again), one))
        return found

    @cached_property
    def searched_protocol(self) -> Protocol:
        """How the trials of the search were trained and measured."""
        epochs = self.settings.training.get("epochs")
        inherit = any(record.inherited for record in self.records)
        return Protocol(epochs if isinstance(epochs, int) else 0, inherit=inherit)

    def confirmed(self, split: Split = "validation") -> Confirmation | None:
        """What the replicates say that were measured on a split, by the latest protocol; None if there are none."""
        protocols = [one.protocol for one in self.replicates if one.protocol.split == split]
        if not protocols:
            return None
        found = confirm(
            self.complete,
            self.replicates,
            protocols[-1],
            goals=self.objectives,
            reference=self.reference,
            searched=self.searched_protocol,
            once=self.added,
        )
        return found if found.counts.any() else None

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """What the replicates say of the front, by the latest protocol on validation images; None if there are none."""
        return self.confirmed()

    def value(self, record: TrialRecord, name: str) -> float:
        """An objective of a complete trial: the mean of its replicates, else what the search measured."""
        mean = self.confirmation.value(record.number, name) if self.confirmation else None
        return record.measured[name] if mean is None else mean

    def costs(self, records: list[TrialRecord]) -> np.ndarray:
        """(n, m) costs to be minimised, in the order of the objectives."""
        rows = [[to_minimise(o, self.value(record, name)) for name, o in self.objectives.items()] for record in records]
        return np.array(rows).reshape(len(records), len(self.objectives))

    @cached_property
    def searched_front(self) -> list[TrialRecord]:
        """The non-dominated complete trials by what the search measured, by the first objective, best first."""
        costs = self._searched_costs(self.complete)
        rows = np.flatnonzero(non_dominated(costs))
        return [self.complete[i] for i in rows[np.lexsort(costs[rows].T[::-1])]]

    def _searched_costs(self, records: list[TrialRecord]) -> np.ndarray:
        rows = [[to_minimise(o, record.measured[name]) for name, o in self.objectives.items()] for record in records]
        return np.array(rows).reshape(len(records), len(self.objectives))

    @cached_property
    def front(self) -> list[TrialRecord]:
        """The trials of the front, by the first objective, best first.

        Once the study is confirmed, those that are on it more likely than not; before, the non-dominated ones.
        """
        return (self.confirmation.front if self.confirmation else None) or self.searched_front

    @cached_property
    def reference(self) -> np.ndarray:
        """(m,) the reference point of ``study.toml`` in costs."""
        reference, searched = self.settings.reference, self.objectives.keys() - self.added.keys()
        with user_input(f"{self.directory / STUDY} is damaged: reference"):
            known = {name: to_minimise(self.objectives[name], reference[name]) for name in searched}
        return np.array([{**known, **self.added}[name] for name in self.objectives])

    @property
    def hypervolume(self) -> float:
        """Volume in costs between the front and the reference point of ``study.toml``; larger is better."""
        return hypervolume(self.costs(self.front), self.reference)

    @property
    def searched_hypervolume(self) -> float:
        """That of the front by what the search measured."""
        return hypervolume(self._searched_costs(self.searched_front), self.reference)

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

    def error(self, record: TrialRecord, name: str) -> float | None:
        """Standard error of `value`, in its unit; None if it is not known."""
        mean = self.confirmation.value(record.number, name) if self.confirmation else None
        stated = record.spread.get(name, {}).get("standard_error")
        return stated if mean is None else mean.standard_error

    def flags(self, record: TrialRecord) -> Mapping[str, Sequence[str]]:
        """Words that say why a value of a trial may not mean what its name says, by objective; as of `value`."""
        known = self.confirmation
        return known.flags.get(record.number, {}) if known and known.count(record.number) else record.flags

    def pick(self, rule: str, where: str | Sequence[str] = ()) -> TrialRecord:
        """The one trial that ``rule`` names, of the front as far as it keeps the conditions ``where``.

        Rules are ``knee``, ``best:OBJECTIVE``, ``one-se:OBJECTIVE``, ``weights:accuracy=2,macs=1``,
        ``nearest:accuracy=0.95,macs=1e6`` and, for any trial, ``trial:NUMBER``.

        Example: ``nas.open("runs/quickstart").pick("one-se:accuracy", "macs<=1e5")``.

        Raises:
            WrongInputError: if the rule is unknown, names several trials, or there is nothing to pick from.
        """
        return self.picked(rule, where).record

    def picked(self, rule: str, where: str | Sequence[str] = ()) -> Picked:
        """As `pick`, with the reason and the neighbours on the front."""
        found = self._rule(rule)
        if found.kind == "front":
            raise WrongInputError("front names several trials, where one is needed. Give another rule, such as knee.")
        if found.kind == "trial":
            record = self.trial(int(found.numbers[0]))
            if not self.where([record], where):
                raise WrongInputError(f"trial {record.number} does not keep --where. Leave it out, or pick another.")
            members = self.members()
            rows = [row for row, member in enumerate(members.records) if member is record]
            return Picked(record, "named by its number", members.neighbours(rows[0]) if rows else {})
        return self.members(where).pick(found)

    def select(self, rule: str, where: str | Sequence[str] = ()) -> list[TrialRecord]:
        """The trials that ``rule`` names: all members that keep the conditions by ``front``, one by others."""
        if self._rule(rule).kind == "front":
            return list(self.members(where).records)
        return [self.pick(rule, where)]

    def _rule(self, text: str) -> Rule:
        with user_input(""):
            return parse_rule(text, list(self.objectives))

    @property
    def preferences(self) -> list[str]:
        """What ``[prefer]`` asks of members, as conditions."""
        return [f"{name}{text.strip()}" for name, text in self.settings.prefer.items()]

    @property
    def cheapness(self) -> str:
        """The objective that says what is cheap: the first count to be minimised.

        Raises:
            WrongInputError: if there is none.
        """
        for name, goal in self.objectives.items():
            if (goal.direction, goal.scale) == ("minimize", "count"):
                return name
        raise WrongInputError(f"no objective of {self.directory} is a cost, such as macs, so that there is no order.")

    def members(self, where: str | Sequence[str] = ()) -> Members:
        """The members of the front that keep the conditions, to be picked from; without any, those of ``[prefer]``.

        What is preferred is left aside where no member has it.

        Raises:
            WrongInputError: if there are none.
        """
        if not self.front:
            raise WrongInputError(f"{self.directory} has no complete trial to pick from. Run nas search first.")
        records = self.where(self.front, where)
        if not where and (preferred := self.where(self.front, self.preferences)):
            records = preferred
        if not records:
            others = len(self.where(self.complete, where))
            raise WrongInputError(
                f"none of the {len(self.front)} members of the front keeps --where; of {len(self.complete)} complete "
                f"trials {others} do. Ask for less, or look at those with nas pareto --all --where."
            )
        values = [[self.value(record, name) for name in self.objectives] for record in records]
        errors = [[np.nan if (e := self.error(r, name)) is None else e for name in self.objectives] for r in records]
        return Members(records, self.objectives, np.array(values), np.array(errors))

    @cached_property
    def measurements(self) -> list[Measurement]:
        """What `nas measure` has measured of trials after the search."""
        return read_measurements(self.directory, self.records)

    def with_objectives(self, names: Sequence[str]) -> Self:
        """The study with objectives that were measured afterwards as further ones of the front.

        Only trials of which all are measured are complete in it. Replicates do not know of the new objectives: there
        the value of the trial itself stands beside the means of the others.

        Raises:
            WrongInputError: if one was never measured.
        """
        known = {one.name for one in self.measurements}
        for name in names:
            if name not in known:
                raise WrongInputError(
                    f"--objective: {unknown('measurement', name, known)} Measure it with nas measure."
                )
        view, found = copy(self), {name: {m.trial: m for m in self.measurements if m.name == name} for name in names}
        view.__dict__ = {key: self.__dict__[key] for key in ("directory", "trust", "settings", "facts", "added")}
        view.records = [_with(r, found) for r in self.records if all(r.number in of for of in found.values())]
        added = {name: next(iter(of.values())) for name, of in found.items()}
        goals = {n: Goal(cast(Direction, m.direction), cast(Scale, m.scale), m.unit) for n, m in added.items()}
        view.objectives, new = (
            {**self.objectives, **goals},
            {n: of for n, of in found.items() if n not in self.objectives},
        )
        worst = {n: max(to_minimise(goals[n], one.value) for one in of.values()) for n, of in new.items()}
        view.added = {**self.added, **{name: cost + MARGIN for name, cost in worst.items()}}
        measured = {record.number for record in view.records}
        view.replicates = [
            replace(one, record=_with(one.record, new)) for one in self.replicates if one.trial in measured
        ]
        return view

    def with_only(self, names: Sequence[str]) -> Self:
        """The study with some of its objectives as those of the front, in the order given.

        Raises:
            WrongInputError: if one is none of its objectives, or is named twice.
        """
        for name in names:
            if name not in self.objectives or list(names).count(name) > 1:
                raise WrongInputError(f"--objectives: {unknown('objective', name, self.objectives)} Name each once.")
        view = copy(self)
        kept = ("directory", "trust", "settings", "facts", "added", "records", "replicates", "_effective")
        view.__dict__ = {key: self.__dict__[key] for key in kept if key in self.__dict__}
        view.objectives = {name: self.objectives[name] for name in names}
        return view

    def compare(self, first: int, second: int) -> Comparison:
        """Two complete trials compared on the images that they were measured on.

        Example: ``nas.open("runs/quickstart").compare(3, 5).p``.

        Raises:
            WrongInputError: if one has left no predictions, or none of classes.
        """
        paths = (weights_path(self.directory, number).with_name(PREDICTIONS) for number in (first, second))
        return compare(*map(Predictions.read, paths))

    def where(self, records: Sequence[TrialRecord], conditions: str | Sequence[str]) -> list[TrialRecord]:
        """The records that keep every condition: ``study.where(study.front, "macs<=5e6 and s1.mixer==raft")``.

        Names are those of objectives and other measured values, facts, choices (which a trial has where they make a
        difference), and of all costs that shapes alone decide, such as ``parameters``.

        Raises:
            WrongInputError: if a condition cannot be read or compares what is not known.
        """
        asked = [conditions] if isinstance(conditions, str) else list(conditions)
        if not asked:
            return list(records)
        named = {name for record in self.records for name in (*record.measured, *record.facts)}
        costs = [name for name, kind in OBJECTIVES.items() if issubclass(kind, Count)]
        known = {**dict.fromkeys((*costs, *named, *self.objectives), ()), **self.choices}
        wanted = [parse(text, known) for text in asked]
        return [r for r in records if all(holds(partial(self._look, r)) for holds in wanted)]

    def _look(self, record: TrialRecord, name: str) -> Value | None:
        """What a trial has under a name that a condition compares."""
        if name in record.measured:
            settled = record.status == "complete" and name in self.objectives
            return self.value(record, name) if settled else record.measured[name]
        if name in self.choices:
            return record.picks[name] if name in self.effective(record) else None
        if name in record.facts or name not in OBJECTIVES:
            return record.facts.get(name)
        kind = OBJECTIVES[name]
        if not issubclass(kind, Count) or record.refused:
            return None
        self.load_plugins()
        with user_input(f"trial {record.number}"):
            return float(getattr(price(network_of(record)).counts, kind.field))

    def frame(self, records: Sequence[TrialRecord] | None = None) -> "DataFrame":
        """Trials as a pandas frame: state, values with errors, picks, key, seconds, flags; unless given, the front.

        Example: ``nas.open("runs/quickstart").frame().sort_values("macs")``.
        """
        rows = []
        for record in self.front if records is None else records:
            row: dict[str, Any] = {"trial": record.number, "state": record.failure or record.status}
            for name in self.objectives:
                done = record.status == "complete"
                row[name] = self.value(record, name) if done else record.measured.get(name)
                row[f"{name}.error"] = self.error(record, name) if done else None
            flags = " ".join(f"{name}:{word}" for name, words in self.flags(record).items() for word in words)
            known = {"key": record.key, "seconds": sum(record.seconds.values()), "flags": flags}
            rows.append({**row, **record.picks, **known})
        return frame(rows, "trial")

    @property
    def curves(self) -> "DataFrame":
        """The trainings of the front as a pandas frame, a row an epoch."""
        return frame(curve_rows(self.directory, [record.number for record in self.front]), "trial")

    def _repr_html_(self) -> str:
        """The front as a table, for notebooks; ``!`` is behind values that have flags."""

        def shown(record: TrialRecord, name: str) -> str:
            return f"{self.value(record, name):.6g}{'!' if self.flags(record).get(name) else ''}"

        rows = [[str(record.number), *(shown(record, name) for name in self.objectives)] for record in self.front]
        told = f"{self.settings.name}: {len(self.front)} of {len(self.complete)} complete trials are on the front"
        return html_table(told, ["trial", *self.objectives], rows)

    def status(self) -> dict[str, Any]:
        """Counts by status, size and hypervolume of the front, best value of every objective, pace."""
        best = {name: self.pick(f"best:{name}") for name in self.objectives if self.front}
        overview = Overview(
            name=self.settings.name,
            wanted=self.settings.trials,
            workers=self.settings.execution.workers,
            goals={name: asdict(goal) for name, goal in self.objectives.items()},
            records=self.records,
            front=self.front,
            hypervolume=self.hypervolume,
            best=best,
            values={name: self.value(record, name) for name, record in best.items()},
            confirmation=self.confirmation.summary() if self.confirmation else {},
        )
        return overview.figures(self.directory)

    def export(
        self,
        rule: str,
        out: str | Path,
        *,
        formats: Sequence[str] | None = (),
        batch: int | None = 1,
        materialise: bool = False,
        products: bool = False,
        force: bool = False,
    ) -> Path:
        """Takes the picked architecture away into ``out`` and proves what was written; see `nas.export.export`.

        Args:
            formats: in which it is written besides, such as ``("pt2", "onnx")``; None for all that are exact.
            batch: images at a time for which graphs are folded; None: they are written as the network is defined.
            materialise: write frozen tensors out, of which the weights else hold seeds.
            products: write Fourier transforms in graphs as matrix products.
        """
        record = self.pick(rule)
        self.load_plugins()
        with user_input("formats"):
            forms = Forms.of(formats, batch, materialise=materialise, products=products)
        return self.write_export(record, Path(out), forms=forms, force=force).directory

    def write_export(
        self,
        record: TrialRecord,
        out: Path,
        *,
        verify: Verification | None = None,
        forms: Forms | None = None,
        force: bool = False,
    ) -> Exported:
        """Exports a trial; its README says what replicates have shown of it. See `nas.export.export`."""
        notes = self.confirmation.notes(record.number) if self.confirmation else []
        return export(
            self.directory,
            self.settings,
            record,
            out,
            plugins=self.plugins,
            verify=verify or Verification(),
            forms=forms or Forms(),
            force=force,
            notes=notes,
        )


def _with(record: TrialRecord, found: Mapping[str, Mapping[int, Measurement]]) -> TrialRecord:
    """A record with values that were measured afterwards, by name and trial."""
    mine = {name: of[record.number] for name, of in found.items()}
    return replace(
        record,
        measured=record.measured | {name: one.value for name, one in mine.items()},
        settings=record.settings | {name: one.settings for name, one in mine.items()},
        spread=record.spread | {name: one.spread for name, one in mine.items() if one.spread},
        flags=record.flags | {name: one.flags for name, one in mine.items() if one.flags},
    )

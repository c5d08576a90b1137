"""A study as an Optuna storage (SQLite), for optuna-dashboard, optuna.visualization and analyses with Optuna.

It is a copy, written from the log on request: a search that kept one up to date would pay 56 ms a trial. Rows go into
the tables of Optuna's own models, those of a thousand trials at a time: 1 ms a trial, where ``add_trials`` takes 35 (25
choices), and no more memory for more trials. The models are private: a test compares the rows with those that Optuna
writes itself. Only complete trials have values, because a trial with values enters a front; the others are PRUNED or
FAIL, their values attributes.
"""

import json
import os
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from nas.errors import StoppedError, WrongInputError, user_input
from nas.pricing import excess
from nas.problem import check_records
from nas.results.confirmation import Confirmation
from nas.results.study import Study
from nas.store.files import put_in_place, write_beside
from nas.store.history import TRIALS, is_held, read_events
from nas.store.records import Status, TrialRecord, brief
from searchspaces import Value
from searchspaces.architecture import label_of

optuna.logging.set_verbosity(optuna.logging.ERROR)

MARK = "nas.directory"
"""Attribute of every study that is a copy of a study directory: its value is that directory."""

AT_ONCE = 1_000
"""Trials whose rows are written together."""
MOST_LOST = 10_000
"""Numbers that a log may have lost; each keeps its place."""

STATES: dict[Status, TrialState] = {
    "complete": TrialState.COMPLETE,
    "infeasible": TrialState.PRUNED,
    "duplicate": TrialState.PRUNED,
    "truncated": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "cancelled": TrialState.FAIL,
}


def write_storage(study: Study, path: Path) -> int:
    """Writes all trials of a study into an SQLite file that Optuna opens as ``sqlite:///PATH``; returns their number.

    Numbers, values, directions and names are those of the study: ``study.best_trials`` in Optuna is the front of
    the search. Trials that were asked for and have not ended are RUNNING while a search works on the study, else
    WAITING. Choices with one option are left out, as the samplers never see them; they stand in the study's attribute
    ``fixed``. What replicates say of a trial is in its attributes ``confirmed.OBJECTIVE``, the mean, and so on.

    The file is there whole or not at all. One that this function wrote is replaced, with all that was noted in it.

    Raises:
        WrongInputError: if ``path`` is anything else that exists, or cannot be written, or the log is damaged.
    """
    if os.path.exists(path) and not _is_copy(path):  # unlike Path.exists, no error for a name that cannot be
        raise WrongInputError(
            f"{path} exists and is no storage that nas optuna wrote, so it is left as it is. "
            "Give another file with -o, or move this one away."
        )
    copy = _Copy.of(study)
    try:
        temporary = write_beside(path, b"")
        try:
            _write(copy, temporary)
        except BaseException as error:
            os.unlink(temporary)
            if isinstance(error, OperationalError):
                raise StoppedError(f"{path} cannot be written ({error.orig}).") from None
            raise
        put_in_place(temporary, path)
    except StoppedError as error:
        raise WrongInputError(f"{error} Give another file with -o.") from None
    return copy.size


def _is_copy(path: Path) -> bool:
    """Whether a file holds copies of study directories and no other study."""
    query = f"SELECT study_id IN (SELECT study_id FROM study_user_attributes WHERE key = '{MARK}') FROM studies"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            marked = [bool(row[0]) for row in file.execute(query)]
    except sqlite3.Error:
        return False
    return bool(marked) and all(marked)


@dataclass(frozen=True)
class _Copy:
    """The trials of a study directory in Optuna's terms.

    Args:
        distributions: of the open choices, by name.
        asked: the last ``asked`` event of the trials that have not ended, or not been measured, by number.
        begun: when a trial was last asked for or started, by number, in seconds since the epoch.
        written: when the log was last written to, for trials without an event.
    """

    study: Study
    distributions: dict[str, CategoricalDistribution]
    asked: dict[int, dict[str, Any]]
    begun: dict[int, float]
    written: float

    @property
    def fixed(self) -> dict[str, Value]:
        """The choices with one option, and that option."""
        return {name: options[0] for name, options in self.study.choices.items() if len(options) == 1}

    @classmethod
    def of(cls, study: Study) -> "_Copy":
        log = study.directory / TRIALS
        events, measured = read_events(study.directory), {r.number for r in study.records if r.measured}
        return cls(
            study=study,
            distributions={
                name: CategoricalDistribution(options) for name, options in study.choices.items() if len(options) > 1
            },
            asked={e["number"]: e for e in events if e["event"] == "asked" and e["number"] not in measured},
            begun={e["number"]: e.get("time", 0.0) for e in events if e["event"] in ("asked", "started")},
            written=log.stat().st_mtime if log.exists() else 0.0,
        )

    @property
    def size(self) -> int:
        """Number of trials."""
        return 1 + max([*(record.number for record in self.study.records), *self.asked], default=-1)

    def trials(self) -> Iterator[FrozenTrial]:
        """All trials by number, from 0 without a gap: Optuna takes a number for a place."""
        ended = {record.number: record for record in self.study.records}
        open_state = TrialState.RUNNING if is_held(self.study.directory) else TrialState.WAITING
        if self.size >= MOST_LOST + len(ended) + len(self.asked):
            raise WrongInputError(
                f"{self.study.directory} is damaged: its log holds a trial {self.size - 1} and few others."
            )
        for number in range(self.size):
            with user_input(f"{self.study.directory}, trial {number} is damaged"):
                if number in ended:
                    trial = self._ended(ended[number])
                elif number in self.asked:
                    trial = self._open(self.asked[number], open_state)
                else:
                    trial = self._trial(number, TrialState.FAIL, {"status": "lost"})
            yield trial

    def _ended(self, record: TrialRecord) -> FrozenTrial:
        values = None
        if record.status == "complete":
            check_records([record], self.study.objectives, self.study.directory / TRIALS)
            values = [record.measured[name] for name in self.study.objectives]
        return self._trial(
            record.number,
            STATES[record.status],
            record_attributes(record) | confirmed_attributes(self.study.confirmation, record.number),
            picks=record.picks,
            costs=record.measured or self.asked.get(record.number, {}).get("measured"),
            values=values,
            seconds=sum(record.seconds.values()),
        )

    def _open(self, event: Mapping[str, Any], state: TrialState) -> FrozenTrial:
        attributes = {"status": state.name.lower(), "key": event.get("key")}
        return self._trial(event["number"], state, attributes, picks=event["picks"], costs=event.get("measured"))

    def _trial(
        self,
        number: int,
        state: TrialState,
        attributes: dict[str, Any],
        *,
        picks: Mapping[str, Value] | None = None,
        costs: Mapping[str, float] | None = None,
        values: list[float] | None = None,
        seconds: float = 0.0,
    ) -> FrozenTrial:
        constraints = self._constraints(picks, costs or {})
        distributions = self.distributions if picks else {}
        if picks and (lacking := sorted(distributions.keys() - picks.keys())):
            raise ValueError(f"its picks lack {lacking[0]}. Restore the log from a copy.")
        for name, distribution in distributions.items():
            if (pick := (picks or {})[name]) not in distribution.choices:
                raise ValueError(f"its {name} is {brief(pick)}, none of its options. Restore the log from a copy.")
        begun = self.begun.get(number, self.written)
        trial = FrozenTrial(  # create_trial takes five times as long for the same
            number=number,
            trial_id=number + 1,
            state=state,
            value=None,
            values=values,
            datetime_start=None if state == TrialState.WAITING else datetime.fromtimestamp(begun),
            datetime_complete=datetime.fromtimestamp(begun + seconds) if state.is_finished() else None,
            params={name: picks[name] for name in distributions} if picks else {},
            distributions=dict(distributions),
            user_attrs=attributes,
            # Once more without names: the dashboard (0.21) reads no others. `trial.constraints` then holds each twice.
            system_attrs={"constraints": list(constraints.values())} if constraints else {},
            intermediate_values={},
        )
        for name, share in constraints.items():
            trial.set_constraint(name, share)
        return trial

    def _constraints(self, picks: Mapping[str, Value] | None, costs: Mapping[str, float]) -> dict[str, float]:
        """Share by which each bound is exceeded, negative if it is kept, 0 of what was not measured.

        The same names in the same order always.
        """
        bounds = self.study.settings.bounds
        if picks is None or not costs.keys() & bounds.keys():
            return {}
        return {name: excess(costs[name], bound) if name in costs else 0.0 for name, bound in bounds.items()}


def record_attributes(record: TrialRecord) -> dict[str, Any]:
    """What a record holds besides picks and values; each number by itself, so that the dashboard sorts and plots it."""
    found = {
        "status": record.status,
        "architecture": label_of(record.architecture),
        "key": record.key,
        "seed": record.seed,
        "failure": record.failure,
        "error": record.error,
        "copied_from": record.copied_from,
        "inherited_from": record.inherited["trial"] if record.inherited else None,
        "inherited_share": record.inherited["share"] if record.inherited else None,
        "micro_batches": record.micro_batches if record.micro_batches > 1 else None,
        "seconds": sum(record.seconds.values()) if record.seconds else None,
    }
    groups: dict[str, Mapping[str, Any]] = {
        "measured": record.measured,
        "violation": record.violations,
        "seconds": record.seconds,
        "fidelity": record.fidelity,
    }
    found |= {f"{group}.{name}": value for group, table in groups.items() for name, value in table.items()}
    return {name: value for name, value in found.items() if value is not None}


def confirmed_attributes(known: Confirmation | None, number: int) -> dict[str, Any]:
    """What replicates say of a trial, by names like those of `record_attributes`; nothing without replicates."""
    if known is None or not known.count(number):
        return {}
    found: dict[str, Any] = {"confirmed.n": known.count(number), "confirmed.on_front": known.chance(number)}
    for name in known.goals:
        if (value := known.value(number, name)) is not None:
            found |= {f"confirmed.{name}": float(value), f"confirmed.{name}.standard_error": value.standard_error}
    return found


def _write(copy: _Copy, path: str) -> None:
    """Writes an SQLite file with one Optuna study."""
    study = copy.study
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA synchronous = OFF")  # it is flushed once, at its end
        file.execute("PRAGMA journal_mode = OFF")  # what fails is thrown away
        storage = RDBStorage("sqlite://", engine_kwargs={"creator": lambda: file, "poolclass": StaticPool})
        try:
            written = optuna.create_study(
                storage=storage,
                study_name=study.settings.name,
                directions=[objective.direction for objective in study.objectives.values()],
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                written.set_metric_names(list(study.objectives))
            written.set_user_attr(MARK, str(study.directory.resolve()))
            written.set_user_attr("settings", study.settings.table())
            written.set_user_attr("fixed", copy.fixed)
            trials = copy.trials()
            while some := list(islice(trials, AT_ONCE)):
                _insert(storage, written._study_id, some)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    with open(path, "rb") as done:
        os.fsync(done)


def _insert(storage: RDBStorage, study_id: int, trials: Iterable[FrozenTrial]) -> None:
    """What ``add_trials`` does, with one statement for each table instead of several for each row."""
    rows: dict[Any, list[dict[str, Any]]] = {
        model: []
        for model in (
            models.TrialModel,
            models.TrialValueModel,
            models.TrialParamModel,
            models.TrialUserAttributeModel,
            models.TrialSystemAttributeModel,
        )
    }
    for trial in trials:
        key = {"trial_id": trial.number + 1}
        row = {name: getattr(trial, name) for name in ("number", "state", "datetime_start", "datetime_complete")}
        rows[models.TrialModel].append({**key, "study_id": study_id, **row})
        for objective, value in enumerate(trial.values or ()):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            rows[models.TrialValueModel].append({**key, "objective": objective, "value": stored, "value_type": kind})
        for name, pick in trial.params.items():
            distribution = trial.distributions[name]
            row = {"param_value": distribution.to_internal_repr(pick), "distribution_json": _json(distribution)}
            rows[models.TrialParamModel].append({**key, "param_name": name, **row})
        attributes = (
            (models.TrialUserAttributeModel, trial.user_attrs),
            (
                models.TrialSystemAttributeModel,
                trial.system_attrs,
            ),
        )
        for model, table in attributes:
            rows[model] += [{**key, "key": name, "value_json": json.dumps(value)} for name, value in table.items()]
    with storage.engine.begin() as connection:
        for model, each in rows.items():
            if each:
                connection.execute(insert(model.__table__), each)


@cache
def _json(distribution: CategoricalDistribution) -> str:
    return distribution_to_json(distribution)

"""A study as runs of MLflow in a local folder: an SQLite database and a folder of artifacts.

MLflow's folder of plain files takes no new runs since version 3 (maintenance mode), so the database it is; the small
package ``mlflow-skinny`` suffices, because Optuna brings SQLAlchemy and Alembic. Nothing is sent anywhere: MLflow's
telemetry is off. A run is marked as whole by its last tag, a digest of what was written; another call skips runs whose
digest is the same and writes the others anew.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import StoppedError, WrongInputError
from nas.results.optuna_copy import confirmed_attributes, record_attributes
from nas.results.study import Study
from nas.store.artifacts import CURVE, WEIGHTS, weights_path
from nas.store.records import Status, TrialRecord
from nas.store.traces import read_curve

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
DIRECTORY, NUMBER, WHOLE = "nas.directory", "nas.trial", "nas.digest"
"""Tags: of an experiment, the study directory it is a copy of; of a run, its trial, and what was written of it."""
LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG = 200, 5_000, 4_900
"""Characters that every MLflow since 2.20 takes, with room for a mark of what was cut."""
AT_ONCE = 100
"""Params and tags that it takes at once; metrics may be ten times as many."""
STATES: dict[Status, str] = {"complete": "FINISHED", "failed": "FAILED"}
"""Others, whose values enter no front, are KILLED."""


def write_runs(study: Study, folder: Path) -> tuple[int, int]:
    """Writes a run for each trial into a folder; returns how many were written, and how many stood there as they are.

    Picks are params, numbers are metrics, those of learning curves with the epoch as their step, the rest are tags;
    the architecture, the curve and, of members of the front, the weights are artifacts.

    Raises:
        WrongInputError: if MLflow is not installed, or the folder cannot be used.
        StoppedError: if it cannot be written.
    """
    if strange := re.search(r"[?#%]", str(folder.resolve())):
        raise WrongInputError(
            f"{folder} holds {strange[0]!r}, which no address of a database may. Give another folder."
        )
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError:
        raise WrongInputError(
            'nas mlflow needs mlflow-skinny, which is optional: pip install "mlflow-skinny>=2.20".'
        ) from None
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    front, written = {record.number for record in study.front}, 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(f"sqlite:///{folder.resolve() / DATABASE}")
        experiment = _experiment(client, study, folder)
        known = dict(_runs(client, experiment))
        for record in study.records:
            run, digest = known.get(record.number, ("", ""))
            content = _content(study, record)
            content[WHOLE] = hashlib.sha256(
                json.dumps([content, record.number in front], sort_keys=True).encode()
            ).hexdigest()
            if digest == content[WHOLE]:
                continue
            if run:
                client.delete_run(run)
            _write(client, experiment, study, record, content, weights=record.number in front)
            written += 1
    except MlflowException as error:
        raise WrongInputError(f"{folder} cannot be used ({error.message}). Give another folder with -o.") from None
    except OSError as error:
        raise StoppedError(f"{folder} cannot be written ({error.strerror}).") from None
    return written, len(study.records) - written


def _experiment(client: "MlflowClient", study: Study, folder: Path) -> str:
    """The experiment that is the copy of the study directory; a new one if there is none."""
    directory, names = str(study.directory.resolve()), set[str]()
    for view in ("ACTIVE_ONLY", "DELETED_ONLY"):
        for each in _pages(lambda token, view=view: client.search_experiments(_view(view), page_token=token)):
            names.add(each.name)
            if each.tags.get(DIRECTORY) == cut(directory, LONGEST_TAG) and view == "ACTIVE_ONLY":
                return str(each.experiment_id)
    name = cut(_visible(study.settings.name), LONGEST_NAME) or "study"
    number = next(i for i in range(1, len(names) + 2) if _numbered(name, i) not in names)
    place = (folder.resolve() / ARTIFACTS).as_uri()
    tags = {DIRECTORY: cut(directory, LONGEST_TAG)}
    return str(client.create_experiment(_numbered(name, number), artifact_location=place, tags=tags))


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def _view(name: str) -> int:
    from mlflow.entities import ViewType

    return int(getattr(ViewType, name))


def _pages(search: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(token)
        yield from page
        if not (token := page.token):
            return


def _runs(client: "MlflowClient", experiment: str) -> Iterator[tuple[int, tuple[str, str]]]:
    """Number of a trial -> its run, and the digest of what was written; empty of one that a kill left unfinished."""
    for run in _pages(lambda token: client.search_runs([experiment], max_results=1000, page_token=token)):
        if (number := run.data.tags.get(NUMBER, "")).isdecimal():
            yield int(number), (run.info.run_id, run.data.tags.get(WHOLE, ""))


def _content(study: Study, record: TrialRecord) -> dict[str, Any]:
    """Params, metrics (name, value, step) and tags of a trial, by names that MLflow takes."""
    known = {**record_attributes(record), **confirmed_attributes(study.confirmation, record.number)}
    numbers = {name: float(v) for name, v in {**known, **record.measured}.items() if type(v) in (int, float)}
    metrics = [(as_name(name), value, 0) for name, value in numbers.items() if name != "seed" and math.isfinite(value)]
    with contextlib.suppress(WrongInputError):  # a damaged curve is no reason to lose the trial
        for row in read_curve(study.directory, record.number):
            step = int(row["epoch"] or 0)
            metrics += [
                (f"curve/{as_name(name)}", value, step)
                for name, value in row.items()
                if value is not None and name != "epoch" and math.isfinite(value)
            ]
    picks = {**record.picks, "seed": record.seed}
    tags = {name: v for name, v in known.items() if type(v) not in (int, float)}
    tags |= {f"flags.{name}": ", ".join(words) for name, words in record.flags.items()}
    return {
        "params": {as_name(n): cut(_visible(str(v)), LONGEST_PARAM) for n, v in picks.items()},
        "metrics": metrics,
        "tags": {as_name(n): cut(_visible(str(v)), LONGEST_TAG) for n, v in tags.items()},
    }


def _write(
    client: "MlflowClient",
    experiment: str,
    study: Study,
    record: TrialRecord,
    content: Mapping[str, Any],
    *,
    weights: bool,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    end = int(1000 * (record.ended or 0))
    begin = max(0, end - int(1000 * sum(record.seconds.values())))
    tags = {NUMBER: str(record.number)}
    run = client.create_run(experiment, start_time=begin, tags=tags, run_name=f"trial {record.number}").info.run_id
    for metrics in _parts([Metric(name, value, end, step) for name, value, step in content["metrics"]], 10 * AT_ONCE):
        client.log_batch(run, metrics=metrics)
    for params in _parts([Param(*pair) for pair in content["params"].items()], AT_ONCE):
        client.log_batch(run, params=params)
    for some in _parts([RunTag(*pair) for pair in content["tags"].items()], AT_ONCE):
        client.log_batch(run, tags=some)
    client.log_dict(run, record.architecture, "architecture.json")
    place = weights_path(study.directory, record.number)
    for file in (place.with_name(CURVE), *([place.with_name(WEIGHTS)] if weights else ())):
        if file.is_file() and not file.is_symlink():
            client.log_artifact(run, str(file))
    client.set_terminated(run, STATES.get(record.status, "KILLED"), end_time=end)
    client.set_tag(run, WHOLE, content[WHOLE])


def _parts(values: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (values[at : at + most] for at in range(0, len(values), most))


def as_name(name: str) -> str:
    """A name that MLflow takes for a param, a metric or a tag; one that had to be changed ends with a digest of itself.

    Example: ``as_name("s1.mixer")`` is itself, ``as_name("<b>")`` is ``_b_.3a9a``.
    """
    known = re.sub(r"[^\w. -]", "_", name, flags=re.ASCII)[:LONGEST_NAME].strip()
    if known == name and set(name) - {"."}:
        return name
    return f"{known.strip('.') or '_'}.{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:4]}"


def cut(text: str, most: int) -> str:
    """The text, or its beginning and how long it is."""
    return text if len(text) <= most else f"{text[: most - 40]}... ({len(text):,} characters)"


def _visible(text: str) -> str:
    """The text with its control characters but line ends, which a database or a terminal may not take, as escapes."""
    return re.sub(r"[^\n\t\x20-\x7e]", lambda m: m[0] if m[0].isprintable() else ascii(m[0])[1:-1], text)

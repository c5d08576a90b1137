"""The Optuna storage of a study: every trial as Optuna knows it, the same front, and no file of anyone else lost."""

import json
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
import tomli_w
from optuna.trial import FrozenTrial, TrialState

import nas
from nas.cli import main
from nas.errors import WrongInputError
from nas.results.optuna_copy import write_storage
from nas.store.confirmations import Replicate
from nas.store.history import History, read_events
from nas.store.records import TrialRecord
from searchspaces import Architecture
from trainers import TRAINERS, Supervised

BOUNDS = {"parameters": 1e6, "macs": 8_000.0}
STATES = {"complete": TrialState.COMPLETE, "infeasible": TrialState.PRUNED, "failed": TrialState.FAIL}


class Moody(Supervised):
    """Refuses the seeds that three divides."""

    def train(self, model: Any, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        if seed % 3 == 0:
            raise ValueError(f"seed {seed} is refused")
        super().train(model, data, seed=seed, report=report, checkpoints=checkpoints)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    """Directory of a study with complete, infeasible and failed trials."""
    folder = tmp_path_factory.mktemp("searched")
    table = {**small, "trials": 8, "bounds": BOUNDS, "training": {"kind": "moody", "epochs": 1}}
    (folder / "small.toml").write_text(tomli_w.dumps({**table, "search": {"sampler": "random"}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRAINERS, "moody", Moody)
        study = nas.search(folder / "small.toml", out=folder / "run")
    assert {record.status for record in study.records} == STATES.keys()
    return study.directory


@pytest.fixture
def directory(searched: Path, tmp_path: Path) -> Path:
    """A copy of that directory that a test may change."""
    return Path(shutil.copytree(searched, tmp_path / "run"))


def written(directory: Path, path: Path | None = None) -> optuna.Study:
    """The storage of a study directory, opened by Optuna."""
    path = path or directory.parent / "study.db"
    study = nas.open(directory)
    count = write_storage(study, path)
    loaded = optuna.load_study(study_name=study.settings.name, storage=f"sqlite:///{path}")
    assert len(loaded.trials) == count
    return loaded


def rewrite(directory: Path, change: Callable[[list[TrialRecord]], list[TrialRecord]]) -> list[TrialRecord]:
    """Puts other records into a log."""
    records = change(nas.open(directory).records)
    (directory / "trials.jsonl").write_text("".join(json.dumps(record.to_json()) + "\n" for record in records))
    return records


def confirm(directory: Path, number: int, accuracies: list[float]) -> None:
    """Adds replicates of a trial to a study directory."""
    record, protocol = nas.open(directory).trial(number), nas.open(directory).searched_protocol
    again = [replace(record, measured=record.measured | {"accuracy": value}) for value in accuracies]
    lines = [Replicate(k, protocol, len(again), one).to_json() for k, one in enumerate(again)]
    (directory / "confirmations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def numbers(trials: list[FrozenTrial]) -> list[int]:
    return sorted(trial.number for trial in trials)


def test_every_trial_has_its_number_state_values_and_choices(directory: Path) -> None:
    study, loaded = nas.open(directory), written(directory)
    assert [trial.number for trial in loaded.trials] == [record.number for record in study.records]
    options = {choice.name: choice.options for choice in study.space.choices}
    for trial, record in zip(loaded.trials, study.records, strict=True):
        complete = record.status == "complete"
        assert trial.state == STATES[record.status]
        assert trial.values == ([record.measured[name] for name in study.objectives] if complete else None)
        assert trial.params == {name: pick for name, pick in record.picks.items() if len(options[name]) > 1}
        for name, distribution in trial.distributions.items():
            assert distribution == optuna.distributions.CategoricalDistribution(options[name])


def test_objectives_keep_their_names_directions_and_units(directory: Path) -> None:
    loaded = written(directory)
    assert loaded.metric_names == ["accuracy", "robust_accuracy", "macs"]
    assert [direction.name for direction in loaded.directions] == ["MAXIMIZE", "MAXIMIZE", "MINIMIZE"]


def test_the_study_tells_what_it_is_a_copy_of_its_settings_and_what_was_not_searched(directory: Path) -> None:
    attributes = written(directory).user_attrs
    assert attributes["nas.directory"] == str(directory.resolve())
    assert attributes["settings"] == nas.open(directory).settings.table()
    assert attributes["fixed"] == {"patch": 2, "s1.kernel": 3, "s2.kernel": 3}


def test_the_best_trials_are_the_front_with_its_equal_rows(directory: Path) -> None:
    best = nas.open(directory).front[0]
    rewrite(directory, lambda records: [*records, replace(best, number=len(records))])
    front = [record.number for record in nas.open(directory).front]
    assert {best.number, len(nas.open(directory).records) - 1} <= set(front)
    assert numbers(written(directory).best_trials) == sorted(front)


def test_optuna_draws_the_same_front(directory: Path) -> None:
    pytest.importorskip("plotly", reason="optuna.visualization needs plotly")
    figure = optuna.visualization.plot_pareto_front(written(directory))
    best = [trace for trace in figure.data if "Best Trial" in trace.hovertemplate]
    drawn = [json.loads(text.replace("<br>", ""))["number"] for trace in best for text in trace.text]
    assert sorted(drawn) == sorted(record.number for record in nas.open(directory).front)


def test_every_trial_bears_a_constraint_for_each_bound_by_name_and_as_the_dashboard_reads_it(
    directory: Path,
) -> None:
    loaded = written(directory)
    for trial, record in zip(loaded.trials, nas.open(directory).records, strict=True):
        shares = {name: record.measured[name] / bound - 1 for name, bound in BOUNDS.items()}
        assert {name: trial.constraints[name] for name in BOUNDS} == shares
        assert trial.system_attrs["constraints"] == list(shares.values())
        assert any(value > 0 for value in trial.constraints.values()) == (record.status == "infeasible")
    assert len({tuple(trial.constraints) for trial in loaded.trials}) == 1


def test_attributes_tell_what_values_and_choices_do_not(directory: Path) -> None:
    for trial, record in zip(written(directory).trials, nas.open(directory).records, strict=True):
        attributes = trial.user_attrs
        expected = {"status": record.status, "key": record.key, "seed": record.seed, "fidelity.epochs": 1}
        expected |= {f"measured.{name}": value for name, value in record.measured.items()}
        expected |= {f"violation.{name}": value for name, value in record.violations.items()}
        assert expected.items() <= attributes.items()
        assert attributes["architecture"] == Architecture.from_json(record.architecture).label()
        assert attributes.get("seconds", 0) == sum(record.seconds.values())
        assert (attributes.get("failure"), attributes.get("error")) == (record.failure, record.error)
        assert ("error" in attributes) == (record.status == "failed")
        assert all(isinstance(value, str | int | float) for value in attributes.values())


def test_a_trial_begins_with_its_start_and_lasts_as_long_as_its_phases(directory: Path) -> None:
    started = {e["number"]: e["time"] for e in read_events(directory) if e["event"] == "started"}
    assert started
    for trial, record in zip(written(directory).trials, nas.open(directory).records, strict=True):
        assert trial.duration is not None
        assert trial.duration.total_seconds() == pytest.approx(sum(record.seconds.values()), abs=2e-6)
        if record.number in started:
            assert trial.datetime_start == datetime.fromtimestamp(started[record.number])


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("duplicate", TrialState.PRUNED),
        ("truncated", TrialState.PRUNED),
        ("cancelled", TrialState.FAIL),
    ],
)
def test_what_is_not_complete_bears_no_values_though_it_was_measured(
    directory: Path, status: Any, state: TrialState
) -> None:
    best = nas.open(directory).front[0].number
    change = {"status": status, "copied_from": 0 if status == "duplicate" else None}
    rewrite(directory, lambda records: [replace(r, **change) if r.number == best else r for r in records])
    trial = written(directory).trials[best]
    assert (trial.state, trial.values) == (state, None)
    assert trial.user_attrs["measured.accuracy"] >= 0
    assert trial.user_attrs.get("copied_from") == change["copied_from"]


def test_a_duplicate_of_a_running_trial_has_constraints_though_the_log_has_no_costs_of_it(directory: Path) -> None:
    macs = nas.open(directory).records[0].measured["macs"]
    rewrite(
        directory, lambda records: [replace(records[0], status="duplicate", failure=None, measured={}), *records[1:]]
    )
    assert written(directory).trials[0].constraints["macs"] == macs / BOUNDS["macs"] - 1


def test_a_trial_that_has_not_ended_waits_or_runs_while_a_search_holds_the_study(directory: Path) -> None:
    last = nas.open(directory).records[-1]
    rewrite(directory, lambda records: records[:-1])
    waiting = written(directory).trials[-1]
    with History(directory):
        running = written(directory).trials[-1]
    assert (waiting.state, waiting.datetime_start) == (TrialState.WAITING, None)
    assert running.state == TrialState.RUNNING
    assert running.datetime_start is not None
    for trial in (waiting, running):
        assert trial.number == last.number
        assert trial.user_attrs == {"status": trial.state.name.lower(), "key": last.key}
        assert trial.params.items() <= last.picks.items()
        assert trial.constraints["macs"] == last.measured["macs"] / BOUNDS["macs"] - 1
        assert trial.datetime_complete is None


def test_before_a_trial_has_ended_the_trials_are_there_with_their_choices(directory: Path) -> None:
    ended = rewrite(directory, lambda records: records)
    fixed = written(directory).user_attrs["fixed"]
    rewrite(directory, lambda records: [])
    loaded = written(directory)
    assert [(trial.number, trial.state, trial.params) for trial in loaded.trials] == [
        (r.number, TrialState.WAITING, {name: pick for name, pick in r.picks.items() if name not in fixed})
        for r in ended
    ]


def test_a_number_that_the_log_has_lost_keeps_its_place(directory: Path) -> None:
    rewrite(directory, lambda records: [record for record in records if record.number != 1])
    (directory / "events.jsonl").unlink()
    loaded = written(directory)
    assert (loaded.trials[1].state, loaded.trials[1].user_attrs) == (TrialState.FAIL, {"status": "lost"})
    assert [t.user_attrs["key"] for t in loaded.trials if t.number != 1] == [r.key for r in nas.open(directory).records]


def test_records_that_ended_out_of_order_stand_by_number(directory: Path) -> None:
    records = rewrite(directory, lambda records: records[::-1])
    keys = {record.number: record.key for record in records}
    assert {trial.number: trial.user_attrs["key"] for trial in written(directory).trials} == keys


def test_a_study_with_one_objective_has_its_best_trial(directory: Path) -> None:
    text = (directory / "study.toml").read_text()
    objectives = text[text.index("objectives") : text.index("]") + 1]
    (directory / "study.toml").write_text(text.replace(objectives, 'objectives = ["macs"]'))
    loaded = written(directory)
    assert loaded.best_value == min(record.measured["macs"] for record in nas.open(directory).complete)
    assert numbers(loaded.best_trials) == sorted(record.number for record in nas.open(directory).front)


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of an SQLite file, by table."""
    with closing(sqlite3.connect(path)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: list(file.execute(f"SELECT * FROM {table}")) for table in tables}


def test_the_rows_are_those_that_optuna_itself_writes(directory: Path, tmp_path: Path) -> None:
    rewrite(directory, lambda records: records[:-1])
    name = written(directory).study_name
    ours, theirs = tmp_path / "study.db", tmp_path / "theirs.db"
    optuna.copy_study(
        from_study_name=name, from_storage=f"sqlite:///{ours}", to_storage=f"sqlite:///{theirs}", to_study_name=name
    )
    mine, expected = rows(ours), rows(theirs)
    assert len(mine["trial_params"]) > len(mine["trials"]) > 0
    assert mine.keys() == expected.keys()
    for table, content in expected.items():
        if table.endswith("attributes"):  # their order has no meaning
            assert sorted(r[1:] for r in mine[table]) == sorted(r[1:] for r in content), table
        else:
            assert mine[table] == content, table


def test_a_second_write_replaces_the_first(directory: Path) -> None:
    records = nas.open(directory).records
    assert len(written(directory).trials) == len(records)
    rewrite(directory, lambda records: records[:1])
    (directory / "events.jsonl").unlink()
    assert len(written(directory).trials) == 1


def test_writing_leaves_the_study_directory_as_it_is_and_no_other_file(directory: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    written(directory)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "study.db"}


def test_an_odd_name_and_a_new_folder_are_fine(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a study?#%20.db"
    assert write_storage(nas.open(directory), path) == write_storage(nas.open(directory), path) > 0
    assert len(rows(path)["trials"]) == len(nas.open(directory).records)


def write_text(path: Path) -> None:
    path.write_text("precious")


def write_nothing(path: Path) -> None:
    path.touch()


def write_other_study(path: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{path}")


def write_other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE studies (study_id)")


@pytest.mark.parametrize("write", [write_text, write_nothing, write_other_study, write_other_database])
def test_a_file_of_someone_else_is_left_alone(directory: Path, tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "study.db"
    write(path)
    before = path.read_bytes()
    with pytest.raises(WrongInputError, match=r"study\.db exists and is no storage that nas optuna wrote.* another"):
        write_storage(nas.open(directory), path)
    assert path.read_bytes() == before


def test_a_copy_that_was_given_a_study_of_someone_else_is_left_alone(directory: Path, tmp_path: Path) -> None:
    written(directory)
    write_other_study(tmp_path / "study.db")
    with pytest.raises(WrongInputError, match="is left as it is"):
        write_storage(nas.open(directory), tmp_path / "study.db")


def command(*arguments: object) -> int:
    """Exit status of a command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as status:
            main()
    return int(status.value.code or 0)


def test_the_command_says_what_it_wrote_and_how_to_open_it(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my study.db"
    assert command("optuna", directory, "-o", path) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"written: {len(nas.open(directory).records)} trials to {path};")
    words = shlex.split(output)
    url = words[words.index("optuna-dashboard") + 1]
    assert optuna.get_all_study_names(url) == ["small"]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("nowhere", "study.db", "nowhere is not a study directory"),
        ("run", "run", "run exists and is no storage that nas optuna wrote"),
        ("run", "run/trials.jsonl", "trials.jsonl exists and is no storage"),
        ("run", "run/study.toml/study.db", "study.db cannot be written"),
        ("run", "/proc/study.db", "/proc/study.db cannot be written"),
        ("run", 300 * "a", "cannot be written (File name too long)"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    target: str,
    message: str,
) -> None:
    monkeypatch.chdir(directory.parent)
    assert command("optuna", source, "-o", target) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("Error: ")
    assert error.count("\n") == 1


def test_a_damaged_log_is_named_by_line(directory: Path) -> None:
    with open(directory / "events.jsonl", "a") as file:
        file.write("garbage\n")
    with pytest.raises(WrongInputError, match=r"events\.jsonl, line \d+ is damaged"):
        write_storage(nas.open(directory), directory.parent / "study.db")


def test_a_bare_file_name_is_written_here(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    assert command("optuna", "run", "-o", "bare.db") == 0
    assert (directory.parent / "bare.db").stat().st_size > 0


def test_what_replicates_say_of_a_trial_is_in_its_attributes(directory: Path) -> None:
    first, *others = nas.open(directory).complete
    confirm(directory, first.number, [0.5, 0.7])
    trials = written(directory).trials
    found = {name: value for name, value in trials[first.number].user_attrs.items() if name.startswith("confirmed.")}
    assert found["confirmed.n"] == 2
    assert found["confirmed.accuracy"] == pytest.approx(0.6)
    assert found["confirmed.accuracy.standard_error"] == pytest.approx(0.1)
    assert 0 <= found["confirmed.on_front"] <= 1
    assert trials[first.number].user_attrs["measured.accuracy"] == first.measured["accuracy"]
    assert not any(name.startswith("confirmed.") for name in trials[others[0].number].user_attrs)

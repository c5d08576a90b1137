"""Study directories: whatever their files hold, they are refused by one message and left alone, or keep the rules."""

import io
import json
import math
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from mutations import ODD, STUDY, answered, damaged, mutated, mutated_lines, tries

import nas
from nas.cli import cli
from nas.results.optuna_copy import write_storage
from nas.results.status import read_overview
from nas.search.launch import find_problem
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import parse, settings_of
from nas.show.console import PlainConsole
from nas.show.front import print_front
from nas.show.status import status_table
from nas.show.trials import print_trials, trial_figures
from nas.store.confirmations import CONFIRMATIONS, Protocol, Replicate
from nas.store.history import EVENTS, TRIALS, History
from nas.store.live import NAME
from nas.store.measurements import MEASUREMENTS, Measurement
from nas.store.records import Status

pytestmark = pytest.mark.fuzz


@pytest.fixture
def run(study: Path, tmp_path: Path) -> Path:
    """A copy of the study that tests may damage."""
    return Path(shutil.copytree(study, tmp_path / "run", dirs_exist_ok=True))


def files(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def check(directory: Path) -> None:
    """Reads a study in every way, then continues it as far as to the next proposal."""
    with answered():
        study = nas.open(directory)
        figures = study.status()
        status_table(figures)
        json.dumps(trial_figures(study, study.records), allow_nan=False)
        assert math.isfinite(figures["hypervolume"])
        assert figures["hypervolume"] >= 0
        assert all(record.status in get_args(Status) for record in study.records)
        for record in study.front:
            assert record.status == "complete"
            assert 0 <= record.measured["accuracy"] <= 1 <= record.measured["macs"] < math.inf
        study.where(study.records, ["macs<=5e6"])
        print_trials(study, study.front, PlainConsole(file=io.StringIO()))
        print_front(study, study.records, PlainConsole(file=io.StringIO(), force_terminal=True))
        if (overview := read_overview(directory)) is not None:
            assert overview.figures(directory)["front_size"] == figures["front_size"]
        for name in {one.name for one in study.measurements}:
            assert all(r.status == "complete" for r in study.with_objectives([name]).front)
        if study.front:
            assert study.pick("knee") in study.front
    before = files(directory)
    refused = True
    with answered():
        problem = find_problem(settings_of(STUDY))
        with History(directory) as history:
            refused = False
            ledger = Ledger(problem, open_sampler(problem), history)
            list(ledger.unfinished())
            ledger.propose()
    if refused:
        after = files(directory)
        assert {name: after[name] for name in before} == before


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@given(data=st.data(), name=st.sampled_from((TRIALS, EVENTS)))
@tries(0.25)
def test_lines_of_a_log(study: Path, run: Path, data: st.DataObject, name: str) -> None:
    shutil.copytree(study, run, dirs_exist_ok=True)
    changed = data.draw(mutated_lines(lines(study / name)))
    (run / name).write_text("".join(json.dumps(line) + "\n" for line in changed))
    check(run)


@given(data=st.data(), name=st.sampled_from((CONFIRMATIONS, MEASUREMENTS)))
@tries(0.15)
def test_lines_of_what_was_found_out_later(study: Path, run: Path, data: st.DataObject, name: str) -> None:
    shutil.copytree(study, run, dirs_exist_ok=True)
    records = nas.open(study).complete[:3]
    replicates = [Replicate(k, Protocol(1), 6, record).to_json() for record in records for k in range(2)]
    measured = [Measurement("auc", r.number, r.key, 0.5, "maximize", "fraction").to_json() for r in records]
    changed = data.draw(mutated_lines(replicates if name == CONFIRMATIONS else measured))
    (run / name).write_text("".join(json.dumps(line) + "\n" for line in changed))
    try:
        check(run)
    finally:
        (run / name).unlink()


@given(data=st.data(), name=st.sampled_from((TRIALS, EVENTS, "study.toml", "lock", "environment.json")))
@tries(0.08)
def test_bytes_of_a_study_directory(study: Path, run: Path, data: st.DataObject, name: str) -> None:
    shutil.copytree(study, run, dirs_exist_ok=True)
    (run / name).write_bytes(data.draw(damaged((study / name).read_bytes())))
    check(run)


@given(data=st.data())
@tries(0.06)
def test_tables_of_a_resolved_study(study: Path, run: Path, data: st.DataObject) -> None:
    shutil.copytree(study, run, dirs_exist_ok=True)
    table = data.draw(mutated(parse((study / "study.toml").read_text())))
    try:
        (run / "study.toml").write_text(tomli_w.dumps(table))
    except (TypeError, ValueError):  # TOML holds no null, no surrogate
        return
    check(run)


@given(data=st.data())
@tries(0.02)
def test_what_runs_at_this_moment(run: Path, data: st.DataObject) -> None:
    live = {"time": 1.0, "running": [{"number": 3, "since": 1.0, "attempt": 1, "epoch": None, "started": True}]}
    (run / NAME).write_text(json.dumps(data.draw(st.one_of(mutated(live), st.sampled_from(ODD)))))
    with History(run), answered():
        study = nas.open(run)
        status_table(study.status())


@given(data=st.data())
@tries(0.02)
def test_a_copy_for_optuna(study: Path, run: Path, tmp_path: Path, data: st.DataObject) -> None:
    shutil.copytree(study, run, dirs_exist_ok=True)
    name = data.draw(st.sampled_from((TRIALS, EVENTS)))
    changed = data.draw(mutated_lines(lines(study / name)))
    (run / name).write_text("".join(json.dumps(line) + "\n" for line in changed))
    with answered():
        write_storage(nas.open(run), tmp_path / "copy.db")


COMMANDS = (
    *("status", "pareto", "pareto --wide", "pareto --all --csv", "pick knee", "pick knee --where dim>=8", "diff 0 1"),
    *("diff --front", "explain", "show 0", "report -o r.html", "optuna -o o.db"),
)


@given(data=st.data(), name=st.sampled_from((TRIALS, EVENTS, "study.toml")), command=st.sampled_from(COMMANDS))
@tries(0.06)
def test_commands(
    study: Path, run: Path, data: st.DataObject, name: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(study, run, dirs_exist_ok=True)
    monkeypatch.chdir(run.parent)
    (run.parent / "o.db").unlink(missing_ok=True)
    if name == "study.toml":
        table = data.draw(mutated(parse((study / name).read_text())))
        try:
            (run / name).write_text(tomli_w.dumps(table))
        except (TypeError, ValueError):
            return
    else:
        (run / name).write_text(
            "".join(json.dumps(line) + "\n" for line in data.draw(mutated_lines(lines(study / name))))
        )
    verb, *options = command.split()
    with answered():
        cli.main([verb, str(run), *options], standalone_mode=False)

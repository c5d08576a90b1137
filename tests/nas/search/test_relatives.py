"""Trials that begin with the weights of others: of whom, that it is recorded and marked, and can be repeated."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tomli_w
import torch
from terminal import run

import nas
from nas.errors import WrongInputError
from nas.export.weights import train_again
from nas.problem import Problem, network_of
from nas.search.ledger import Ledger
from nas.search.relatives import LEAST, Origin, Relatives
from nas.search.samplers import open_sampler
from nas.settings import settings_of
from nas.show.report.data import report_data
from nas.store.artifacts import weights_path
from nas.store.history import History, read_events, read_trials
from nas.store.records import INHERITED, TrialRecord
from nas.trial import Relative, TrialPlan, run_trial
from searchspaces import Architecture, Stage
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.heads import AverageHead
from searchspaces.inheritance import Layout
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem

StudyFile = Callable[..., Path]
TRIALS = 6
CHANGES: dict[str, Any] = {"trials": TRIALS, "training": {"epochs": 1, "inherit": True}}


@pytest.fixture(scope="module")
def inherited(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    """A study whose trials may begin with the weights of others, to be read only."""
    folder = tmp_path_factory.mktemp("inherited")
    (folder / "small.toml").write_text(tomli_w.dumps({**small, **CHANGES}))
    return nas.search(folder / "small.toml", out=folder / "run").directory


@pytest.fixture
def spoilt(inherited: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    shutil.copytree(inherited, tmp_path / "run")
    return tmp_path / "run"


def child_of(directory: Path) -> TrialRecord:
    """The last trial that began with the weights of another."""
    return [record for record in read_trials(directory) if record.inherited][-1]


def network(depth: int, kernel: int = 3, dim: int = 8) -> Architecture:
    return Architecture(
        (1, 8, 8), 10, PatchStem(dim, 2), (Stage(ConvMixerBlock(Depthwise(kernel)), depth),), AverageHead()
    )


def trained(number: int, architecture: Architecture, status: Any = "complete") -> TrialRecord:
    failure: Any = "diverged" if status == "failed" else None
    return TrialRecord(number, status, {}, architecture.to_json(), architecture.key, 0, failure=failure)


def relatives(*records: TrialRecord) -> Relatives:
    found = Relatives()
    for record in records:
        found.add(record)
    return found


def test_the_nearest_relative_is_the_one_that_gives_most_and_of_equal_ones_the_first() -> None:
    far, near = network(2, kernel=5), network(4)
    known = relatives(trained(3, near), trained(2, near), trained(0, far), trained(1, network(4, dim=16)))
    share = Layout.of(network(3)).shared(Layout.of(near))
    assert known.nearest(network(3), lambda number: True) == Origin(2, round(share, 4))
    assert 0 < Layout.of(network(3)).shared(Layout.of(far)) < share


def test_only_complete_trials_whose_weights_are_kept_are_relatives() -> None:
    one = network(2)
    known = relatives(trained(0, one, "failed"), trained(1, one), trained(2, one), trained(3, one, "truncated"))
    assert known.nearest(network(2), lambda number: number != 1).trial == 2
    assert known.nearest(network(2), lambda number: False) == Origin(None, 0.0)
    known.remove(1)
    assert known.nearest(network(2), lambda number: True).trial == 2


def test_who_would_get_little_begins_from_scratch() -> None:
    found = relatives(trained(0, network(2, kernel=15))).nearest(network(2, kernel=13), lambda number: True)
    assert found.trial is None
    assert 0 < found.share < LEAST


def test_a_search_records_what_each_trial_began_with(inherited: Path) -> None:
    records = {record.number: record for record in read_trials(inherited)}
    origins = {e["number"]: e for e in read_events(inherited) if e["event"] == "inherits"}
    assert records[0].inherited is None
    assert origins.keys() == {n for n, record in records.items() if record.status == "complete"}
    begun = [record for record in records.values() if record.inherited]
    assert begun
    for number, event in origins.items():
        found = records[number].inherited
        assert found == (None if event["trial"] is None else {"trial": event["trial"], "share": event["share"]})
    for record in begun:
        assert record.inherited is not None
        relative = records[record.inherited["trial"]]
        assert (relative.status, relative.number < record.number) == ("complete", True)
        share = Layout.of(network_of(record)).shared(Layout.of(network_of(relative)))
        assert record.inherited["share"] == pytest.approx(share, abs=1e-4)
        assert share >= LEAST


def test_values_that_were_trained_are_flagged_and_costs_are_not(inherited: Path) -> None:
    for record in read_trials(inherited):
        words = {name for name in record.measured if INHERITED in record.flags.get(name, [])}
        assert words == ({"accuracy", "robust_accuracy"} if record.inherited else set())


def test_every_face_marks_such_trials(inherited: Path) -> None:
    child = child_of(inherited)
    note = "accuracy may not mean what it says, inherited_weights: trial"
    pick = ("pick", inherited, f"trial:{child.number}")
    for command in (("pareto", inherited, "--all"), ("show", inherited, child.number), pick):
        assert note in run(*command).stdout, command
    beside = run("diff", inherited, 0, child.number).stdout
    assert note in beside
    [row] = [line for line in beside.splitlines() if line.strip(" │|┃").startswith("accuracy")]
    assert row.count("!") == 1
    assert child.inherited is not None
    assert f"began with the weights of trial {child.inherited['trial']}" in run("show", inherited, child.number).stdout
    rows = csv.DictReader(io.StringIO(run("pareto", inherited, "--all", "--csv").stdout))
    flags = {int(row["trial"]): row["flags"] for row in rows}
    assert "accuracy:inherited_weights" in flags[child.number]
    assert not flags[0]
    [shown] = [r for r in json.loads(run("pareto", inherited, "--all", "--json").stdout) if r["number"] == child.number]
    assert shown["inherited"] == child.inherited
    study = nas.open(inherited)
    assert ("!" in study._repr_html_()) == any(record.inherited for record in study.front)
    columns = report_data(study)["trials"]
    assert "accuracy: inherited_weights" in columns["flags"][columns["number"].index(child.number)]
    best = max((r for r in study.complete), key=lambda record: record.measured["accuracy"])
    flagged = json.loads(run("status", inherited, "--json").stdout)["flags"]
    assert ("accuracy" in flagged) == bool(best.inherited)


def plain(records: list[TrialRecord]) -> list[TrialRecord]:
    return [replace(record, seconds={}) for record in records]


def test_a_search_that_was_interrupted_ends_with_the_same_records_and_weights(inherited: Path, tmp_path: Path) -> None:
    study, there = inherited.parent / "small.toml", tmp_path / "run"
    for trials in (2, 3, TRIALS):
        nas.search(study, out=there, trials=trials)
    assert plain(read_trials(there)) == plain(read_trials(inherited))
    for record in read_trials(there):
        if record.status == "complete":
            assert (
                weights_path(there, record.number).read_bytes() == weights_path(inherited, record.number).read_bytes()
            )


def cut(directory: Path, number: int, *, after: str) -> None:
    """Puts a study back to when a trial was running: its last event is the first of the kind ``after``."""
    records = [
        line for line in (directory / "trials.jsonl").read_text().splitlines() if json.loads(line)["number"] < number
    ]
    (directory / "trials.jsonl").write_text("".join(line + "\n" for line in records))
    kept = []
    for line in (directory / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        kept += [line] if event["number"] <= number else []
        if (event["number"], event["event"]) == (number, after):
            break
    (directory / "events.jsonl").write_text("".join(line + "\n" for line in kept))
    for folder in (directory / "artifacts").iterdir():
        if int(folder.name) >= number:
            shutil.rmtree(folder)


@pytest.mark.parametrize("after", ["asked", "inherits", "started"])
def test_a_trial_that_was_killed_begins_with_the_same_relative(inherited: Path, spoilt: Path, after: str) -> None:
    number = child_of(inherited).number
    cut(spoilt, number, after=after)
    nas.search(spoilt / "study.toml")
    assert plain(read_trials(spoilt)) == plain(read_trials(inherited))
    assert weights_path(spoilt, number).read_bytes() == weights_path(inherited, number).read_bytes()


@pytest.mark.parametrize("damage", ["deleted", "cut", "another"])
def test_lost_weights_are_said_and_a_trial_begins_with_others_or_from_scratch(
    inherited: Path, spoilt: Path, damage: str
) -> None:
    child = child_of(inherited)
    assert child.inherited is not None
    relative = child.inherited["trial"]
    cut(spoilt, child.number, after="started")
    path = weights_path(spoilt, relative)
    if damage == "deleted":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        path.write_bytes(safetensors.torch.save({"stem.0.weight": torch.zeros(3)}))
    result = run("search", spoilt / "study.toml")
    assert result.returncode == 0, result.stderr
    said = result.stdout + result.stderr
    assert f"trial {child.number} cannot begin with the weights of trial {relative}, so it begins" in " ".join(
        said.split()
    )
    [again] = [record for record in read_trials(spoilt) if record.number == child.number]
    assert again.status == "complete"
    assert again.inherited is None or again.inherited["trial"] != relative
    last = [e for e in read_events(spoilt) if (e["event"], e["number"]) == ("inherits", child.number)][-1]
    assert last["trial"] == (again.inherited or {"trial": None})["trial"]


def test_weights_that_a_running_trial_began_with_are_not_deleted_to_save_space(inherited: Path, spoilt: Path) -> None:
    child = child_of(inherited)
    assert child.inherited is not None
    cut(spoilt, child.number, after="started")
    lines = [json.loads(line) for line in (spoilt / "trials.jsonl").read_text().splitlines()]
    for line in lines:  # the relative is off the front, so that its weights may go
        if line["number"] == child.inherited["trial"]:
            line["measured"] = {"accuracy": 0.0, "robust_accuracy": 0.0, "macs": 1e9}
    (spoilt / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    nas.search(spoilt / "study.toml", trials=TRIALS, set=["limits.artifacts_gb=0"])
    [again] = [record for record in read_trials(spoilt) if record.number == child.number]
    assert again.inherited == child.inherited
    assert not weights_path(spoilt, child.inherited["trial"]).exists()  # once the trial has ended


def test_an_inheriting_trial_is_trained_again_to_the_same_bits(inherited: Path, spoilt: Path) -> None:
    child = child_of(inherited)
    path = weights_path(spoilt, child.number)
    before = path.read_bytes()
    path.unlink()
    said = list[str]()
    study = nas.open(spoilt)
    train_again(spoilt, study.settings, child, say=said.append)
    assert child.inherited is not None
    assert f"with the weights of trial {child.inherited['trial']}" in said[0]
    assert path.read_bytes() == before


def test_without_the_weights_of_its_relative_it_is_not_trained_again(inherited: Path, spoilt: Path) -> None:
    child, study = child_of(inherited), nas.open(spoilt)
    assert child.inherited is not None
    for number in (child.number, child.inherited["trial"]):
        weights_path(spoilt, number).unlink()
    again = rf"began with the weights of trial .* --pick trial:{child.inherited['trial']} --retrain"
    with pytest.raises(WrongInputError, match=again):
        train_again(spoilt, study.settings, child, say=lambda _: None)


def test_a_training_that_was_saved_goes_on_bit_for_bit_and_one_of_another_beginning_does_not(inherited: Path) -> None:
    child, study = child_of(inherited), nas.open(inherited)
    one = Problem.of(study.settings)
    assert child.inherited is not None
    relative = study.trial(child.inherited["trial"])
    plan = TrialPlan.of(study.settings, network_of(child), trainer=one.trainer, objectives={}, seed=child.seed)
    given = Relative(relative.architecture, weights_path(inherited, relative.number).read_bytes())
    plan = replace(plan, inherited=child.inherited, relative=given, checkpoint_seconds=1e-9)

    def trained_to(plan: TrialPlan) -> tuple[bytes | None, list[bytes]]:
        saved = list[bytes]()
        return run_trial(plan, one.data, checkpoints=plan.checkpoints(saved.append)).weights, saved

    weights, saved = trained_to(plan)
    assert weights == weights_path(inherited, child.number).read_bytes()
    rest = trained_to(replace(plan, checkpoint=saved[-1]))
    assert (rest[0], len(rest[1]) < len(saved)) == (weights, True)
    fresh = replace(plan, inherited=None, relative=None)
    assert len(trained_to(replace(fresh, checkpoint=saved[-1]))[1]) == len(saved)


def test_an_export_says_what_its_training_began_with(inherited: Path, tmp_path: Path) -> None:
    child = child_of(inherited)
    nas.open(inherited).export(f"trial:{child.number}", tmp_path / "out")
    assert child.inherited is not None
    card = (tmp_path / "out/README.md").read_text()
    assert f"began with the weights of trial {child.inherited['trial']} of the study" in card
    assert json.loads((tmp_path / "out/origin.json").read_text())["trial"]["inherited"] == child.inherited


def test_replicates_begin_from_scratch_and_are_compared_among_themselves(spoilt: Path) -> None:
    result = run("confirm", spoilt, "--budget", 2, "--seeds", 1)
    assert result.returncode == 0, result.stderr
    assert "replicates begin from scratch" in result.stderr
    study = nas.open(spoilt)
    again = [one.record for one in study.replicates]
    assert again
    assert all(record.inherited is None and not record.flags for record in again)
    assert study.confirmation is not None
    assert {r.number for r in study.confirmation.records} == {record.number for record in again}


@pytest.mark.parametrize(
    ("search", "what"),
    [({"rungs": {"epochs": [1, 2]}}, r"\[search.rungs\]"), ({"replicates": True}, "search.replicates")],
)
def test_a_network_is_trained_once_only(small: dict[str, Any], search: dict[str, Any], what: str) -> None:
    table = {**small, "training": {"epochs": 2, "inherit": True}, "search": search}
    with pytest.raises(WrongInputError, match=f"training.inherit does not go with {what}"):
        Problem.of(settings_of(table))


def test_training_one_network_has_no_relatives(tmp_path: Path, inherited: Path) -> None:
    given = ("--data", "digits", "--epochs", 1, "--set", "data.limit=100", "--set", "training.inherit=true")
    result = run("train", f"{inherited}#0", *given, "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "training.inherit is for a search" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_setting_cannot_change_when_a_study_goes_on(spoilt: Path) -> None:
    result = run("search", spoilt / "study.toml", "--set", "training.inherit=false")
    assert result.returncode == 2
    assert "training.inherit was True, now False" in result.stderr


@pytest.mark.parametrize("relative", [99, "itself"])
def test_a_relative_that_did_not_end_before_is_a_damaged_log(inherited: Path, spoilt: Path, relative: Any) -> None:
    child = child_of(inherited)
    origin = {"trial": child.number if relative == "itself" else relative, "share": 0.5}
    lines = [json.loads(line) for line in (spoilt / "trials.jsonl").read_text().splitlines()]
    changed = [{**line, "inherited": origin} if line["number"] == child.number else line for line in lines]
    (spoilt / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
    with pytest.raises(WrongInputError, match="is no complete trial before it"):
        nas.open(spoilt)


@pytest.mark.parametrize("inherited_", [7, {}, {"trial": -1, "share": 0.5}, {"trial": 0, "share": 2}, {"trial": 0}])
def test_an_origin_is_checked_when_it_is_read(spoilt: Path, inherited_: Any) -> None:
    first, *rest = (spoilt / "trials.jsonl").read_text().splitlines()
    changed = json.dumps({**json.loads(first), "inherited": inherited_})
    (spoilt / "trials.jsonl").write_text("\n".join([changed, *rest]) + "\n")
    with pytest.raises(WrongInputError, match="inherited must be an object of a trial and a share"):
        nas.open(spoilt)


def test_off_nothing_is_noted_and_nothing_changes(searched: Path) -> None:
    assert not [event for event in read_events(searched) if event["event"] == "inherits"]
    assert not [record for record in read_trials(searched) if record.inherited]


def test_trials_in_flight_begin_with_what_had_ended_when_they_were_asked_for(
    small: dict[str, Any], tmp_path: Path
) -> None:
    one = Problem.of(settings_of({**small, **CHANGES}))
    with History(tmp_path) as history:
        ledger = Ledger(one, open_sampler(one), history)
        first, *others = [plan for _ in range(6) if (plan := ledger.propose()) is not None]
        measured = {**first.measured, "accuracy": 0.5, "robust_accuracy": 0.5}
        weights_path(tmp_path, first.number).parent.mkdir(parents=True)
        weights_path(tmp_path, first.number).touch()
        ledger.book(first.record("complete", measured=measured))
        known = relatives(*history.records)
        assert any(
            known.nearest(Architecture.from_json(p.architecture), lambda n: True).trial is not None for p in others
        )
    with History(tmp_path) as history:
        again = list(Ledger(one, open_sampler(one), history).unfinished())
    assert [(plan.number, plan.inherited) for plan in again] == [(plan.number, None) for plan in others]

"""Short trainings first: who trains on, what is recorded of it, and that nothing of it depends on interruptions."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nas
from nas.cli import cli
from nas.errors import WrongInputError
from nas.search.ledger import Ledger
from nas.search.rungs import Rungs
from nas.search.samplers import open_sampler
from nas.search.samplers.sampler import Believer
from nas.settings import RungSettings, SearchSettings, settings_of
from nas.store.history import History
from nas.store.records import TrialRecord
from nas.testing.samplers import small_problem
from nas.trial import TrialPlan

StudyFile = Callable[..., Path]
RUNGS = RungSettings([1, 3, 9])


def record(number: int, epochs: int, accuracy: float, key: str | None = None) -> TrialRecord:
    status: Any = "complete" if epochs == 9 else "truncated"
    measured = {"accuracy": accuracy, "macs": 100.0}
    name = key or str(number)
    return TrialRecord(number, status, {}, {}, name, 0, fidelity={"epochs": epochs}, measured=measured)


def ended(rungs: Rungs, one: TrialRecord, *, promoted: bool = False) -> None:
    rungs.begin(rungs.of(one), one.key, promoted=promoted)
    rungs.end(one)


def test_every_third_of_a_rung_goes_on_where_the_next_is_three_times_as_long() -> None:
    rungs = Rungs(RUNGS)
    for number in range(5):
        assert [rung for rung, _ in rungs.waiting()] == ([0] if number >= 3 else [])
        ended(rungs, record(number, 1, 0.5))
    rungs.begin(1, "0", promoted=True)
    assert not list(rungs.waiting())
    ended(rungs, record(5, 1, 0.5))
    [(rung, left)] = rungs.waiting()
    assert (rung, [each.key for each in left]) == (0, ["1", "2", "3", "4", "5"])


def test_the_highest_rung_comes_first_and_what_failed_goes_no_further() -> None:
    rungs = Rungs(RUNGS)
    for number in range(9):
        ended(rungs, record(number, 1, 0.5))
    for number in range(3):
        ended(rungs, record(20 + number, 3, 0.6, str(number)), promoted=True)
    ended(rungs, replace(record(30, 1, 0.5), status="failed", failure="diverged"))
    assert [(rung, len(left)) for rung, left in rungs.waiting()] == [(1, 3)]
    assert [(rung, len(left)) for rung, left in rungs.waiting(all_of_them=True)] == [(1, 3), (0, 6)]


def test_ranks_are_those_among_all_of_the_rung() -> None:
    rungs = Rungs(RUNGS)
    goals = {"accuracy": nas.testing.samplers.small_problem(SearchSettings()).goals["accuracy"]}
    trials = [record(number, 1, accuracy) for number, accuracy in enumerate((0.5, 0.9, 0.7))]
    for each in trials:
        ended(rungs, each)
    assert rungs.ranks(0, trials[:2], goals).tolist() == [pytest.approx(1 / 3), 1]


def test_brackets_spend_as_much_as_each_other() -> None:
    rungs, begun = Rungs(RungSettings([1, 3, 9], brackets=3)), Counter[int]()
    for _ in range(170):
        begun[rungs.first()] += 1
        rungs.begin(rungs.first(), "", promoted=False)
    spent = [begun[i] * RUNGS.epochs[i] * (3 - i) for i in range(3)]
    assert max(spent) - min(spent) <= 9


def problem(sampler: str, form: str = "whole") -> nas.problem.Problem:
    one = small_problem(SearchSettings(sampler))
    rungs = {"epochs": [1, 3, 10], "form": form}
    return nas.problem.Problem.of(settings_of({**one.settings.table(), "search": {"sampler": sampler, "rungs": rungs}}))


def measured(one: nas.problem.Problem, plan: TrialPlan) -> TrialRecord:
    """How a trial ends, without training: the longer it is, the better and the less subject to luck."""
    luck = Random(plan.number).gauss(0, 0.05 / plan.epochs)
    good = [plan.picks["s1.kernel"], plan.picks["s2.kernel"]].count(5) + int(plan.picks["depth"]) / 10
    value = 0.1 + 0.02 * plan.epochs + good / 8 + luck
    values = plan.measured | {"accuracy": value + 0.1, "robust_accuracy": value}
    return plan.record("complete" if plan.whole else "truncated", measured=values)


def kept(ledger: Ledger, trials: int, *, flight: int = 1) -> None:
    """Searches without training; several trials are in flight, of which the oldest ends first."""
    before = ledger.standing.ended
    while ledger.standing.ended - before < trials and not ledger.end:
        while len(ledger.pending) < flight and not ledger.end:
            ledger.propose()
        if ledger.pending:
            ledger.book(measured(ledger.problem, ledger.pending[min(ledger.pending)]))


@pytest.mark.parametrize("sampler", ["front", "random", "tpe"])
def test_a_third_goes_on_and_the_front_is_of_whole_trainings(sampler: str, tmp_path: Path) -> None:
    one = problem(sampler)
    with History(tmp_path) as history:
        ledger = Ledger(one, open_sampler(one), history)
        kept(ledger, 24, flight=3)
        counts = Counter(r.fidelity["epochs"] for r in history.records if r.status in ("complete", "truncated"))
        assert counts[1] > counts[3] > counts[10] > 0
        assert {r.status for r in history.records if r.fidelity["epochs"] < 10} <= {"truncated", "infeasible"}
        assert {r.fidelity["epochs"] for r in ledger.standing.front} == {10}
        networks = Counter((r.key, r.fidelity["epochs"]) for r in history.records)
        assert set(networks.values()) == {1}
        by_number = {r.number: r for r in history.records}
        for promoted in (r for r in history.records if r.source == "promotion"):
            before = by_number[promoted.continues or 0]
            assert before.key == promoted.key
            assert before.fidelity["epochs"] < promoted.fidelity["epochs"]
            assert before.seed != promoted.seed


@pytest.mark.parametrize(
    ("limit", "flight", "least"),
    [({"trials": 10}, 1, 2), ({"trials": 40}, 3, 9), ({"trials": 1000, "limits": {"epochs": 50}}, 4, 8)],
)
def test_the_end_of_a_search_is_for_networks_that_have_begun(
    limit: dict[str, Any], flight: int, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = problem("front").settings.table()
    search = {"sampler": "front", "rungs": {"epochs": [1, 3]}}
    training = {**table["training"], "epochs": 3}
    one = nas.problem.Problem.of(settings_of({**table, "search": search, "training": training, **limit}))
    whole = []
    for folder in (tmp_path / "as it is", tmp_path / "without an end"):
        folder.mkdir()
        with History(folder) as history:
            ledger = Ledger(one, open_sampler(one), history)
            kept(ledger, one.settings.trials, flight=flight)
            counts = Counter(r.status for r in history.records)
            spent = sum(record.length for record in history.records if record.status != "infeasible")
            assert ledger.standing.ended == limit["trials"] or 50 <= spent < 50 + 3 * flight
            whole.append(counts["complete"])
        monkeypatch.setattr(Ledger, "_is_closing", lambda *arguments: False)
    assert whole[0] >= max(least, counts["truncated"] // 4)
    assert whole[0] > whole[1] or limit["trials"] > 10  # the first ten are spread over the costs, without a belief


def test_a_longer_training_is_for_the_network_that_promises_most_for_each_epoch(tmp_path: Path) -> None:
    one = problem("front")
    sampler = open_sampler(one)
    assert isinstance(sampler, Believer)
    with History(tmp_path) as history:
        ledger = Ledger(one, sampler, history)
        kept(ledger, 22)
        shorts = [r for r in history.records if r.status == "truncated"]
        proposal = sampler.ask(1000, 0)
        best = sampler.go_on(shorts, [9.0] * len(shorts), None, 14.0)
        assert best is not None
        # What is all but done is worth it, what takes for ever is not; and of two alike the cheaper one is.
        cheap, dear = [1e-9] * len(shorts), [1e9] * len(shorts)
        assert sampler.go_on(shorts, cheap, proposal, 14.0) == best
        assert sampler.go_on(shorts, dear, proposal, 14.0) is None
        others = [1e9 if record is best else 9.0 for record in shorts]
        assert sampler.go_on(shorts, others, None, 14.0) not in (None, best)
        assert sampler.go_on([], [], proposal, 14.0) is None


@pytest.mark.parametrize("sampler", ["front", "random"])
def test_a_study_that_was_interrupted_goes_on_as_it_would_have(sampler: str, tmp_path: Path) -> None:
    one, seen = problem(sampler), []
    for parts in ([20], [7, 1, 12]):
        folder = tmp_path / str(len(parts))
        folder.mkdir()
        for trials in parts:
            with History(folder) as history:
                kept(Ledger(one, open_sampler(one), history), trials)
                found = [(r.picks, r.source, r.continues, r.seed, r.fidelity) for r in history.records]
        seen.append(found)
    assert seen[0] == seen[1]


def test_trials_that_were_running_are_asked_for_again_on_their_rungs(tmp_path: Path) -> None:
    one = problem("front")
    with History(tmp_path) as history:
        ledger = Ledger(one, open_sampler(one), history)
        kept(ledger, 12, flight=3)
        running = {n: (p.key, p.epochs, p.continues, p.seed) for n, p in ledger.pending.items()}
    with History(tmp_path) as history:
        again = {
            p.number: (p.key, p.epochs, p.continues, p.seed)
            for p in Ledger(one, open_sampler(one), history).unfinished()
        }
    assert again == running


def test_where_every_network_was_tried_the_rest_trains_on(tmp_path: Path) -> None:
    table = {**problem("random").settings.table(), "bounds": {}, "reference": {}}
    table["space"] = {"kind": "convmixer", "choices": {"dim": [8], "patch": [2], "kernel": [3, 5], "depth": [1]}}
    one = nas.problem.Problem.of(settings_of({**table, "trials": 1000}))
    with History(tmp_path) as history:
        ledger = Ledger(one, open_sampler(one), history)
        kept(ledger, 1000)
        trained = Counter(r.fidelity["epochs"] for r in history.records if r.status in ("complete", "truncated"))
        assert ledger.end == "every architecture of the space has been tried; the study ends here."
        assert trained[1] == trained[3] == trained[10]


def test_a_continued_training_is_the_whole_one_bit_for_bit(study_file: StudyFile, tmp_path: Path) -> None:
    rungs = {"epochs": [1, 2, 3], "form": "continued"}
    training = {"epochs": 3, "batch_size": 32}
    path = study_file(trials=8, training=training, search={"sampler": "random", "rungs": rungs})
    study = nas.search(path, out=tmp_path / "run")
    [whole, *_] = [r for r in study.records if r.status == "complete"]
    assert whole.continues is not None
    first = next(r for r in study.records if r.key == whole.key)
    assert (first.seed, first.fidelity) == (whole.seed, {"epochs": 1, "of": 3})
    alone = nas.search(
        study_file(trials=8, training=training, search={"sampler": "random"}), out=tmp_path / "alone", trials=1
    )
    again = nas.trial.run_trial(
        replace(
            TrialPlan.of(
                alone.settings,
                nas.problem.network_of(whole),
                trainer=nas.problem.find_trainer(study.settings),
                objectives=nas.problem.find_objectives(study.settings),
                seed=whole.seed,
            )
        ),
        nas.problem.Problem.of(study.settings).data,
    )
    assert again.record.measured == {n: whole.measured[n] for n in again.record.measured}
    assert again.weights == (study.directory / f"artifacts/{whole.number}/weights.safetensors").read_bytes()


def test_checkpoints_stay_while_a_training_may_go_on(study_file: StudyFile, tmp_path: Path) -> None:
    rungs = {"epochs": [1, 2], "form": "continued"}
    path = study_file(training={"epochs": 2}, search={"sampler": "random", "rungs": rungs})
    for trials in (3, 6):  # the second run sweeps the folder first
        study = nas.search(path, out=tmp_path / "run", trials=trials)
    let_on = {r.continues for r in study.records}
    paused = {r.number for r in study.records if r.status == "truncated" and r.number not in let_on}
    files = {int(file.parent.name) for file in study.directory.glob("artifacts/*/checkpoint.safetensors")}
    assert files == paused


@pytest.mark.parametrize(
    ("rungs", "reason"),
    [
        ({"epochs": [2]}, "at least two"),
        ({"epochs": [3, 1]}, "ascending"),
        ({"epochs": [0, 2]}, "from 1"),
        ({"epochs": [1, 3]}, "must end with training.epochs = 2"),
        ({"epochs": [1, 2], "brackets": 3}, "brackets"),
        ({"epochs": [1, 2], "form": "half"}, "whole"),
        ({"epoch": [1, 2]}, "epochs"),
        ({"epochs": [1, 2], "data": [0.5]}, "for each of the 2 rungs"),
        ({"epochs": [1, 2], "data": [0, 1]}, r"in \(0, 1\]"),
        ({"epochs": [1, 2], "data": [0.5, 0.9]}, "up to 1"),
        ({"epochs": [1, 1, 2], "data": [0.9, 0.5, 1]}, "ascending"),
        ({"epochs": [1, 2, 2], "data": [0.5, 1, 1]}, "longer or on more data"),
        ({"epochs": [2, 1], "data": [0.5, 1]}, "ascending"),
        ({"epochs": [1, 2], "data": [0.5, 1], "form": "continued"}, "left out"),
        ({"epochs": [1, 2], "data": 0.5}, "data"),
        ([1, 2], "must be a table"),
    ],
)
def test_wrong_rungs_are_refused_with_what_must_hold(
    study_file: StudyFile, tmp_path: Path, rungs: Any, reason: str
) -> None:
    with pytest.raises(WrongInputError, match=reason):
        nas.search(study_file(training={"epochs": 2}, search={"rungs": rungs}), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_limit_on_epochs_ends_the_search(study_file: StudyFile, tmp_path: Path) -> None:
    path = study_file(trials=50, training={"epochs": 2}, limits={"epochs": 5}, search={"rungs": {"epochs": [1, 2]}})
    study = nas.search(path, out=tmp_path / "run")
    spent = np.cumsum([record.fidelity["epochs"] for record in study.records if record.status != "infeasible"])
    assert spent[-1] >= 5 > spent[-2]


def test_a_rung_may_train_on_a_part_of_the_data(study_file: StudyFile, tmp_path: Path) -> None:
    rungs = {"epochs": [2, 2], "data": [0.25, 1]}
    training = {"epochs": 2, "batch_size": 8}
    path = study_file(trials=50, training=training, limits={"epochs": 6}, search={"rungs": rungs})
    study = nas.search(path, out=tmp_path / "run")
    trained = [record for record in study.records if record.status in ("complete", "truncated")]
    assert {(r.status, r.state, json.dumps(r.fidelity)) for r in trained} == {
        ("truncated", "truncated at 2 on 25% of the data", '{"epochs": 2, "data": 0.25}'),
        ("complete", "complete", '{"epochs": 2}'),
    }
    lengths = np.cumsum([2 if record.status == "complete" else 0.5 for record in trained])
    assert lengths[-1] >= 6 > lengths[-2]
    [short, *_] = [record for record in trained if record.status == "truncated"]
    data = nas.problem.Problem.of(study.settings).data
    plan = TrialPlan.of(
        study.settings,
        nas.problem.network_of(short),
        trainer=nas.problem.find_trainer(study.settings),
        objectives=nas.problem.find_objectives(study.settings),
        seed=short.seed,
    )
    part = nas.trial.run_trial(plan, data.with_share(0.25, study.settings.data.part_seed)).record
    whole = nas.trial.run_trial(plan, data).record
    assert part.measured == {name: short.measured[name] for name in part.measured} != whole.measured


def test_tables_say_for_how_long_a_network_was_trained(study_file: StudyFile, tmp_path: Path) -> None:
    path = study_file(trials=4, training={"epochs": 2}, search={"sampler": "random", "rungs": {"epochs": [1, 2]}})
    study = nas.search(path, out=tmp_path / "run")
    assert {record.state for record in study.records} == {"truncated at 1", "complete"}
    shown = CliRunner().invoke(cli, ["pareto", str(study.directory), "--all"]).output
    assert "truncated at 1" in shown


def test_the_asked_events_name_the_rung(study_file: StudyFile, tmp_path: Path) -> None:
    path = study_file(trials=4, training={"epochs": 2}, search={"sampler": "random", "rungs": {"epochs": [1, 2]}})
    study = nas.search(path, out=tmp_path / "run")
    events = [json.loads(line) for line in (study.directory / "events.jsonl").read_text().splitlines()]
    asked = [event for event in events if event["event"] == "asked"]
    assert {event["rung"] for event in asked} == {0, 1}
    assert all(("continues" in event) == (event["rung"] == 1) for event in asked)

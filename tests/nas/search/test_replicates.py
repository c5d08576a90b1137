"""Networks of the front that a search trains again, where that is worth more than a new one."""

import json
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest

import nas
from nas.errors import WrongInputError
from nas.search.ledger import Ledger
from nas.search.samplers import open_sampler
from nas.settings import SearchSettings, settings_of
from nas.store.history import History
from nas.store.records import TrialRecord
from nas.testing.samplers import small_problem
from nas.trial import TrialPlan


def problem(*, replicates: bool = True, sampler: str = "front") -> nas.problem.Problem:
    table = small_problem(SearchSettings()).settings.table()
    # Eight networks: when all have been trained, only repetitions are left.
    choices = {"dim": [8, 16], "patch": [2], "kernel": [3, 5], "depth": [2], "freeze": ["full"], "dilation": [1]}
    space = {"kind": "convmixer", "choices": {**choices, "groups": [1]}}
    search = {"sampler": sampler, "replicates": replicates}
    return nas.problem.Problem.of(
        settings_of({**table, "space": space, "reference": {}, "search": search, "trials": 200})
    )


def measured(plan: TrialPlan) -> TrialRecord:
    """How a trial ends, without training: luck decides as much as the network."""
    luck = Random(plan.number).gauss(0, 0.08)
    good = [plan.picks["s1.kernel"], plan.picks["s2.kernel"]].count(5) / 8
    return plan.record("complete", measured=plan.measured | {"accuracy": 0.5 + good + luck, "robust_accuracy": 0.4})


def kept(ledger: Ledger, trials: int) -> None:
    for _ in range(trials):
        if ledger.end:
            return
        plan = ledger.propose()
        if plan is not None:
            ledger.book(measured(plan))


def records(folder: Path, parts: list[int], *, replicates: bool = True) -> list[TrialRecord]:
    one = problem(replicates=replicates)
    folder.mkdir()
    for trials in parts:
        with History(folder) as history:
            kept(Ledger(one, open_sampler(one), history), trials)
            found = list(history.records)
    return found


def test_a_search_repeats_members_of_the_front_where_luck_decides(tmp_path: Path) -> None:
    found = records(tmp_path / "run", [25])
    again = [record for record in found if record.repeats is not None]
    assert again
    by_number = {record.number: record for record in found}
    for record in again:
        first = by_number[record.repeats or 0]
        assert (record.key, record.source, first.repeats) == (first.key, "replicate", None)
        assert record.seed != first.seed
    assert not [record for record in found if record.status == "duplicate"]


def test_without_the_setting_none_is_repeated(tmp_path: Path) -> None:
    assert not [record for record in records(tmp_path / "run", [12], replicates=False) if record.repeats is not None]


def test_an_interrupted_search_repeats_what_it_would_have(tmp_path: Path) -> None:
    whole, parts = records(tmp_path / "whole", [25]), records(tmp_path / "parts", [12, 9, 4])
    assert any(r.repeats is not None for r in whole[:21])
    assert [(r.key, r.repeats, r.seed) for r in whole] == [(r.key, r.repeats, r.seed) for r in parts]


def test_a_value_is_the_mean_of_the_repetitions_and_says_so(study_file, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    space = {"kind": "convmixer", "choices": {"dim": [8], "patch": [2], "kernel": [3, 5], "depth": [1]}}
    path = study_file(trials=8, space=space, search={"replicates": True})
    study = nas.search(path, out=tmp_path / "run")
    again = [record for record in study.records if record.repeats is not None]
    assert again
    assert study.confirmation is not None
    number = again[0].repeats or 0
    values = [record.measured["accuracy"] for record in again if record.repeats == number]
    found = study.confirmation.value(number, "accuracy")
    assert found is not None
    assert (found.n, float(found)) == (len(values), pytest.approx(np.mean(values)))
    assert not {record.number for record in study.front} & {record.number for record in again}


@pytest.mark.parametrize("sampler", ["random", "tpe", "evolution"])
def test_a_sampler_that_cannot_weigh_a_repetition_is_refused(sampler: str) -> None:
    with pytest.raises(WrongInputError, match="replicates needs a sampler"):
        open_sampler(problem(sampler=sampler))


@pytest.mark.parametrize("first", [999, 2, 1, 0])
def test_a_repetition_of_nothing_is_a_damaged_log(first: int, searched: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    *lines, last = (run / "trials.jsonl").read_text().splitlines()
    (run / "trials.jsonl").write_text("\n".join([*lines, json.dumps({**json.loads(last), "repeats": first})]) + "\n")
    with pytest.raises(WrongInputError, match=r"line 3 is damaged \(it repeats trial"):
        nas.open(run)

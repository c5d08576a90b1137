"""The order in which a search proposes, hands out and books."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

import nas
from nas.search.executors.executor import EXECUTORS
from nas.search.ledger import Ledger
from nas.settings import ExecutionSettings
from nas.trial import TrialOutcome, TrialPlan, run_trial
from trainers import TrainingData

StudyFile = Callable[..., Path]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to trials; ``in_turn`` runs them in this process, the first of those that are there when asked."""
    happened = list[str]()

    class InTurn:
        isolated = False

        def __init__(self, data: TrainingData, settings: ExecutionSettings, listener: Any) -> None:
            self.data, self.slots, self.plans = data, settings.workers, list[TrialPlan]()

        def submit(self, plan: TrialPlan) -> None:
            happened.append("submit")
            self.plans.append(plan)
            assert len(self.plans) <= self.slots

        def wait(self) -> TrialOutcome | None:
            happened.append("wait")
            return run_trial(self.plans.pop(0), self.data)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def propose(ledger: Ledger, before: Callable[[Ledger], TrialPlan | None] = Ledger.propose) -> TrialPlan | None:
        happened.append("propose")
        return before(ledger)

    monkeypatch.setitem(EXECUTORS, "in_turn", InTurn)
    monkeypatch.setattr(Ledger, "propose", propose)
    return happened


def test_no_worker_waits_for_the_sampler_once_all_are_busy(
    study_file: StudyFile, tmp_path: Path, told: list[str]
) -> None:
    path = study_file(trials=6, execution={"kind": "in_turn", "workers": 2})
    study = nas.search(path, out=tmp_path / "run")
    assert len(study.complete) == 6
    first, *later = " ".join(told).split("wait")
    assert first.split() == ["propose", "submit", "propose", "submit", "propose"]
    assert [each.split()[:1] for each in later] == [["submit"]] * 4 + [[]] * 2
    assert told.count("propose") == 6


def test_one_worker_gets_proposals_that_know_all_before_them(
    study_file: StudyFile, tmp_path: Path, told: list[str]
) -> None:
    nas.search(study_file(trials=3, execution={"kind": "in_turn", "workers": 1}), out=tmp_path / "run")
    assert told == ["propose", "submit", "wait"] * 3


def test_what_was_proposed_ahead_is_the_first_to_run_when_the_study_goes_on(
    study_file: StudyFile, tmp_path: Path, told: list[str]
) -> None:
    changes: dict[str, Any] = {"trials": 8, "execution": {"kind": "in_turn", "workers": 2}}
    ended = nas.search(study_file(**changes, limits={"epochs": 4}), out=tmp_path / "run")
    assert len(ended.complete) == 5  # one was running when the fourth had ended; the one ahead was not begun
    whole = nas.search(study_file(**changes, limits={}), out=tmp_path / "run")
    assert sorted(record.number for record in whole.records) == list(range(8))
    assert [record.number for record in whole.records].index(5) == 5

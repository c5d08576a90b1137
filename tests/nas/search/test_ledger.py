"""What the ledger makes of proposals that repeat an earlier one."""

from pathlib import Path
from random import Random

import pytest

from nas.search.ledger import Ledger, _neighbours
from nas.search.samplers import Proposal, open_sampler
from nas.settings import SearchSettings
from nas.store.history import History
from nas.testing.samplers import ended, small_problem
from searchspaces import Choice


def kept(ledger: Ledger, trials: int) -> None:
    """Searches without training."""
    for _ in range(trials):
        plan = ledger.propose()
        if plan is not None:
            ledger.book(ended(ledger.problem, plan.number, Proposal(plan.picks)))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3"])
def test_a_sampler_that_repeats_itself_gets_the_nearest_network_that_was_not_tried(
    sampler: str, tmp_path: Path
) -> None:
    options = {"population_size": 4} if "nsga" in sampler else {}
    problem = small_problem(SearchSettings(sampler, options))
    with History(tmp_path) as history:
        kept(Ledger(problem, open_sampler(problem), history), 60)
        sources = [record.source for record in history.records]
        assert "neighbour" in sources
        assert "uniform" not in sources
        assert not [record for record in history.records if record.status == "duplicate"]
        assert all((record.draws > 1) == (record.source != "sampler") for record in history.records)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_study_whose_proposals_were_changed_goes_on_as_it_would_have(sampler: str, tmp_path: Path) -> None:
    options = {"population_size": 4} if "nsga" in sampler else {}
    problem = small_problem(SearchSettings(sampler, options))
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    with History(tmp_path / "whole") as history:
        kept(Ledger(problem, open_sampler(problem), history), 40)
        whole = [(record.picks, record.source, record.draws) for record in history.records]
    for _ in range(4):
        with History(tmp_path / "parts") as history:
            kept(Ledger(problem, open_sampler(problem), history), 10)
            parts = [(record.picks, record.source, record.draws) for record in history.records]
    assert parts == whole


def test_neighbours_are_those_of_one_change_then_of_two() -> None:
    choices = [Choice("a", (1, 2, 3), (1, 2, 3), ""), Choice("b", ("x", "y"), ("x", "y"), "")]
    found = list(_neighbours({"a": 1, "b": "x"}, choices, Random(0)))
    assert sorted(map(str, found[:3])) == sorted(map(str, ({"a": 2, "b": "x"}, {"a": 3, "b": "x"}, {"a": 1, "b": "y"})))
    assert {"a": 3, "b": "y"} in found
    assert list(_neighbours({"a": 1, "b": "x"}, [choices[1]], Random(0))) == [{"a": 1, "b": "y"}]

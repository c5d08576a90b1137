"""The contract of samplers."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import pytest

from nas.problem import Problem
from nas.search.samplers import Proposal, Sampler, open_sampler
from nas.settings import SearchSettings, settings_of
from nas.store.records import Failure, TrialRecord


def small_problem(search: SearchSettings, seed: int = 0) -> Problem:
    """A small problem of three objectives and a bound."""
    table: dict[str, Any] = {
        "name": "contract",
        "seed": seed,
        "objectives": ["accuracy", "robust_accuracy", "macs"],
        "space": {"kind": "convmixer", "choices": {"dim": [8, 16, 32], "patch": [2], "kernel": [3, 5]}},
        "bounds": {"macs": 60_000.0},
        "data": {"name": "digits", "limit": 100},
        "search": {"sampler": search.sampler, "options": search.options},
    }
    return Problem.of(settings_of(table))


def ended(problem: Problem, number: int, proposal: Proposal) -> TrialRecord:
    """How the trial of a proposal ends, without training: better with kernel 5, infeasible beyond the bound."""
    architecture = problem.space.decode(proposal.picks)
    measured, _ = problem.probe.measure(architecture)
    violations = problem.probe.violations(measured)
    if not violations:
        good = [proposal.picks["s1.kernel"], proposal.picks["s2.kernel"]].count(5) + int(proposal.picks["depth"]) / 10
        measured |= {"accuracy": 0.2 + good / 5, "robust_accuracy": 0.1 + good / 8}
    return TrialRecord(
        number=number,
        status="infeasible" if violations else "complete",
        picks=proposal.picks,
        architecture=architecture.to_json(),
        key=architecture.key,
        seed=number,
        measured=measured,
        violations=violations,
    )


def searched(sampler: Sampler, problem: Problem, numbers: Sequence[int]) -> list[tuple[Proposal, TrialRecord]]:
    """Proposals for these trials, each told how it ended before the next is asked for."""
    trials = []
    for number in numbers:
        proposal = sampler.ask(number, 0)
        record = ended(problem, number, proposal)
        sampler.tell(proposal, record)
        trials.append((proposal, record))
    return trials


def repeated(sampler: Sampler, trials: Sequence[tuple[Proposal, TrialRecord]]) -> Sampler:
    """The sampler after it has learned these trials from a log."""
    for proposal, record in trials:
        sampler.replay(record, proposal.memory)
    return sampler


class SamplerContract:
    """What every sampler keeps to; parametrise it with ``search``: `SearchSettings` with its name and options."""

    def test_proposals_are_assignments_of_the_space(self, search: SearchSettings) -> None:
        one = small_problem(search)
        for proposal, record in searched(open_sampler(one), one, range(12)):
            assert one.space.decode(proposal.picks).key == record.key

    def test_the_same_log_leads_to_the_same_proposal(self, search: SearchSettings) -> None:
        one = small_problem(search)
        first, second = (searched(open_sampler(one), one, range(12)) for _ in range(2))
        assert [proposal.picks for proposal, _ in first] == [proposal.picks for proposal, _ in second]

    @pytest.mark.parametrize("finished", [1, 6, 11])
    def test_a_study_that_was_interrupted_proposes_what_an_uninterrupted_one_would(
        self, search: SearchSettings, finished: int
    ) -> None:
        one = small_problem(search)
        whole = searched(open_sampler(one), one, range(13))
        resumed = repeated(open_sampler(one), whole[:finished])
        rest = searched(resumed, one, range(finished, 13))
        assert [proposal.picks for proposal, _ in rest] == [proposal.picks for proposal, _ in whole[finished:]]

    def test_another_draw_proposes_something_else(self, search: SearchSettings) -> None:
        one = small_problem(search)
        sampler = repeated(open_sampler(one), searched(open_sampler(one), one, range(12)))
        proposals = []
        for draw in range(6):
            proposal = sampler.ask(12, draw, explore=draw >= 3)
            proposals.append(str(sorted(proposal.picks.items())))
            sampler.forget(proposal)
        assert len(set(proposals)) > 1

    def test_exploring_is_uniformly_random(self, search: SearchSettings) -> None:
        one = small_problem(search)
        sampler = repeated(open_sampler(one), searched(open_sampler(one), one, range(12)))
        drawn = Counter[Any]()
        for number in range(12, 132):
            proposal = sampler.ask(number, 10, explore=True)
            drawn[proposal.picks["dim"]] += 1
            sampler.forget(proposal)
        assert min(drawn[dim] for dim in (8, 16, 32)) > 20  # 40 on average, standard deviation 5

    def test_a_trial_of_an_earlier_process_can_be_told_after_resuming(self, search: SearchSettings) -> None:
        one = small_problem(search)
        trials = searched(open_sampler(one), one, range(12))
        sampler = repeated(open_sampler(one), trials[:-1])
        proposal, record = trials[-1]
        again = sampler.resume(proposal.picks, proposal.memory)
        assert again.picks == proposal.picks
        sampler.tell(again, record)
        assert one.space.decode(sampler.ask(12, 0).picks)

    def test_failures_are_no_reason_to_stop(self, search: SearchSettings) -> None:
        one = small_problem(search)
        sampler = open_sampler(one)
        for number, failure in enumerate(get_args(Failure)):
            proposal = sampler.ask(number, 0)
            architecture = one.space.decode(proposal.picks)
            sampler.tell(
                proposal,
                TrialRecord(
                    number=number,
                    status="failed",
                    picks=proposal.picks,
                    architecture=architecture.to_json(),
                    key=architecture.key,
                    seed=0,
                    failure=failure,
                    measured=one.probe.measure(architecture)[0],
                    error="on purpose",
                ),
            )
        assert searched(sampler, one, range(len(get_args(Failure)), 14))

"""Uniformly random candidates: learns nothing, and keeps nothing."""

from collections.abc import Mapping
from random import Random
from typing import Any

from nas.problem import Problem
from nas.search.samplers.sampler import Proposal, sampler
from nas.store.records import TrialRecord, trial_seed
from searchspaces import Value


@sampler("random")
class RandomSampler:
    """Draws every choice uniformly; Optuna would take ten times as long to draw, and would keep what is never read."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        seed = trial_seed(self.problem.settings.seed, number, f"explore/{draw}")
        return Proposal(self.problem.space.draw(Random(seed)))

    def forget(self, proposal: Proposal) -> None:
        pass

    def tell(self, proposal: Proposal, record: TrialRecord) -> None:
        pass

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None:
        pass

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        return Proposal(dict(picks))

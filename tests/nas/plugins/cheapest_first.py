"""A sampler of one's own: of a few random candidates the one with the lowest exact cost."""

from collections.abc import Mapping
from random import Random
from typing import Any

from nas.problem import Problem
from nas.search.samplers import Proposal, sampler
from nas.store.records import TrialRecord, trial_seed
from searchspaces import Value


@sampler("cheapest_first")
class CheapestFirst:
    """Learns nothing; ``drawn`` is the number of candidates that are priced for each proposal."""

    def __init__(self, problem: Problem, *, drawn: int = 8) -> None:
        self.problem, self.drawn = problem, drawn

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        random = Random(trial_seed(self.problem.settings.seed, number, f"cheapest/{draw}"))
        candidates = [self.problem.space.draw(random) for _ in range(1 if explore else self.drawn)]
        return Proposal(min(candidates, key=self._cost))

    def _cost(self, picks: Mapping[str, Value]) -> list[float]:
        return list(self.problem.probe.measure(self.problem.space.decode(picks))[0].values())

    def forget(self, proposal: Proposal) -> None: ...

    def tell(self, proposal: Proposal, record: TrialRecord) -> None: ...

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None: ...

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        return Proposal(dict(picks))

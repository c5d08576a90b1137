"""The sampler contract: ask for picks, learn what became of them. The log is the state, a sampler has none of its own.

What a sampler proposes is a pure function of the log and of (study seed, trial number, draw), so that an interrupted
study proposes what an uninterrupted one would.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from nas.errors import WrongInputError, user_input
from nas.problem import Problem
from nas.settings import construct
from nas.store.records import TrialRecord
from searchspaces import Value
from searchspaces.registry import lookup, register


@dataclass(frozen=True)
class Proposal:
    """Picks for every choice of the space.

    Args:
        handle: the sampler's own, to recognise the proposal by; not logged.
        memory: what the sampler noted about the proposal, as JSON; logged, and passed back on resume.
    """

    picks: dict[str, Value]
    handle: Any = None
    memory: dict[str, Any] = field(default_factory=dict)


class Sampler(Protocol):
    """Proposes candidates; made from the problem, which holds the space, exact prices, bounds and the seed."""

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        """Picks for trial ``number``.

        Args:
            draw: counts from 0 the proposals for this trial that were dropped; another draw proposes something else.
            explore: the picks are to be uniformly random, because the sampler repeats itself.
        """
        ...

    def forget(self, proposal: Proposal) -> None:
        """Drops a proposal of this process: it will not be trained, and nothing is learned from it."""
        ...

    def tell(self, proposal: Proposal, record: TrialRecord) -> None:
        """Learns how the trial of a proposal ended."""
        ...

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None:
        """Learns from a trial of the log, as if it had been asked and told in this process."""
        ...

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        """A proposal for picks that an earlier process asked for and that are still to be trained."""
        ...


@runtime_checkable
class Believer(Sampler, Protocol):
    """A sampler that learns from trainings of every length, and says whose to repeat at a greater one.

    Other samplers are told of the first training of each network, as if it were a whole one.
    """

    def go_on(
        self, records: Sequence[TrialRecord], epochs: Sequence[float], proposal: Proposal | None, whole: float
    ) -> TrialRecord | None:
        """The short training that promises most for each epoch until its network is trained whole; None if none is.

        Args:
            records: short trainings.
            epochs: of each, those that are still to be spent.
            proposal: a new network, which must not promise more for each of its epochs; None: there is none.
            whole: epochs of the proposal.
        """
        ...

    def repeat(self, records: Sequence[TrialRecord], proposal: Proposal) -> TrialRecord | None:
        """The whole training that it is worth more to repeat than to train a proposal, if any."""
        ...

    def recall(self, record: TrialRecord) -> None:
        """Learns from a trial of another study, whose network may still be proposed."""
        ...

    def promote(self, record: TrialRecord, rung: int) -> Proposal:
        """The proposal of training a network again, on a longer rung."""
        ...


SAMPLERS: dict[str, Callable[..., Sampler]] = {}
"""Name -> class or function ``(problem: Problem, **options) -> Sampler``; its keyword arguments are the options."""
F = TypeVar("F", bound=Callable[..., Sampler])


def sampler(name: str) -> Callable[[F], F]:
    """Decorator that registers a sampler.

    Raises:
        ValueError: if the name is taken.
    """

    def add(factory: F) -> F:
        register(SAMPLERS, "sampler", name)(factory)
        return factory

    return add


def open_sampler(problem: Problem) -> Sampler:
    """The sampler of ``[search]``.

    Raises:
        WrongInputError: if it is unknown, refuses its options, or cannot do what else is asked for.
    """
    search = problem.settings.search
    with user_input("search.sampler"):
        factory = lookup(SAMPLERS, "sampler", search.sampler)
    made = construct(factory, search.options, "search.options", problem=problem)
    if search.replicates and not isinstance(made, Believer):
        raise WrongInputError(
            f"search.replicates needs a sampler that knows what another training is worth, got {search.sampler!r}. "
            'Leave it out, or use sampler = "front".'
        )
    return made

"""Proposing candidates: Optuna's samplers behind ask and tell, with no state of their own.

The Optuna study lives in memory and is rebuilt from the log. The sampler is made anew for every draw, seeded by (study
seed, trial number, draw), so that an interrupted study proposes what an uninterrupted one would. Optuna sees costs to
be minimised. Candidates that break a bound, diverge, run out of memory or out of time are told as constraints with the
worst values: what is told as FAIL is forgotten, and the same region came back in 99.6 % of the proposals (measured).
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from nas.errors import user_input
from nas.problem import Problem
from nas.records import TrialRecord, trial_seed
from objectives import cost
from searchspaces import Value
from searchspaces.registry import lookup

optuna.logging.set_verbosity(optuna.logging.ERROR)


class _SameParents:
    """Makes the parents of a generation depend on the records alone.

    Optuna's come in another order to who asks first, and NSGA-III breaks ties with the asker's generator, so that a
    resumed study would go another way than an uninterrupted one.
    """

    _rng: Any

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[optuna.trial.FrozenTrial]:
        parents: list[optuna.trial.FrozenTrial] = super().get_parent_population(study, generation)  # type: ignore[misc]
        return sorted(parents, key=lambda trial: trial.number)

    def select_parent(self, study: optuna.Study, generation: int) -> list[optuna.trial.FrozenTrial]:
        generator: np.random.RandomState = self._rng.rng
        state = generator.get_state()
        generator.seed(generation)
        parents: list[optuna.trial.FrozenTrial] = super().select_parent(study, generation)  # type: ignore[misc]
        generator.set_state(state)
        return parents


class _NSGA2(_SameParents, NSGAIISampler):
    def __init__(self, *, population_size: int = 20, **options: Any) -> None:
        super().__init__(population_size=population_size, **options)


class _NSGA3(_SameParents, NSGAIIISampler):
    def __init__(self, *, population_size: int = 20, **options: Any) -> None:
        super().__init__(population_size=population_size, **options)


SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": TPESampler,
    "nsga2": _NSGA2,
    "nsga3": _NSGA3,
    "gp": GPSampler,
    "qmc": QMCSampler,
    "random": RandomSampler,
}
"""Optuna samplers for several objectives; the genetic ones with a population of 20, better than 50 at 200 trials."""

TOLD_AS_CONSTRAINT = ("diverged", "out_of_memory", "timeout")


@dataclass(frozen=True)
class Proposal:
    """Picks for every choice, and Optuna's handle to tell it what became of them; None where nothing is learnt."""

    picks: dict[str, Value]
    trial: optuna.trial.Trial | None

    @property
    def memory(self) -> dict[str, Any]:
        """What the sampler noted about this trial, for the log; genetic samplers keep their generation here."""
        if self.trial is None:
            return {}
        return dict(self.trial.storage.get_trial_system_attrs(self.trial._trial_id))


class Proposer:
    """Asks a sampler for picks and tells it what became of them.

    Raises:
        WrongInputError: if the sampler is unknown or refuses its options.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        settings = problem.settings
        with user_input("search.sampler"):
            self._make = lookup(SAMPLERS, "sampler", settings.search.sampler)
        try:
            self._sampler(0, 0)
        except (TypeError, ValueError) as error:
            with user_input("search.options"):
                raise ValueError(str(error)) from None
        self.distributions: dict[str, CategoricalDistribution] = {
            choice.name: CategoricalDistribution(choice.options)
            for choice in problem.space.choices
            if len(choice.options) > 1
        }
        self.learns = settings.search.sampler != "random"
        self.study = optuna.create_study(directions=["minimize"] * len(settings.objectives))

    def _sampler(self, number: int, draw: int) -> BaseSampler:
        search, seed = self.problem.settings.search, self.problem.settings.seed
        # A quasi-random sequence is one sequence: its points differ by number, not by seed.
        seeded = trial_seed(seed, 0 if search.sampler == "qmc" else number, f"sampler/{draw}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self._make(seed=seeded, **search.options)

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        """Picks for trial ``number``; another ``draw`` gives others. With ``explore`` they are uniformly random."""
        seed = trial_seed(self.problem.settings.seed, number, f"explore/{draw}")
        if not self.learns:  # Optuna would take ten times as long to draw, and to keep what nobody looks at
            return Proposal(self.problem.space.draw(Random(seed)), None)
        self.study.sampler = RandomSampler(seed=seed) if explore else self._sampler(number, draw)
        trial = self.study.ask()
        params = {name: trial.suggest_categorical(name, d.choices) for name, d in self.distributions.items()}
        return Proposal(self._complete(params), trial)

    def _complete(self, params: Mapping[str, Any]) -> dict[str, Value]:
        return {c.name: params.get(c.name, c.options[0]) for c in self.problem.space.choices}

    def forget(self, proposal: Proposal) -> None:
        """Drops a proposal, so that nothing is learnt from it."""
        if proposal.trial is not None:
            self.study.tell(proposal.trial, state=TrialState.FAIL)

    def tell(self, proposal: Proposal, record: TrialRecord) -> None:
        """Tells the sampler how a trial ended."""
        if proposal.trial is None:
            return
        values, constraints = self._verdict(record)
        if values is None:
            self.forget(proposal)
            return
        for name, value in constraints.items():
            proposal.trial.set_constraint(name, value)
        self.study.tell(proposal.trial, values)

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None:
        """Adds a trial of the log, as if it had been asked and told in this process."""
        if not self.learns:
            return
        values, constraints = self._verdict(record)
        if values is not None:
            self._add(TrialState.COMPLETE, record.picks, memory, values=values, constraints=constraints)

    def _add(self, state: TrialState, picks: Mapping[str, Value], memory: Mapping[str, Any], **outcome: Any) -> None:
        self.study.add_trial(
            optuna.trial.create_trial(
                state=state,
                params={name: picks[name] for name in self.distributions},
                distributions=dict(self.distributions),
                system_attrs=dict(memory),
                **outcome,
            )
        )

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        """A proposal for picks that were asked for in an earlier process and are still to be trained."""
        if not self.learns:
            return Proposal(dict(picks), None)
        self._add(TrialState.RUNNING, picks, memory)
        handle = optuna.trial.Trial(self.study, self.study.get_trials(deepcopy=False)[-1]._trial_id)
        return Proposal(dict(picks), handle)

    def _verdict(self, record: TrialRecord) -> tuple[list[float] | None, dict[str, float]]:
        """Costs and constraints (> 0 violates) to tell; None if nothing is to be learnt from the trial."""
        problem = self.problem
        constraints = {name: record.measured.get(name, 0.0) / b - 1 for name, b in problem.bounds.items()}
        constraints["failed"] = float(record.failure is not None)
        objectives = problem.settings.objectives
        unlucky = record.failure is not None and record.failure not in TOLD_AS_CONSTRAINT
        empty = record.status == "duplicate" and not record.violations and not record.measured.keys() >= set(objectives)
        if unlucky or empty or record.status in ("truncated", "cancelled"):
            return None, constraints
        values = []
        for name, worst in zip(objectives, problem.reference, strict=True):
            known = name in record.measured
            values.append(cost(problem.objectives[name], record.measured[name]) if known else float(worst))
        return values, constraints

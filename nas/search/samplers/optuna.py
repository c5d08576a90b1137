"""Optuna's samplers behind our contract.

The Optuna study lives in memory and is rebuilt from the log. The sampler is made anew for every draw, seeded by (study
seed, trial number, draw), so that an interrupted study proposes what an uninterrupted one would. Optuna sees costs to
be minimised. Candidates that break a bound, diverge, run out of memory or out of time are told as constraints with the
worst values: Optuna forgets what is told as FAIL, and proposed the same region in 99.6 % of the cases (measured).
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, Union

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.trial import FrozenTrial, TrialState

from nas.errors import WrongInputError, user_input
from nas.pricing import excess
from nas.problem import Problem
from nas.search.samplers.sampler import SAMPLERS, Proposal, Sampler
from nas.settings import check_type
from nas.store.records import OVER_BOUND, TrialRecord, brief, is_count, trial_seed
from objectives import to_minimise
from searchspaces import Value
from searchspaces.registry import register, unknown

optuna.logging.set_verbosity(optuna.logging.ERROR)


class _Options(CategoricalDistribution):
    """Options of a choice, of which all trials share one object: Optuna copies and compares them for every trial."""

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # it never changes

    def __eq__(self, other: object) -> bool:
        return self is other or bool(super().__eq__(other))

    __hash__ = CategoricalDistribution.__hash__


class _Told(FrozenTrial):
    """A trial that is handed over to Optuna, whose storage would copy it piece by piece."""

    def __deepcopy__(self, memo: Any) -> Self:
        return self


class _SameParents:
    """Makes the parents of a generation depend on the records alone, and finds them in a time that grows as they do.

    Optuna's come in another order to who asks first, and NSGA-III breaks ties with the asker's generator, so that a
    resumed study would go another way than an uninterrupted one. There, a generation asks the one before it for its
    parents, and so on: a thousand are too deep for Python, and each would search all trials.
    """

    _rng: Any

    @cached_property
    def _generations(self) -> dict[int, list[FrozenTrial]]:
        return {}

    @cached_property
    def _parents(self) -> dict[int, list[FrozenTrial]]:
        return {0: []}

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        if not self._generations:  # once, as a sampler makes one proposal
            key = self._get_generation_key()  # type: ignore[attr-defined]
            for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
                self._generations.setdefault(trial.system_attrs.get(key, -1), []).append(trial)
        return self._generations.get(generation, [])

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        known, prefix = study._storage.get_study_system_attrs(study._study_id), self._get_parent_cache_key_prefix()  # type: ignore[attr-defined]
        first = generation
        while first not in self._parents and f"{prefix}{first}" not in known:
            first -= 1
        for each in range(first, generation + 1):
            if each not in self._parents:
                parents: list[FrozenTrial] = super().get_parent_population(study, each)  # type: ignore[misc]
                self._parents[each] = sorted(parents, key=lambda trial: trial.number)
        return self._parents[generation]

    def select_parent(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        generator: np.random.RandomState = self._rng.rng
        state = generator.get_state()
        generator.seed(generation)
        parents: list[FrozenTrial] = super().select_parent(study, generation)  # type: ignore[misc]
        generator.set_state(state)
        return parents


class _NSGA2(_SameParents, NSGAIISampler):
    def __init__(self, *, population_size: int = 20, **options: Any) -> None:
        super().__init__(population_size=population_size, **options)


class _NSGA3(_SameParents, NSGAIIISampler):
    def __init__(self, *, population_size: int = 20, dividing_parameter: int = 3, **options: Any) -> None:
        if not 1 <= dividing_parameter <= 100:  # there are so many points along each side of the simplex
            raise ValueError(f"dividing_parameter must be from 1 to 100, got {dividing_parameter}.")
        super().__init__(population_size=population_size, dividing_parameter=dividing_parameter, **options)


class _TPE(TPESampler):
    """Divides the trials into good and bad ones, and reads their picks, once for a trial.

    Optuna does so again for each choice, and would for each draw. What was found is in ``found``, which the samplers of
    one trial share.
    """

    found: dict[Any, Any]

    def _sample(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        if "divided" not in self.found:
            states = [TrialState.COMPLETE, TrialState.PRUNED] + [TrialState.RUNNING] * self._constant_liar
            trials = [t for t in study.get_trials(deepcopy=False, states=states) if t.number != trial.number]
            ended = sum(t.state.is_finished() for t in trials)
            several = len(study.directions) > 1
            gamma = self._gamma or (default_gamma_multiobjective if several else default_gamma)
            self.found["divided"] = _split_trials(study, trials, gamma(ended))
        below, above = self.found["divided"]
        good = self._build_parzen_estimator(study, search_space, below, handle_below=True)
        bad = self._build_parzen_estimator(study, search_space, above, handle_below=False)
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(samples, self._compute_acquisition_func(samples, good, bad))
        return {name: each.to_external_repr(best[name]) for name, each in search_space.items()}

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, Any], study: optuna.Study
    ) -> dict[str, np.ndarray]:
        key = (trials is self.found["divided"][0], *search_space)
        if key not in self.found:
            self.found[key] = super()._get_internal_repr(trials, search_space, study)
        picks: dict[str, np.ndarray] = self.found[key]
        return picks


OPTUNA: dict[str, Callable[..., BaseSampler]] = {
    "tpe": _TPE,
    "nsga2": _NSGA2,
    "nsga3": _NSGA3,
    "gp": GPSampler,
    "qmc": QMCSampler,
}
"""Optuna samplers for several objectives; the genetic ones with a population of 20, better than 50 at 200 trials."""

GENERATION = ":generation"
"""End of the attribute in which Optuna notes the generation of a trial."""
SEQUENCE = "qmc:"
"""Prefix of the attribute in which Optuna counts the points of a quasi-random sequence."""
LARGEST_OPTION = 10_000
"""Of what a sampler holds in memory for each proposal."""
TOLD_AS_CONSTRAINT = ("diverged", "out_of_memory", "timeout", OVER_BOUND)


class OptunaSampler:
    """Asks one of Optuna's samplers for picks and tells it what became of them.

    Args:
        kind: name in `OPTUNA`.
        options: keyword arguments of that sampler.

    Raises:
        WrongInputError: if the sampler refuses its options.
    """

    def __init__(self, problem: Problem, kind: str, options: Mapping[str, Any]) -> None:
        self.problem, self.kind, self.options = problem, kind, dict(options)
        known = _parameters(OPTUNA[kind])
        for name, value in options.items():
            if name not in known:
                raise WrongInputError(f"[search.options] has an {unknown('key', name, known)}")
            check_type(known[name], value, f"search.options.{name}")
            if isinstance(value, int | float) and not -LARGEST_OPTION <= value <= LARGEST_OPTION:
                raise WrongInputError(f"search.options.{name} must be at most {LARGEST_OPTION:,}, got {value}.")
        self._learned = 0
        """Outcomes that the sampler has learned."""
        self._found: tuple[tuple[int, int], dict[Any, Any]] = (0, 0), {}
        with user_input("search.options"):
            try:
                self._sampler(0, 0)
            except TypeError as error:
                raise ValueError(str(error)) from None
        self.distributions = {
            choice.name: _Options(choice.options) for choice in problem.space.choices if len(choice.options) > 1
        }
        self._generations = set[int]()
        self.study = optuna.create_study(directions=["minimize"] * len(problem.settings.objectives))

    def _sampler(self, number: int, draw: int) -> BaseSampler:
        # A quasi-random sequence is one sequence: its points differ by number, not by seed.
        seeded = trial_seed(self.problem.settings.seed, 0 if self.kind == "qmc" else number, f"sampler/{draw}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made = OPTUNA[self.kind](seed=seeded, **self.options)
        if isinstance(made, _TPE):
            if self._found[0] != (number, self._learned):
                self._found = (number, self._learned), {}
            made.found = self._found[1]
        return made

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        seed = trial_seed(self.problem.settings.seed, number, f"explore/{draw}")
        self.study.sampler = RandomSampler(seed=seed) if explore else self._sampler(number, draw)
        trial = self.study.ask(dict(self.distributions))
        params = trial.params
        # Genetic samplers keep a trial's generation in its attributes, the quasi-random one its place in the study's.
        memory = trial.storage.get_trial_system_attrs(trial._trial_id) | self._place_in_sequence()
        return Proposal(self._complete(params), trial, memory)

    def _place_in_sequence(self) -> dict[str, Any]:
        attributes = self.study._storage.get_study_system_attrs(self.study._study_id)
        return {name: value for name, value in attributes.items() if name.startswith(SEQUENCE)}

    def _complete(self, params: Mapping[str, Any]) -> dict[str, Value]:
        return {c.name: params.get(c.name, c.options[0]) for c in self.problem.space.choices}

    def forget(self, proposal: Proposal) -> None:
        self.study.tell(proposal.handle, state=TrialState.FAIL)

    def tell(self, proposal: Proposal, record: TrialRecord) -> None:
        self._learned += 1
        values, constraints = self._verdict(record)
        if values is None:
            self.forget(proposal)
            return
        self._note_generation(proposal.memory)
        for name, value in constraints.items():
            proposal.handle.set_constraint(name, value)
        self.study.tell(proposal.handle, values)

    def _recall(self, memory: Mapping[str, Any]) -> dict[str, Any]:
        """Restores the place in the sequence; returns the attributes of the trial itself.

        Raises:
            WrongInputError: if they are none that this sampler has noted.
        """
        for name, place in memory.items():
            if (name.endswith(GENERATION) or name.startswith(SEQUENCE)) and not is_count(place):
                raise WrongInputError(f"events.jsonl is damaged: memory of the sampler {name} = {brief(place)}.")
            if name.endswith(GENERATION) and place and place - 1 not in self._generations:
                raise WrongInputError(
                    f"the log is damaged: a trial belongs to generation {place} of the sampler, and none that has "
                    f"ended to the one before. Restore trials.jsonl and events.jsonl from a copy."
                )
            if name.startswith(SEQUENCE):
                last = max(place, self._place_in_sequence().get(name, place))
                self.study._storage.set_study_system_attr(self.study._study_id, name, last)
        return {name: value for name, value in memory.items() if not name.startswith(SEQUENCE)}

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None:
        own = self._recall(memory)
        values, constraints = self._verdict(record)
        if values is not None:
            self._note_generation(own)
            self._add(TrialState.COMPLETE, record.picks, own, values=values, constraints=constraints)

    def _note_generation(self, memory: Mapping[str, Any]) -> None:
        """Notes the generation of a trial that has ended."""
        self._generations |= {place for name, place in memory.items() if name.endswith(GENERATION)}

    def _add(
        self,
        state: TrialState,
        picks: Mapping[str, Value],
        memory: Mapping[str, Any],
        *,
        values: list[float] | None = None,
        constraints: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._learned += 1
        now = datetime.now()
        trial = _Told(  # create_trial takes five times as long for the same
            number=-1,
            trial_id=-1,
            state=state,
            value=None,
            values=values,
            datetime_start=now,
            datetime_complete=now if state.is_finished() else None,
            params={name: picks[name] for name in self.distributions},
            distributions=dict(self.distributions),
            user_attrs={},
            system_attrs=dict(memory),
            intermediate_values={},
        )
        for name, value in constraints.items():
            trial.set_constraint(name, value)
        self.study.add_trial(trial)

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        self._add(TrialState.RUNNING, picks, self._recall(memory))
        handle = optuna.trial.Trial(self.study, self.study.get_trials(deepcopy=False)[-1]._trial_id)
        return Proposal(dict(picks), handle, dict(memory))

    def _verdict(self, record: TrialRecord) -> tuple[list[float] | None, dict[str, float]]:
        """Costs and constraints (> 0 violates) to tell; None if nothing is to be learned from the trial."""
        problem = self.problem
        bounds = problem.settings.bounds.items()
        constraints = {name: excess(record.measured.get(name, 0.0), bound) for name, bound in bounds}
        constraints["failed"] = float(record.failure not in (None, OVER_BOUND) or record.refused)
        objectives = problem.settings.objectives
        unlucky = record.failure is not None and record.failure not in TOLD_AS_CONSTRAINT
        empty = record.status == "duplicate" and not record.violations and not record.measured.keys() >= set(objectives)
        if unlucky or empty or record.status in ("truncated", "cancelled"):
            return None, constraints
        values = []
        for name, worst in zip(objectives, problem.reference, strict=True):
            known = name in record.measured
            values.append(to_minimise(problem.objectives[name], record.measured[name]) if known else float(worst))
        return values, constraints


PLAIN: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "None": None}
"""Types of the options that a study can state; the others are functions and objects."""


def _parameters(make: Callable[..., BaseSampler]) -> dict[str, Any]:
    """Name -> type of the options of one of Optuna's samplers that a study can state, our subclasses' own included."""
    found: dict[str, Any] = {}
    for each in make.__mro__ if isinstance(make, type) else (make,):
        for p in inspect.signature(each).parameters.values():
            kinds = inspect.formatannotation(p.annotation).strip("'").split(" | ")
            if (p.kind == p.KEYWORD_ONLY or p.default is not p.empty) and all(kind in PLAIN for kind in kinds):
                found.setdefault(p.name, Union[tuple(PLAIN[kind] for kind in kinds)])  # noqa: UP007
    return {name: hint for name, hint in found.items() if name != "seed"}


def _registered(kind: str) -> Callable[..., Sampler]:
    def factory(problem: Problem, **options: Any) -> Sampler:
        return OptunaSampler(problem, kind, options)

    return factory


for _kind in OPTUNA:
    register(SAMPLERS, "sampler", _kind)(_registered(_kind))
